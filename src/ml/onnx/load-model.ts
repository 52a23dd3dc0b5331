import { compileForm } from './compile-form.ts';
import type { InputSizes } from './compile-preprocessor.ts';
import { compilePreprocessor } from './compile-preprocessor.ts';
import { TREES_OPERATOR, TREES_OTHER_OPERATORS } from './compile-trees.ts';
import type { CompiledForm, ModelKind, ModelTask } from './compiled-form.ts';
import { UnsupportedGraph } from './errors.ts';
import type { RowExplainer } from './explain-model.ts';
import { explainerOf } from './explain-model.ts';
import { GraphReader } from './graph-reader.ts';
import type { ReadLimits } from './limits.ts';
import { INPUT_COLUMNS_MAX, READ_LIMITS } from './limits.ts';
import { readModel } from './read-model.ts';
import type { MixedEvaluator, MixedRows, RowEncoder } from './row-encoder.ts';
import { preprocessed, rowEncoder } from './row-encoder.ts';
import type { OnnxGraph, OnnxModel, OnnxValue } from './schema.ts';
import {
  CATEGORIES_NAME,
  CATEGORY_NAMES_KEY,
  DATA_TYPE,
  FEATURES_NAME,
  FEATURE_NAMES_KEY,
  ML_DOMAIN,
  ML_OPSET_VERSION,
  OPSET_VERSION,
  OUTPUT_NAMES_KEY,
  TASK_KEY,
} from './schema.ts';

/** A model that is evaluated in process. */
export interface CompiledModel {
  readonly kind: ModelKind;
  /** What the answers are. */
  readonly task: ModelTask;
  /** Numbers in an input row. */
  readonly inputCount: number;
  /** Name of each number, when the file tells. */
  readonly inputNames?: readonly string[];
  /** Texts in an input row; 0 for all models without categories. */
  readonly categoryCount: number;
  /** Name of each text, when the file tells. */
  readonly categoryNames?: readonly string[];
  /** Answers to a row: 1, or the number of classes. */
  readonly outputCount: number;
  /** Name of the output in the file: `probability`, `prediction` or `score`. */
  readonly outputName: string;
  /** Name of each answer to a row, such as the classes, when the file tells. */
  readonly outputNames?: readonly string[];
  /**
   * Writes the answers to each row, `outputCount` of them, to the start of `output`. The answer to a row is
   * the same, bit for bit, in every call and whatever rows are beside it.
   *
   * @param input row after row, at least `rows * inputCount` values; NaN is missing
   * @throws RangeError when an array is too short, or when the model reads texts.
   */
  predict(input: Float32Array, rows: number, output: Float64Array): void;
  /**
   * Does the same for rows of numbers and texts.
   *
   * @throws RangeError when an array is too short.
   */
  predictMixed(input: MixedRows, rows: number, output: Float64Array): void;
  /**
   * What takes the answers apart. Made anew at each call, which unpacks the trees: keep it. It uses memory of its own, so one row at a
   * time.
   *
   * @throws NotExplainable when the file does not tell what that takes: trees without `nodes_hitrates`, several answers to a row,
   *   anomaly scores and baselines.
   */
  explainer(): RowExplainer;
}

const LINEAR_OPERATORS = ['IsNaN', 'Cast', 'Clip', 'Where', 'Sub', 'Div', 'Gemm', 'Sigmoid', 'Softmax'];
const CALIBRATION_OPERATORS = ['Mul', 'Add', 'Less', 'LessOrEqual', 'Gather', 'Min'];
const BASELINE_OPERATORS = ['Shape', 'Concat', 'Expand', 'IsInf', 'Or'];
const OPERATORS: ReadonlySet<string> = new Set([
  ...LINEAR_OPERATORS,
  ...CALIBRATION_OPERATORS,
  ...BASELINE_OPERATORS,
  TREES_OPERATOR,
  ...TREES_OTHER_OPERATORS,
  // Of isolation forests and of one-hot encodings.
  'Pow',
  'Equal',
]);

/**
 * Compiles an ONNX file for evaluation in process. The file alone decides the answers. It must be of a form
 * that `encodeLogistic`, `encodeTrees` or `encodePipeline` writes, read from the output to the inputs:
 *
 * | part | kind, task | nodes |
 * | --- | --- | --- |
 * | linear margin | | Gemm(Div(Sub(Where(IsNaN(x), means, Clip(Cast(x))), means), scales)) in float64 |
 * | logistic, also elastic net | `logistic`, binary | Cast(Sigmoid(linear margin)) |
 * | multinomial | `multinomial`, multiclass | Cast(Softmax(linear margin)) |
 * | ridge, elastic net | `regression`, regression | Cast(linear margin) |
 * | ranks | | Concat(x, LabelEncoder(Gather(x)), ...) |
 * | trees | `trees`, binary, multiclass, regression | Sigmoid, Softmax, Exp or nothing of TreeEnsembleRegressor(x or ranks) |
 * | score | | linear margin, Cast(TreeEnsembleRegressor) to float64, or Sigmoid of one of them |
 * | Platt's scaling | `logistic` or `trees`, binary | Cast(Sigmoid(Add(Mul(Clip(score), slope), intercept))) |
 * | isotonic | `logistic` or `trees`, binary | Cast(Min(top, Add(base, Mul(Div(Sub(Clip(score), start), width), rise)))), tables by Gather at the segment |
 * | segment | | rounds of Where(LessOrEqual(Gather(starts, c), score), c, before) with c = Add(before, 2^k), from zeros: Cast(Less(score, least)) |
 * | isolation forest | `isolation-forest`, anomaly | Cast(Pow(2, Div(Cast(TreeEnsembleRegressor), -c))) |
 * | constant | `constant`, binary, multiclass, regression | Cast(Expand(answer, Concat(Shape(x), 1))); the task by the output's name |
 * | last value | `last-value`, regression | Cast(Where(Or(IsNaN(v), IsInf(v)), fallback, Cast(v))) with v = Gather(x) |
 * | x | | the input `input`, or the value `features` of a preprocessor |
 * | features | | Gather(Concat(blocks), order) along the columns |
 * | numbers | | Cast(Div(Sub(Where(IsNaN(v), fills, Cast(v)), means), scales)) with v = Gather(input, columns) |
 * | indicators of numbers | | Cast(IsNaN(v)) |
 * | codes | | Cast(Equal(Cast(Gather(input, columns)), codes)), the codes in float64 |
 * | one-hot | | Cast(Equal(LabelEncoder(Gather(categories)), 0 ... k-1)) |
 * | target mean, indicator | | LabelEncoder(Gather(categories)) of texts to floats |
 *
 * A regression whose metadata say `task` `ranking` has that task.
 *
 * @throws MalformedModel when the bytes are no ONNX model, a part of one, or beyond `limits` (default {@link
 *   READ_LIMITS}).
 * @throws UnsupportedGraph when it is a model of another form; for these a complete runtime is needed.
 */
export function loadModel(bytes: Uint8Array, limits: ReadLimits = READ_LIMITS): CompiledModel {
  const model = readModel(bytes, limits);
  const { graph } = model;
  for (const { operator, inputs } of graph.nodes) {
    if (!OPERATORS.has(operator))
      throw new UnsupportedGraph(`The operator ${operator} is not supported`, operator);
    // A few bytes that repeat a large table would otherwise cost its size each time.
    if (inputs.length > new Set(inputs).size + 1)
      throw new UnsupportedGraph(`${operator} reads values again and again`, operator);
  }
  requireOpsets(model);
  const sizes = inputSizesOf(graph);
  const { form, evaluate, evaluateMixed, encoder } = compileGraph(graph, sizes);
  const task = taskOf(model, form);
  const inputNames = namesOf(model, FEATURE_NAMES_KEY, sizes.numbers);
  const categoryNames = namesOf(model, CATEGORY_NAMES_KEY, sizes.texts);
  const outputNames = namesOf(model, OUTPUT_NAMES_KEY, form.outputCount);
  const checked = { ...sizes, outputs: form.outputCount };
  return {
    kind: form.kind,
    task,
    inputCount: sizes.numbers,
    ...(inputNames === undefined ? {} : { inputNames }),
    categoryCount: sizes.texts,
    ...(categoryNames === undefined ? {} : { categoryNames }),
    outputCount: form.outputCount,
    outputName: graph.outputs[0]?.name ?? '',
    ...(outputNames === undefined ? {} : { outputNames }),
    predict(input, rows, output) {
      if (sizes.texts > 0) {
        throw new RangeError(`A row of the model has ${sizes.texts} texts; predictMixed takes them`);
      }
      requireLengths(checked, rows, { numbers: input.length, texts: 0, outputs: output.length });
      evaluate(input, rows, output);
    },
    predictMixed(input, rows, output) {
      const { numbers, categories } = input;
      const found = { numbers: numbers.length, texts: categories.length, outputs: output.length };
      requireLengths(checked, rows, found);
      evaluateMixed(input, rows, output);
    },
    explainer: () => explainerOf({ form, task, sizes, ...(encoder === undefined ? {} : { encoder }) }),
  };
}

interface CompiledGraph {
  readonly form: CompiledForm;
  readonly evaluate: CompiledForm['evaluate'];
  readonly evaluateMixed: MixedEvaluator;
  /** Where there is a preprocessor. */
  readonly encoder?: RowEncoder;
}

/** Where there is a preprocessor, the model behind it is compiled as a graph whose input is the features. */
function compileGraph(graph: OnnxGraph, sizes: InputSizes): CompiledGraph {
  const reader = new GraphReader(graph);
  if (reader.source(FEATURES_NAME) === undefined) {
    if (sizes.texts > 0) throw new UnsupportedGraph('Texts are read by a preprocessor only');
    const form = compileForm(reader, sizes.numbers);
    requireNodes(graph, form.kind, form.nodeCount);
    const { evaluate } = form;
    return { form, evaluate, evaluateMixed: ({ numbers }, rows, output) => evaluate(numbers, rows, output) };
  }
  const preprocessor = compilePreprocessor(reader, sizes);
  const features: OnnxValue = {
    name: FEATURES_NAME,
    elementType: DATA_TYPE.float,
    dimensions: ['n', preprocessor.order.length],
  };
  const form = compileForm(new GraphReader({ ...graph, inputs: [features] }), preprocessor.order.length);
  requireNodes(graph, form.kind, form.nodeCount + preprocessor.nodeCount);
  const encoder = rowEncoder(preprocessor, sizes);
  const evaluateMixed = preprocessed(encoder, form);
  const evaluate: CompiledForm['evaluate'] = (numbers, rows, output) =>
    evaluateMixed({ numbers, categories: [] }, rows, output);
  return { form, evaluate, evaluateMixed, encoder };
}

/** The meaning of operators depends on the version of their set. */
function requireOpsets(model: OnnxModel): void {
  const wanted: (readonly [string, number])[] = [['', OPSET_VERSION]];
  if (model.graph.nodes.some(({ operator }) => operator.startsWith(`${ML_DOMAIN}.`))) {
    wanted.push([ML_DOMAIN, ML_OPSET_VERSION]);
  }
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
function requireNodes(graph: OnnxGraph, kind: ModelKind, wanted: number): void {
  if (graph.nodes.length !== wanted) {
    const found = graph.nodes.map((node) => node.operator).join(', ');
    throw new UnsupportedGraph(
      `A model of kind ${kind} has ${wanted} nodes here, not ${graph.nodes.length}: ${found}`,
    );
  }
}

/** The inputs are numbers, texts, or both, and there is one output of numbers. */
function inputSizesOf(graph: OnnxGraph): InputSizes {
  const texts = graph.inputs.find(({ elementType }) => elementType === DATA_TYPE.text);
  const numbers = graph.inputs.find(({ elementType }) => elementType !== DATA_TYPE.text);
  const [output] = graph.outputs;
  const known = (numbers === undefined ? 0 : 1) + (texts === undefined ? 0 : 1);
  if (output === undefined || known === 0 || graph.inputs.length !== known || graph.outputs.length !== 1) {
    const found = `${graph.inputs.length} inputs and ${graph.outputs.length} outputs`;
    throw new UnsupportedGraph(`The graph must have one input and one output, not ${found}`);
  }
  if (output.elementType !== DATA_TYPE.float) {
    throw new UnsupportedGraph(`The output "${output.name}" must be float32`);
  }
  if (texts !== undefined && texts.name !== CATEGORIES_NAME) {
    throw new UnsupportedGraph(`An input of texts must have the name ${CATEGORIES_NAME}, not ${texts.name}`);
  }
  return { numbers: columnsOf(numbers), texts: columnsOf(texts) };
}

function columnsOf(input: OnnxValue | undefined): number {
  if (input === undefined) return 0;
  const { name, elementType, dimensions } = input;
  const [, columns] = dimensions;
  const isKnown = elementType === DATA_TYPE.float || elementType === DATA_TYPE.text;
  if (!isKnown || dimensions.length !== 2 || typeof columns !== 'number' || columns < 1) {
    throw new UnsupportedGraph(`The input "${name}" must be float32 or text [n, number of inputs]`);
  }
  if (columns > INPUT_COLUMNS_MAX) {
    throw new UnsupportedGraph(
      `The input "${name}" has ${columns} values in a row, the limit is ${INPUT_COLUMNS_MAX}`,
    );
  }
  return columns;
}

function requireLengths(
  sizes: InputSizes & { readonly outputs: number },
  rows: number,
  found: InputSizes & { readonly outputs: number },
): void {
  if (!Number.isSafeInteger(rows) || rows < 0) throw new RangeError(`${rows} is no number of rows`);
  const { numbers, texts, outputs } = sizes;
  if (found.numbers < rows * numbers || found.texts < rows * texts || found.outputs < rows * outputs) {
    const [wantedTexts, foundTexts] =
      texts === 0 ? ['', ''] : [`${rows * texts} texts, `, `${found.texts} texts, `];
    throw new RangeError(
      `${rows} rows need ${rows * numbers} inputs, ${wantedTexts}and ${rows * outputs} outputs, ` +
        `not ${found.numbers}, ${foundTexts}and ${found.outputs}`,
    );
  }
}

function taskOf(model: OnnxModel, form: CompiledForm): ModelTask {
  const written = model.metadata.get(TASK_KEY);
  if (written === undefined || written === form.task) return form.task;
  if (written === 'ranking' && form.task === 'regression') return 'ranking';
  throw new UnsupportedGraph(`A ${form.task} graph cannot have the task ${written}`);
}

function namesOf(model: OnnxModel, key: string, count: number): readonly string[] | undefined {
  const written = model.metadata.get(key);
  if (written === undefined) return undefined;
  let names: unknown;
  try {
    names = JSON.parse(written);
  } catch {
    names = undefined;
  }
  if (!Array.isArray(names) || names.length !== count || !names.every((name) => typeof name === 'string')) {
    throw new UnsupportedGraph(`The metadata ${key} must be a JSON array of ${count} texts`);
  }
  return names;
}
