import { FLOAT32_MAX } from '../onnx/encode-logistic.ts';
import type { NumericStep } from './description.ts';
import type { NumericPlan } from './plan.ts';
import type { NumericColumn } from './table.ts';

/**
 * @internal Fits the step of a numeric column.
 *
 * @throws RangeError on a value that is infinite as Float32, or when a column without values is to be imputed
 *   from them.
 */
export function fitNumeric(plan: NumericPlan, column: NumericColumn, weights: Float64Array): NumericStep {
  const values = Float32Array.from(column.values);
  const infinite = values.findIndex((value) => Math.abs(value) > FLOAT32_MAX);
  if (infinite >= 0) {
    throw new RangeError(
      `Row ${infinite} of "${column.name}" must be a Float32 number or NaN, not ${column.values[infinite]}`,
    );
  }
  const fill = fillOf(plan, values, weights);
  const filled = Float64Array.from(values, (value) => (Number.isNaN(value) ? (fill ?? Number.NaN) : value));
  const { mean, scale } = plan.standardise === true ? spreadOf(filled, weights) : { mean: 0, scale: 1 };
  return { kind: 'numeric', column: plan.column, fill, indicator: plan.indicator ?? false, mean, scale };
}

function fillOf(plan: NumericPlan, values: Float32Array, weights: Float64Array): number | null {
  const { impute = 'none' } = plan;
  if (impute === 'none') return null;
  if (typeof impute === 'object') {
    if (!(Math.abs(impute.constant) <= FLOAT32_MAX)) {
      throw new RangeError(
        `The constant of "${plan.column}" must be a Float32 number, not ${impute.constant}`,
      );
    }
    // JSON does not keep the sign of 0.
    return impute.constant + 0;
  }
  const present = [...values.keys()].filter(
    (row) => !Number.isNaN(values[row]) && (weights[row] as number) > 0,
  );
  if (present.length === 0) {
    throw new RangeError(
      `The column "${plan.column}" has no values to impute from; a constant can stand in for them`,
    );
  }
  switch (impute) {
    case 'mean':
      return spreadOf(values, weights).mean;
    case 'median':
      return medianOf(present, values, weights);
    case 'most-frequent':
      return mostFrequentOf(present, values, weights);
  }
}

/** Weighted mean and population standard deviation of the values present; 0 and 1 where there are none. */
function spreadOf(
  values: ArrayLike<number>,
  weights: Float64Array,
): { readonly mean: number; readonly scale: number } {
  let origin = Number.NaN;
  let total = 0;
  let sum = 0;
  for (let row = 0; row < values.length; row += 1) {
    const value = values[row] as number;
    const weight = weights[row] as number;
    if (Number.isNaN(value) || weight === 0) continue;
    // The mean of deviations from the first value: equal values then have exactly that mean.
    if (Number.isNaN(origin)) origin = value;
    total += weight;
    sum += weight * (value - origin);
  }
  if (total === 0) return { mean: 0, scale: 1 };
  const mean = origin + sum / total + 0;
  let squares = 0;
  for (let row = 0; row < values.length; row += 1) {
    const difference = (values[row] as number) - mean;
    if (!Number.isNaN(difference)) squares += (weights[row] as number) * difference * difference;
  }
  const deviation = Math.sqrt(squares / total);
  return { mean, scale: deviation > 1e-12 * Math.abs(mean) ? deviation : 1 };
}

/** The value below and above which lies the same weight; between two such values their middle. */
function medianOf(present: number[], values: Float32Array, weights: Float64Array): number {
  const order = present.sort((a, b) => (values[a] as number) - (values[b] as number));
  const total = order.reduce((sum, row) => sum + (weights[row] as number), 0);
  let below = 0;
  for (let index = 0; index < order.length; index += 1) {
    const row = order[index] as number;
    below += weights[row] as number;
    if (below * 2 < total) continue;
    const value = values[row] as number;
    const next = below * 2 === total ? order[index + 1] : undefined;
    return (next === undefined ? value : (value + (values[next] as number)) / 2) + 0;
  }
  return (values[order.at(-1) as number] as number) + 0;
}

function mostFrequentOf(present: readonly number[], values: Float32Array, weights: Float64Array): number {
  const sums = new Map<number, number>();
  for (const row of present) {
    const value = (values[row] as number) + 0;
    sums.set(value, (sums.get(value) ?? 0) + (weights[row] as number));
  }
  let [best = 0] = sums.keys();
  for (const [value, sum] of sums) {
    const most = sums.get(best) as number;
    if (sum > most || (sum === most && value < best)) best = value;
  }
  return best;
}
