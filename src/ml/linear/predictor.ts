import { FLOAT32_MAX } from '../onnx/encode-logistic.ts';
import type { LogisticModel } from './logistic.ts';
import type { MultinomialModel } from './multinomial.ts';
import type { RegressionModel } from './regression-model.ts';
import { softmax } from './softmax-loss.ts';

/**
 * A model ready to answer, of the same shape for every kind of model, so that any two can be measured side by
 * side.
 */
export interface Predictor {
  /** Values in an input row. */
  readonly inputCount: number;
  /** Values in an output row: 1 for a probability of class 1 or an estimate, else one for each class. */
  readonly outputCount: number;
  /**
   * Writes the answers to the start of `output`, row after row.
   *
   * @param input row after row, at least `rows * inputCount` values; NaN is missing
   * @throws RangeError when an array is too short.
   */
  predict(input: Float32Array, rows: number, output: Float64Array): void;
}

/** The models whose margins are linear in their inputs. */
export type LinearModel = LogisticModel | MultinomialModel | RegressionModel;

/**
 * @internal Checks the arrays of a prediction.
 *
 * @throws RangeError when one is too short or the number of rows is none.
 */
export function checkPrediction(
  predictor: Pick<Predictor, 'inputCount' | 'outputCount'>,
  rows: number,
  arrays: { readonly input: Float32Array; readonly output: Float64Array },
): void {
  const { inputCount, outputCount } = predictor;
  if (!Number.isSafeInteger(rows) || rows < 0) throw new RangeError(`${rows} is no number of rows`);
  if (arrays.input.length < rows * inputCount || arrays.output.length < rows * outputCount) {
    throw new RangeError(
      `${rows} rows need ${rows * inputCount} inputs and ${rows * outputCount} outputs, ` +
        `not ${arrays.input.length} and ${arrays.output.length}`,
    );
  }
}

/** Makes the predictor of a linear model. A missing value is the mean of its column. */
export function linearPredictor(model: LinearModel): Predictor {
  const inputCount = model.means.length;
  const outputCount = model.kind === 'multinomial' ? model.classCount : 1;
  const intercepts = model.kind === 'multinomial' ? model.intercepts : Float64Array.of(model.intercept);
  const margins = new Float64Array(outputCount);
  return {
    inputCount,
    outputCount,
    predict(input, rows, output) {
      checkPrediction({ inputCount, outputCount }, rows, { input, output });
      for (let row = 0; row < rows; row += 1) {
        margins.set(intercepts);
        addMargins(model, input.subarray(row * inputCount, (row + 1) * inputCount), margins);
        answer(model.kind, margins);
        output.set(margins, row * outputCount);
      }
    },
  };
}

function addMargins(model: LinearModel, row: Float32Array, margins: Float64Array): void {
  const { means, scales, coefficients } = model;
  const columns = row.length;
  for (let column = 0; column < columns; column += 1) {
    const value = row[column] as number;
    // A missing value is the mean, which adds nothing.
    if (Number.isNaN(value)) continue;
    const finite = Math.min(Math.max(value, -FLOAT32_MAX), FLOAT32_MAX);
    const standardised = (finite - (means[column] as number)) / (scales[column] as number);
    for (let k = 0; k < margins.length; k += 1) {
      margins[k] = (margins[k] as number) + standardised * (coefficients[k * columns + column] as number);
    }
  }
}

/** Turns margins into answers, in place. */
function answer(kind: LinearModel['kind'], margins: Float64Array): void {
  switch (kind) {
    case 'regression':
      return;
    case 'logistic':
      margins[0] = 1 / (1 + Math.exp(-(margins[0] as number)));
      return;
    case 'multinomial':
      softmax(margins);
  }
}
