import type { Link } from '../gbdt/link.ts';
import { applyLink } from '../gbdt/link.ts';
import { compileConstant, compileLastValue } from './compile-baseline.ts';
import type { CompiledCurve } from './compile-calibration.ts';
import { compileIsotonic, compilePlatt } from './compile-calibration.ts';
import { MARGIN_NODES, compileLinear } from './compile-linear.ts';
import { TREES_OPERATOR, compileTrees } from './compile-trees.ts';
import type { CompiledForm } from './compiled-form.ts';
import { UnsupportedGraph } from './errors.ts';
import { GraphReader, inputOf, onlyAttributes } from './graph-reader.ts';
import { DATA_TYPE } from './schema.ts';

/**
 * @internal Compiles the nodes from the one numeric input of a graph to its output.
 *
 * @throws UnsupportedGraph when they are of no form that is written here.
 */
export function compileForm(reader: GraphReader, inputCount: number): CompiledForm {
  const output = reader.graph.outputs[0]?.name ?? '';
  if (reader.source(output)?.operator !== 'Cast') return treesForm(reader, output, inputCount);
  const wide = reader.castSource(output, DATA_TYPE.float);
  const form = wideForm(reader, wide, inputCount);
  return { ...form, nodeCount: form.nodeCount + 1 };
}

/** The form of a float64 answer, by the operator that it comes from. */
function wideForm(reader: GraphReader, value: string, inputCount: number): CompiledForm {
  switch (reader.source(value)?.operator ?? 'none') {
    case 'Expand':
      return compileConstant(reader, value);
    case 'Where':
      return compileLastValue(reader, value, inputCount);
    case 'Pow':
      return forestForm(reader, value, inputCount);
    case 'Min':
      return calibratedForm(reader, compileIsotonic(reader, value), inputCount);
    case 'Sigmoid': {
      const before = reader.source(inputOf(reader.producer(value, 'Sigmoid', 1), 0));
      if (before?.operator === 'Add') return calibratedForm(reader, compilePlatt(reader, value), inputCount);
      return scoreForm(reader, value, inputCount);
    }
    case 'Softmax': {
      const softmax = reader.producer(value, 'Softmax', 1);
      onlyAttributes(softmax, []);
      return linearForm(reader, inputOf(softmax, 0), { inputCount, link: 'softmax' });
    }
    default:
      return linearForm(reader, value, { inputCount, link: 'identity' });
  }
}

/** The probability of class 1, or its log odds, in float64. */
function scoreForm(reader: GraphReader, value: string, inputCount: number): CompiledForm {
  const isProbability = reader.source(value)?.operator === 'Sigmoid';
  let margin = value;
  if (isProbability) {
    const sigmoid = reader.producer(value, 'Sigmoid', 1);
    onlyAttributes(sigmoid, []);
    margin = inputOf(sigmoid, 0);
  }
  const link = isProbability ? 'logistic' : 'identity';
  if (reader.source(margin)?.operator !== 'Cast') return linearForm(reader, margin, { inputCount, link });
  const form = treeMargins(reader, margin, inputCount);
  if (!isProbability) return form;
  const { evaluate, nodeCount } = form;
  return {
    ...form,
    task: 'binary',
    nodeCount: nodeCount + 1,
    evaluate(input, rows, output) {
      evaluate(input, rows, output);
      applyLink(link, { values: output, outputs: 1, start: 0, end: rows });
    },
  };
}

function linearForm(
  reader: GraphReader,
  margins: string,
  model: { readonly inputCount: number; readonly link: Link },
): CompiledForm {
  const linear = compileLinear(reader, margins, model);
  const { outputCount } = linear;
  const nodeCount = MARGIN_NODES + (model.link === 'identity' ? 0 : 1);
  switch (model.link) {
    case 'logistic':
      return { kind: 'logistic', task: 'binary', ...linear, nodeCount };
    case 'softmax':
      return { kind: 'multinomial', task: 'multiclass', ...linear, nodeCount };
    case 'identity':
    case 'exponential':
      if (outputCount !== 1) throw new UnsupportedGraph('A linear regression must have one output', 'Gemm');
      return { kind: 'regression', task: 'regression', ...linear, nodeCount };
  }
}

/** Trees up to the float32 value `output`, as a graph of their own. */
function treesForm(reader: GraphReader, output: string, inputCount: number): CompiledForm {
  const outputs = [{ name: output, elementType: DATA_TYPE.float, dimensions: [] }];
  const trees = compileTrees(new GraphReader({ ...reader.graph, outputs }), inputCount);
  const last = reader.source(output)?.operator;
  const task = last === 'Sigmoid' ? 'binary' : last === 'Softmax' ? 'multiclass' : 'regression';
  return { kind: 'trees', task, ...trees };
}

/** The margin of trees with one output, cast to float64. */
function treeMargins(reader: GraphReader, value: string, inputCount: number): CompiledForm {
  const margin = reader.castSource(value, DATA_TYPE.double);
  reader.producer(margin, TREES_OPERATOR, 1);
  const form = treesForm(reader, margin, inputCount);
  if (form.outputCount !== 1) {
    throw new UnsupportedGraph(`${TREES_OPERATOR} must have one target there`, TREES_OPERATOR);
  }
  return { ...form, nodeCount: form.nodeCount + 1 };
}

/** 2 ^ (margin / a number below 0). */
function forestForm(reader: GraphReader, value: string, inputCount: number): CompiledForm {
  const pow = reader.producer(value, 'Pow', 2);
  const div = reader.producer(inputOf(pow, 1), 'Div', 2);
  for (const node of [pow, div]) onlyAttributes(node, []);
  const base = reader.doubles(inputOf(pow, 0), [])[0];
  const divisor = reader.doubles(inputOf(div, 1), [])[0] as number;
  if (base !== 2 || !(divisor < 0 && divisor > Number.NEGATIVE_INFINITY)) {
    throw new UnsupportedGraph('Pow must be of 2 and a quotient by a number below 0', 'Pow');
  }
  const { evaluate, nodeCount } = treeMargins(reader, inputOf(div, 0), inputCount);
  return {
    kind: 'isolation-forest',
    task: 'anomaly',
    outputCount: 1,
    margin: { kind: 'unknown', reason: 'an anomaly score is no sum of what its inputs add' },
    nodeCount: nodeCount + 2,
    evaluate(input, rows, output) {
      evaluate(input, rows, output);
      for (let row = 0; row < rows; row += 1) output[row] = 2 ** ((output[row] as number) / divisor);
    },
  };
}

function calibratedForm(
  reader: GraphReader,
  { curve, scores, nodeCount }: CompiledCurve,
  inputCount: number,
): CompiledForm {
  const form = scoreForm(reader, scores, inputCount);
  const { evaluate } = form;
  return {
    kind: form.kind === 'trees' ? 'trees' : 'logistic',
    task: 'binary',
    outputCount: 1,
    margin: form.margin,
    isCalibrated: true,
    nodeCount: form.nodeCount + nodeCount,
    evaluate(input, rows, output) {
      evaluate(input, rows, output);
      for (let row = 0; row < rows; row += 1) output[row] = curve(output[row] as number);
    },
  };
}
