import type { Matrix } from './matrix.ts';
import { checkMatrix } from './matrix.ts';

/**
 * @internal Checks features, labels and weights of a binary training set and copies the labels into bytes.
 *
 * @throws RangeError naming the first row that is wrong, or saying that one of the two classes is missing.
 */
export function readLabels(features: Matrix, labels: ArrayLike<number>, what: string): Uint8Array {
  checkMatrix(features, `${what} matrix`);
  if (labels.length !== features.rows) {
    throw new RangeError(
      `The ${what} matrix has ${features.rows} rows but there are ${labels.length} labels`,
    );
  }
  const read = new Uint8Array(labels.length);
  for (let row = 0; row < labels.length; row += 1) {
    const label = labels[row];
    if (label !== 0 && label !== 1)
      throw new RangeError(`Label ${row} of the ${what} must be 0 or 1, not ${label}`);
    read[row] = label;
  }
  return read;
}

/**
 * @internal Copies the weights of rows, all 1 when there are none.
 *
 * @throws RangeError on a negative, infinite or missing one.
 */
export function readWeights(weights: ArrayLike<number> | undefined, rows: number): Float64Array {
  const read = new Float64Array(rows);
  if (weights === undefined) return read.fill(1);
  if (weights.length !== rows) throw new RangeError(`There are ${rows} rows but ${weights.length} weights`);
  for (let row = 0; row < rows; row += 1) {
    const weight = weights[row] as number;
    if (!(weight >= 0) || weight === Number.POSITIVE_INFINITY) {
      throw new RangeError(`Weight ${row} must be a finite number of at least 0, not ${weight}`);
    }
    read[row] = weight;
  }
  return read;
}

/**
 * @internal The weighted share of positive labels, strictly between 0 and 1.
 *
 * @throws RangeError when a class is missing: nothing can be learnt from rows that are all alike.
 */
export function positiveShare(labels: Uint8Array, weights: Float64Array): number {
  let total = 0;
  let positive = 0;
  for (let row = 0; row < labels.length; row += 1) {
    const weight = weights[row] as number;
    total += weight;
    if (labels[row] === 1) positive += weight;
  }
  if (!(positive > 0 && positive < total)) {
    throw new RangeError(
      `Training needs rows of both classes with weight; ${labels.length} rows of weight ${total} have ` +
        `positives of weight ${positive}`,
    );
  }
  return positive / total;
}
