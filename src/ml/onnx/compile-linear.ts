import type { Link } from '../gbdt/link.ts';
import { applyLink } from '../gbdt/link.ts';
import type { MarginForm } from './margin-form.ts';
import { UnsupportedGraph } from './errors.ts';
import type { GraphReader } from './graph-reader.ts';
import { inputOf, onlyAttributes } from './graph-reader.ts';
import { DATA_TYPE, FLOAT32_MAX } from './schema.ts';

/** Writes the answers to each row; sizes are checked by the caller. */
export type Evaluator = (input: Float32Array, rows: number, output: Float64Array) => void;

/** A linear model, its coefficients column after column: `coefficients[column * outputs + output]`. */
interface Linear {
  readonly means: Float64Array;
  readonly scales: Float64Array;
  readonly coefficients: Float64Array;
  readonly intercepts: Float64Array;
}

/** Nodes from the input to the margins. */
export const MARGIN_NODES = 7;

/**
 * @internal Turns the nodes that make the margins of a linear model into one fused loop.
 *
 * @param value name of the margins
 * @throws UnsupportedGraph when the nodes are others.
 */
export function compileLinear(
  reader: GraphReader,
  value: string,
  model: { readonly inputCount: number; readonly link: Link },
): { readonly evaluate: Evaluator; readonly outputCount: number; readonly margin: MarginForm } {
  const { inputCount, link } = model;
  const input = reader.graph.inputs[0]?.name ?? '';
  const gemm = reader.producer(value, 'Gemm', 3);
  const div = reader.producer(inputOf(gemm, 0), 'Div', 2);
  const sub = reader.producer(inputOf(div, 0), 'Sub', 2);
  const where = reader.producer(inputOf(sub, 0), 'Where', 3);
  const isNaN = reader.producer(inputOf(where, 0), 'IsNaN', 1);
  const clip = reader.producer(inputOf(where, 2), 'Clip', 3);
  for (const node of [gemm, div, sub, where, isNaN, clip]) onlyAttributes(node, []);
  if (inputOf(isNaN, 0) !== input || reader.castSource(inputOf(clip, 0), DATA_TYPE.double) !== input) {
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
  const outputCount = reader.lengthOf(inputOf(gemm, 2));
  if (outputCount < 1 || (link === 'logistic' && outputCount !== 1)) {
    throw new UnsupportedGraph(`Gemm cannot have ${outputCount} columns there`, 'Gemm');
  }
  const linear = {
    means: reader.doubles(inputOf(sub, 1), [inputCount]),
    scales: reader.doubles(inputOf(div, 1), [inputCount]),
    coefficients: reader.doubles(inputOf(gemm, 1), [inputCount, outputCount]),
    intercepts: reader.doubles(inputOf(gemm, 2), [outputCount]),
  };
  // A softmax of one margin is 1.
  const isSingle = outputCount === 1 && link !== 'softmax';
  return {
    outputCount,
    margin: marginOf(linear),
    evaluate: isSingle ? oneOutput(linear, link === 'logistic') : manyOutputs(linear, link),
  };
}

function marginOf({ intercepts, ...model }: Linear): MarginForm {
  const [intercept] = intercepts;
  if (intercepts.length !== 1 || intercept === undefined)
    return { kind: 'unknown', reason: 'it gives an answer for each of several classes' };
  return { kind: 'linear', model: { ...model, intercept } };
}

function oneOutput(model: Linear, isProbability: boolean): Evaluator {
  const { means, scales, coefficients } = model;
  const columns = means.length;
  const intercept = model.intercepts[0] as number;
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
      // As `applyLink` does.
      output[row] = isProbability ? 1 / (1 + Math.exp(-margin)) : margin;
    }
  };
}

function manyOutputs(model: Linear, link: Link): Evaluator {
  const { means, scales, coefficients, intercepts } = model;
  const columns = means.length;
  const outputs = intercepts.length;
  return (input, rows, output) => {
    let at = 0;
    for (let row = 0; row < rows; row += 1) {
      const first = row * outputs;
      output.set(intercepts, first);
      for (let column = 0; column < columns; column += 1, at += 1) {
        const value = input[at] as number;
        if (value !== value) continue;
        const finite = value > FLOAT32_MAX ? FLOAT32_MAX : value < -FLOAT32_MAX ? -FLOAT32_MAX : value;
        const standardised = (finite - (means[column] as number)) / (scales[column] as number);
        const from = column * outputs;
        for (let k = 0; k < outputs; k += 1) {
          output[first + k] =
            (output[first + k] as number) + standardised * (coefficients[from + k] as number);
        }
      }
    }
    applyLink(link, { values: output, outputs, start: 0, end: rows });
  };
}
