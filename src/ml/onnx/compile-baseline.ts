import type { CompiledForm } from './compiled-form.ts';
import { UnsupportedGraph } from './errors.ts';
import type { GraphReader } from './graph-reader.ts';
import { attributeOf, inputOf, onlyAttributes, requireColumnAxis } from './graph-reader.ts';
import { DATA_TYPE, OUTPUT_NAME } from './schema.ts';

/**
 * @internal Reads a constant: Expand of the answer to the rows of the input. Whether it is a probability, only
 * the name of the output tells.
 *
 * @throws UnsupportedGraph when the nodes are others.
 */
export function compileConstant(reader: GraphReader, value: string): CompiledForm {
  const { graph } = reader;
  const expand = reader.producer(value, 'Expand', 2);
  onlyAttributes(expand, []);
  const concat = reader.producer(inputOf(expand, 1), 'Concat', 2);
  onlyAttributes(concat, ['axis']);
  const shape = reader.producer(inputOf(concat, 0), 'Shape', 1);
  onlyAttributes(shape, ['start', 'end']);
  const takesRows =
    attributeOf(concat, 'axis').integer === 0 &&
    attributeOf(shape, 'start').integer === 0 &&
    attributeOf(shape, 'end').integer === 1 &&
    inputOf(shape, 0) === graph.inputs[0]?.name &&
    reader.integer(inputOf(concat, 1)) === 1;
  if (!takesRows) throw new UnsupportedGraph('Expand must be to the rows of the input and 1', 'Expand');
  const name = inputOf(expand, 0);
  const outputCount = graph.initializers.get(name)?.dimensions[1] ?? 0;
  const answer = reader.doubles(name, [1, outputCount]);
  if (outputCount < 1 || !answer.every(Number.isFinite)) {
    throw new UnsupportedGraph('Expand must be of finite answers', 'Expand');
  }
  const isProbability = graph.outputs[0]?.name === OUTPUT_NAME;
  return {
    kind: 'constant',
    task: !isProbability ? 'regression' : outputCount === 1 ? 'binary' : 'multiclass',
    outputCount,
    margin: { kind: 'unknown', reason: 'a constant looks at no input' },
    nodeCount: 3,
    evaluate(_, rows, output) {
      for (let row = 0; row < rows; row += 1) output.set(answer, row * outputCount);
    },
  };
}

/**
 * @internal Reads a last value: a column, or the fallback where it is missing or infinite.
 *
 * @throws UnsupportedGraph when the nodes are others.
 */
export function compileLastValue(reader: GraphReader, value: string, inputCount: number): CompiledForm {
  const where = reader.producer(value, 'Where', 3);
  const or = reader.producer(inputOf(where, 0), 'Or', 2);
  const isNaN = reader.producer(inputOf(or, 0), 'IsNaN', 1);
  const isInf = reader.producer(inputOf(or, 1), 'IsInf', 1);
  for (const node of [where, or, isNaN, isInf]) onlyAttributes(node, []);
  const last = reader.castSource(inputOf(where, 2), DATA_TYPE.double);
  const gather = reader.producer(last, 'Gather', 2);
  requireColumnAxis(gather);
  if (inputOf(isNaN, 0) !== last || inputOf(isInf, 0) !== last) {
    throw new UnsupportedGraph('IsNaN and IsInf must read the column that is the answer', 'IsNaN');
  }
  const column = reader.integer(inputOf(gather, 1));
  if (inputOf(gather, 0) !== reader.graph.inputs[0]?.name || !(column >= 0 && column < inputCount)) {
    throw new UnsupportedGraph(`Gather must read one of the ${inputCount} inputs, not ${column}`, 'Gather');
  }
  const fallback = reader.doubles(inputOf(where, 1), [])[0] as number;
  if (!Number.isFinite(fallback)) throw new UnsupportedGraph('The fallback must be finite', 'Where');
  return {
    kind: 'last-value',
    task: 'regression',
    outputCount: 1,
    margin: { kind: 'unknown', reason: 'the last value is the answer itself' },
    nodeCount: 6,
    evaluate(input, rows, output) {
      for (let row = 0, at = column; row < rows; row += 1, at += inputCount) {
        const found = input[at] as number;
        output[row] = Number.isFinite(found) ? found : fallback;
      }
    },
  };
}
