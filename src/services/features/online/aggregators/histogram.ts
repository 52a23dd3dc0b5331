import type { FeaturePlan } from '../../plan.ts';
import type { Aggregator } from './aggregator.ts';

/** `histogram`: a count for each bucket. A value at a bound belongs to the bucket above. */
export class Histogram implements Aggregator {
  readonly columns: number;
  readonly #bounds: readonly number[];

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.columns = bounds.length + 1;
  }

  open(values: Float64Array, at: number): void {
    values.fill(0, at, at + this.columns);
  }

  add(values: Float64Array, at: number, value: number): void {
    let bucket = 0;
    while (bucket < this.#bounds.length && value >= (this.#bounds[bucket] ?? 0)) bucket += 1;
    values[at + bucket] = (values[at + bucket] ?? 0) + 1;
  }

  merge(values: Float64Array, at: number, from: Float64Array, fromAt: number): void {
    for (let bucket = 0; bucket < this.columns; bucket += 1)
      values[at + bucket] = (values[at + bucket] ?? 0) + (from[fromAt + bucket] ?? 0);
  }

  finish(values: Float64Array, at: number, { feature }: FeaturePlan): number {
    return values[at + (feature.rank ?? 0)] ?? 0;
  }
}
