import type { Matrix } from '../matrix.ts';

/** What standardisation needs of each column: the mean of the values present, and the scale to divide by. */
export interface Standardisation {
  /**
   * Weighted mean of the values present, which also stands in for a missing one; 0 for a column without any.
   */
  readonly means: Float64Array;
  /**
   * Population standard deviation after missing values became the mean; 1 for a column that does not vary.
   */
  readonly scales: Float64Array;
  /** 1 for a column that varies. A constant column carries no information beside the intercept. */
  readonly varies: Uint8Array;
}

/**
 * @internal Means and scales of the columns, in two passes so that large offsets lose no digits.
 *
 * @throws RangeError when a value is infinite.
 */
export function standardisationOf(features: Matrix, weights: Float64Array): Standardisation {
  const { rows, columns, values } = features;
  const means = new Float64Array(columns);
  const present = new Float64Array(columns);
  for (let row = 0; row < rows; row += 1) {
    const weight = weights[row] as number;
    for (let column = 0; column < columns; column += 1) {
      const value = values[row * columns + column] as number;
      if (Number.isNaN(value)) continue;
      if (!Number.isFinite(value)) throw new RangeError(`Row ${row} has ${value} in column ${column}`);
      means[column] = (means[column] as number) + weight * value;
      present[column] = (present[column] as number) + weight;
    }
  }
  for (let column = 0; column < columns; column += 1) {
    const count = present[column] as number;
    means[column] = count > 0 ? (means[column] as number) / count : 0;
  }
  return { means, ...scalesOf(features, weights, means) };
}

function scalesOf(
  features: Matrix,
  weights: Float64Array,
  means: Float64Array,
): Pick<Standardisation, 'scales' | 'varies'> {
  const { rows, columns, values } = features;
  let total = 0;
  const scales = new Float64Array(columns);
  const varies = new Uint8Array(columns);
  for (let row = 0; row < rows; row += 1) {
    const weight = weights[row] as number;
    total += weight;
    for (let column = 0; column < columns; column += 1) {
      const difference = (values[row * columns + column] as number) - (means[column] as number);
      if (!Number.isNaN(difference))
        scales[column] = (scales[column] as number) + weight * difference * difference;
    }
  }
  for (let column = 0; column < columns; column += 1) {
    const deviation = Math.sqrt((scales[column] as number) / total);
    // Equal values differ from their computed mean by rounding, which must not be blown up to a scale of 1.
    const rounding = 1e-12 * Math.abs(means[column] as number);
    varies[column] = deviation > rounding ? 1 : 0;
    scales[column] = varies[column] === 1 ? deviation : 1;
  }
  return { scales, varies };
}

/**
 * @internal A function that writes one standardised row to an array; a missing value becomes 0, the
 * standardised mean.
 */
export function rowStandardiser(
  features: Matrix,
  standardisation: Standardisation,
): (row: number, into: Float64Array) => void {
  const { columns, values } = features;
  const { means, scales, varies } = standardisation;
  return (row, into) => {
    const start = row * columns;
    for (let column = 0; column < columns; column += 1) {
      const value =
        ((values[start + column] as number) - (means[column] as number)) / (scales[column] as number);
      into[column] = varies[column] === 0 || Number.isNaN(value) ? 0 : value;
    }
  };
}
