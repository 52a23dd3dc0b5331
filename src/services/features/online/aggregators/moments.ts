import type { FeaturePlan } from '../../plan.ts';
import type { Aggregator } from './aggregator.ts';
import { addTo, productRest } from './double-double.ts';

const COUNT = 0;
const SUM = 1;
const SQUARES = 3;
const COLUMNS = 5;

/** A value of larger magnitude has no square; a window with one has no variance. */
export const MOMENT_MAX = 1e150;

/**
 * `variance` and `std`: the count, and the sums of values and of squares in 106 bits each. Such sums merge by addition, do not
 * depend on the order for whole numbers, and leave more digits than running means where values lie far from 0.
 */
export class Moments implements Aggregator {
  readonly columns = COLUMNS;
  readonly #scratch = new Float64Array(2);

  open(values: Float64Array, at: number): void {
    values.fill(0, at, at + COLUMNS);
  }

  add(values: Float64Array, at: number, value: number): void {
    values[at + COUNT] = (values[at + COUNT] ?? 0) + 1;
    if (Math.abs(value) > MOMENT_MAX) {
      values[at + SUM] = Number.NaN;
      return;
    }
    addTo(values, at + SUM, value, 0);
    addTo(values, at + SQUARES, value * value, productRest(value, value));
  }

  merge(values: Float64Array, at: number, from: Float64Array, fromAt: number): void {
    values[at + COUNT] = (values[at + COUNT] ?? 0) + (from[fromAt + COUNT] ?? 0);
    for (const column of [SUM, SQUARES])
      addTo(values, at + column, from[fromAt + column] ?? 0, from[fromAt + column + 1] ?? 0);
  }

  finish(values: Float64Array, at: number, { feature, unit }: FeaturePlan): number | null {
    const variance = this.#variance(values, at);
    if (!Number.isFinite(variance)) return null;
    return feature.kind === 'std' ? Math.sqrt(variance) / unit : variance / unit / unit;
  }

  /** (count * squares - sum * sum) / count^2, with the difference in 106 bits. */
  #variance(values: Float64Array, at: number): number {
    const count = values[at + COUNT] ?? 0;
    const [sum, sumRest] = [values[at + SUM] ?? 0, values[at + SUM + 1] ?? 0];
    const [squares, squaresRest] = [values[at + SQUARES] ?? 0, values[at + SQUARES + 1] ?? 0];
    const difference = this.#scratch;
    difference[0] = count * squares;
    difference[1] = productRest(count, squares) + count * squaresRest;
    addTo(difference, 0, -(sum * sum), -(productRest(sum, sum) + 2 * sum * sumRest));
    return Math.max(0, (difference[0] ?? 0) / count / count);
  }
}
