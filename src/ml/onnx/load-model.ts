import { compileLogistic } from './compile-logistic.ts';
import { TREES_OPERATOR, TREES_OTHER_OPERATORS, compileTrees } from './compile-trees.ts';
import { UnsupportedGraph } from './errors.ts';
import { GraphReader } from './graph-reader.ts';
import type { ReadLimits } from './limits.ts';
import { READ_LIMITS } from './limits.ts';
import { readModel } from './read-model.ts';
import type { OnnxGraph, OnnxModel } from './schema.ts';
import { DATA_TYPE, FEATURE_NAMES_KEY, ML_DOMAIN, ML_OPSET_VERSION, OPSET_VERSION } from './schema.ts';

/** A model that is evaluated in process. */
export interface CompiledModel {
  readonly kind: 'logistic' | 'trees';
  /** Values in an input row. */
  readonly inputCount: number;
  /** Name of each input, when the file tells. */
  readonly inputNames?: readonly string[];
  /** Answers to a row: 1, or the number of classes. */
  readonly outputCount: number;
  /**
   * Writes the answers to each row, `outputCount` of them, to the start of `output`. The answer to a row is
   * the same, bit for bit, in every call and whatever rows are beside it.
   *
   * @param input row after row, at least `rows * inputCount` values; NaN is missing
   * @throws RangeError when an array is too short.
   */
  predict(input: Float32Array, rows: number, output: Float64Array): void;
}

const LOGISTIC_OPERATORS: readonly string[] = [
  'IsNaN',
  'Cast',
  'Clip',
  'Where',
  'Sub',
  'Div',
  'Gemm',
  'Sigmoid',
];
const OPERATORS: readonly string[] = [...LOGISTIC_OPERATORS, TREES_OPERATOR, ...TREES_OTHER_OPERATORS];

/**
 * Compiles an ONNX file for evaluation in process. It must be of a form that `encodeLogistic` or
 * `encodeTrees` writes; the file alone decides the answers.
 *
 * @throws MalformedModel when the bytes are no ONNX model, a part of one, or beyond `limits` (default {@link
 *   READ_LIMITS}).
 * @throws UnsupportedGraph when it is a model of another form; for these a complete runtime is needed.
 */
export function loadModel(bytes: Uint8Array, limits: ReadLimits = READ_LIMITS): CompiledModel {
  const model = readModel(bytes, limits);
  const { graph } = model;
  for (const { operator } of graph.nodes) {
    if (!OPERATORS.includes(operator))
      throw new UnsupportedGraph(`The operator ${operator} is not supported`, operator);
  }
  const kind = graph.nodes.some((node) => node.operator === TREES_OPERATOR) ? 'trees' : 'logistic';
  requireOpsets(model, kind);
  if (kind === 'logistic') requireNodes(graph, kind, LOGISTIC_OPERATORS.length + 1);
  const inputCount = inputCountOf(graph);
  const reader = new GraphReader(graph);
  const { evaluate, outputCount, nodeCount } =
    kind === 'trees'
      ? compileTrees(reader, inputCount)
      : { evaluate: compileLogistic(reader, inputCount), outputCount: 1, nodeCount: graph.nodes.length };
  requireNodes(graph, kind, nodeCount);
  const inputNames = inputNamesOf(model, inputCount);
  return {
    kind,
    inputCount,
    outputCount,
    ...(inputNames === undefined ? {} : { inputNames }),
    predict(input, rows, output) {
      if (!Number.isSafeInteger(rows) || rows < 0) throw new RangeError(`${rows} is no number of rows`);
      if (input.length < rows * inputCount || output.length < rows * outputCount) {
        throw new RangeError(
          `${rows} rows need ${rows * inputCount} inputs and ${rows * outputCount} outputs, ` +
            `not ${input.length} and ${output.length}`,
        );
      }
      evaluate(input, rows, output);
    },
  };
}

/** The meaning of operators depends on the version of their set. */
function requireOpsets(model: OnnxModel, kind: CompiledModel['kind']): void {
  const wanted: readonly (readonly [string, number])[] =
    kind === 'trees'
      ? [
          ['', OPSET_VERSION],
          [ML_DOMAIN, ML_OPSET_VERSION],
        ]
      : [['', OPSET_VERSION]];
  for (const [domain, version] of wanted) {
    const found = model.opsets.get(domain);
    if (found !== version) {
      const name = domain === '' ? 'ai.onnx' : domain;
      throw new UnsupportedGraph(
        `The operator set ${name} must have version ${version}, not ${found ?? 'none'}`,
      );
    }
  }
}

/**
 * Every node must be part of the form; the compilers follow the wires from the output and would miss others.
 */
function requireNodes(graph: OnnxGraph, kind: CompiledModel['kind'], wanted: number): void {
  if (graph.nodes.length !== wanted) {
    const found = graph.nodes.map((node) => node.operator).join(', ');
    throw new UnsupportedGraph(
      `A model of kind ${kind} has ${wanted} nodes, not ${graph.nodes.length}: ${found}`,
    );
  }
}

function inputCountOf(graph: OnnxGraph): number {
  const [input] = graph.inputs;
  const [output] = graph.outputs;
  if (
    input === undefined ||
    output === undefined ||
    graph.inputs.length !== 1 ||
    graph.outputs.length !== 1
  ) {
    const found = `${graph.inputs.length} inputs and ${graph.outputs.length} outputs`;
    throw new UnsupportedGraph(`The graph must have one input and one output, not ${found}`);
  }
  const [, columns] = input.dimensions;
  const sound = input.elementType === DATA_TYPE.float && output.elementType === DATA_TYPE.float;
  if (!sound || input.dimensions.length !== 2 || typeof columns !== 'number' || columns < 1) {
    throw new UnsupportedGraph(
      `The input "${input.name}" must be float32 [n, number of inputs], the output float32`,
    );
  }
  return columns;
}

function inputNamesOf(model: OnnxModel, inputCount: number): readonly string[] | undefined {
  const written = model.metadata.get(FEATURE_NAMES_KEY);
  if (written === undefined) return undefined;
  let names: unknown;
  try {
    names = JSON.parse(written);
  } catch {
    names = undefined;
  }
  if (
    !Array.isArray(names) ||
    names.length !== inputCount ||
    !names.every((name) => typeof name === 'string')
  ) {
    throw new UnsupportedGraph(
      `The metadata ${FEATURE_NAMES_KEY} must be a JSON array of ${inputCount} texts`,
    );
  }
  return names;
}
