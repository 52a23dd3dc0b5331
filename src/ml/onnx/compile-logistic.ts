import { FLOAT32_MAX } from './encode-logistic.ts';
import { UnsupportedGraph } from './errors.ts';
import type { GraphReader } from './graph-reader.ts';
import { attributeOf, onlyAttributes } from './graph-reader.ts';
import type { OnnxNode } from './schema.ts';
import { DATA_TYPE } from './schema.ts';

/** Writes the probability of each row; sizes are checked by the caller. */
export type Evaluator = (input: Float32Array, rows: number, output: Float64Array) => void;

/**
 * @internal Turns the graph that `encodeLogistic` writes into one fused loop.
 *
 * @throws UnsupportedGraph when the graph is another one.
 */
export function compileLogistic(reader: GraphReader, inputCount: number): Evaluator {
  const input = reader.graph.inputs[0]?.name ?? '';
  const sigmoid = reader.producer(
    castSource(reader, reader.graph.outputs[0]?.name ?? '', DATA_TYPE.float),
    'Sigmoid',
    1,
  );
  const gemm = reader.producer(inputOf(sigmoid, 0), 'Gemm', 3);
  const div = reader.producer(inputOf(gemm, 0), 'Div', 2);
  const sub = reader.producer(inputOf(div, 0), 'Sub', 2);
  const where = reader.producer(inputOf(sub, 0), 'Where', 3);
  const isNaN = reader.producer(inputOf(where, 0), 'IsNaN', 1);
  const clip = reader.producer(inputOf(where, 2), 'Clip', 3);
  for (const node of [sigmoid, gemm, div, sub, where, isNaN, clip]) onlyAttributes(node, []);
  if (inputOf(isNaN, 0) !== input || castSource(reader, inputOf(clip, 0), DATA_TYPE.double) !== input) {
    throw new UnsupportedGraph(`IsNaN and Cast must read the input "${input}"`, 'IsNaN');
  }
  if (inputOf(where, 1) !== inputOf(sub, 1)) {
    throw new UnsupportedGraph('Missing values must become what Sub takes away', 'Where');
  }
  const least = reader.doubles(inputOf(clip, 1), [])[0];
  const most = reader.doubles(inputOf(clip, 2), [])[0];
  if (least !== -FLOAT32_MAX || most !== FLOAT32_MAX) {
    throw new UnsupportedGraph('Clip must have the bounds of float32', 'Clip');
  }
  return evaluator({
    means: reader.doubles(inputOf(sub, 1), [inputCount]),
    scales: reader.doubles(inputOf(div, 1), [inputCount]),
    coefficients: reader.doubles(inputOf(gemm, 1), [inputCount, 1]),
    intercept: reader.doubles(inputOf(gemm, 2), [1])[0] as number,
  });
}

function evaluator(model: {
  readonly means: Float64Array;
  readonly scales: Float64Array;
  readonly coefficients: Float64Array;
  readonly intercept: number;
}): Evaluator {
  const { means, scales, coefficients, intercept } = model;
  const columns = means.length;
  return (input, rows, output) => {
    let at = 0;
    for (let row = 0; row < rows; row += 1) {
      let margin = intercept;
      for (let column = 0; column < columns; column += 1, at += 1) {
        const value = input[at] as number;
        // A missing value is the mean, which adds nothing.
        if (value !== value) continue;
        const finite = value > FLOAT32_MAX ? FLOAT32_MAX : value < -FLOAT32_MAX ? -FLOAT32_MAX : value;
        margin +=
          ((finite - (means[column] as number)) / (scales[column] as number)) *
          (coefficients[column] as number);
      }
      output[row] = 1 / (1 + Math.exp(-margin));
    }
  };
}

/** What the Cast that produces `value` reads. */
function castSource(reader: GraphReader, value: string, type: number): string {
  const cast = reader.producer(value, 'Cast', 1);
  onlyAttributes(cast, ['to']);
  if (attributeOf(cast, 'to').integer !== type)
    throw new UnsupportedGraph('Cast must be to float64 and back', 'Cast');
  return inputOf(cast, 0);
}

function inputOf(node: OnnxNode, index: number): string {
  return node.inputs[index] as string;
}
