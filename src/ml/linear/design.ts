import type { Matrix } from '../matrix.ts';
import type { Standardisation } from './standardise.ts';
import { rowStandardiser, standardisationOf } from './standardise.ts';
import { totalWeight } from './targets.ts';

/** Values of a standardised table, rows times columns, that is kept in memory: 2 GiB. */
export const DESIGN_VALUES_MAX: number = 2 ** 28;

/** The standardised training table, column after column, for methods that go through it by columns. */
export interface Design {
  readonly rows: number;
  readonly columns: number;
  /** One array of `rows` values for each column; a missing value is 0, the mean. */
  readonly values: readonly Float64Array[];
  readonly weights: Float64Array;
  /** Sum of the weights. */
  readonly total: number;
  readonly standardisation: Standardisation;
}

/**
 * @internal Standardises a table by its weighted means and deviations.
 *
 * @throws RangeError when no row has weight, a value is infinite, or there are more than {@link
 *   DESIGN_VALUES_MAX} values.
 */
export function designOf(features: Matrix, weights: Float64Array): Design {
  const { rows, columns } = features;
  if (rows * columns > DESIGN_VALUES_MAX) {
    throw new RangeError(`Training takes ${DESIGN_VALUES_MAX} values at most, not ${rows} x ${columns}`);
  }
  const total = totalWeight(weights);
  const standardisation = standardisationOf(features, weights);
  const standardise = rowStandardiser(features, standardisation);
  const values = Array.from({ length: columns }, () => new Float64Array(rows));
  const row = new Float64Array(columns);
  for (let index = 0; index < rows; index += 1) {
    standardise(index, row);
    for (let column = 0; column < columns; column += 1) {
      (values[column] as Float64Array)[index] = row[column] as number;
    }
  }
  return { rows, columns, values, weights, total, standardisation };
}

/** @internal Adds the columns, each times its coefficient, to `into`, a value for each row. */
export function addColumns(design: Design, coefficients: Float64Array, into: Float64Array): void {
  design.values.forEach((values, column) => {
    const coefficient = coefficients[column] as number;
    if (coefficient === 0) return;
    for (let row = 0; row < into.length; row += 1) {
      into[row] = (into[row] as number) + coefficient * (values[row] as number);
    }
  });
}

/** @internal Scalar product of each column with a value for each row. */
export function columnProducts(design: Design, rowValues: Float64Array): Float64Array {
  const products = new Float64Array(design.columns);
  design.values.forEach((values, column) => {
    let sum = 0;
    for (let row = 0; row < values.length; row += 1)
      sum += (values[row] as number) * (rowValues[row] as number);
    products[column] = sum;
  });
  return products;
}

/** Weighted targets with their mean taken off. */
export interface CentredTargets {
  readonly mean: number;
  /** Target minus mean. */
  readonly centred: Float64Array;
  /** Population standard deviation. */
  readonly deviation: number;
  /** What rounding may leave in a mean product of a standardised column with a residual. */
  readonly rounding: number;
}

/** @internal Takes the weighted mean off the targets, in two passes. */
export function centreTargets(targets: Float64Array, design: Design): CentredTargets {
  const { weights, total } = design;
  let mean = 0;
  // The mean of deviations from the first target: equal targets then have exactly that mean.
  const origin = targets[0] ?? 0;
  for (let row = 0; row < targets.length; row += 1) {
    mean += ((weights[row] as number) / total) * ((targets[row] as number) - origin);
  }
  mean += origin;
  let squares = 0;
  const centred = targets.map((target, row) => {
    const difference = target - mean;
    squares += ((weights[row] as number) / total) * difference * difference;
    return difference;
  });
  const deviation = Math.sqrt(squares);
  return { mean, centred, deviation, rounding: 1e-13 * (deviation + Math.abs(mean)) };
}
