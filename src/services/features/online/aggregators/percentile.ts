import type { FeaturePlan } from '../../plan.ts';
import type { Aggregator } from './aggregator.ts';
import { Arena } from './arena.ts';
import { TABLE_COLUMNS, Tables } from './table.ts';

/** Magnitudes between which the relative error holds: smaller ones count as 0, larger ones as the largest. */
export const MAGNITUDE = { min: 1e-9, max: 1e16 } as const;

/**
 * `percentile`: a count for each bucket of a logarithmic scale (DDSketch, Masson and others 2019). The buckets are fixed by the
 * accuracy alone, and none is ever joined with another, so sketches merge by adding counts. A sketch of accuracy a has at
 * most 2 * 57.6 / ln((1 + a) / (1 - a)) + 1 buckets: 5,758 at 1 %.
 */
export class Percentile implements Aggregator {
  readonly columns = TABLE_COLUMNS;
  readonly arena = new Arena();
  readonly #tables = new Tables(this.arena, 2);
  readonly #base: number;
  readonly #logBase: number;
  /** Added to the exponent of a bucket, so that the smallest is 1; 0 is the bucket of 0, negative ones are of negative values. */
  readonly #shift: number;
  /** Buckets of the state that was last finished, ascending, with the number of values up to each. */
  #sorted: readonly { readonly bucket: number; readonly upTo: number }[] | undefined;

  constructor(accuracy: number) {
    this.#base = (1 + accuracy) / (1 - accuracy);
    this.#logBase = Math.log(this.#base);
    this.#shift = 1 - Math.ceil(Math.log(MAGNITUDE.min) / this.#logBase);
  }

  open(values: Float64Array, at: number): void {
    this.#sorted = undefined;
    this.#tables.open(values, at);
  }

  add(values: Float64Array, at: number, value: number): void {
    this.#sorted = undefined;
    this.#tables.add(values, at, this.#bucket(value), 1);
  }

  merge(values: Float64Array, at: number, from: Float64Array, fromAt: number): void {
    this.#sorted = undefined;
    this.#tables.each(from, fromAt, (bucket, count) => this.#tables.add(values, at, bucket, count));
  }

  release(values: Float64Array, at: number): void {
    this.#tables.release(values, at);
  }

  finish(values: Float64Array, at: number, { feature, unit }: FeaturePlan): number | null {
    const sorted = (this.#sorted ??= this.#sort(values, at));
    const total = sorted.at(-1)?.upTo ?? 0;
    const rank = Math.floor((feature.parameters?.quantile ?? 0) * (total - 1));
    const found = sorted.find(({ upTo }) => upTo > rank);
    return found === undefined ? null : this.#value(found.bucket) / unit;
  }

  #bucket(value: number): number {
    const magnitude = Math.abs(value);
    if (magnitude < MAGNITUDE.min) return 0;
    const exponent = Math.ceil(Math.log(Math.min(magnitude, MAGNITUDE.max)) / this.#logBase);
    return Math.sign(value) * (exponent + this.#shift);
  }

  /** The value with the same relative distance from both ends of the bucket. */
  #value(bucket: number): number {
    if (bucket === 0) return 0;
    return (Math.sign(bucket) * 2 * this.#base ** (Math.abs(bucket) - this.#shift)) / (this.#base + 1);
  }

  #sort(values: Float64Array, at: number): { readonly bucket: number; readonly upTo: number }[] {
    const entries: { bucket: number; upTo: number }[] = [];
    this.#tables.each(values, at, (bucket, count) => entries.push({ bucket, upTo: count }));
    entries.sort((a, b) => a.bucket - b.bucket);
    let total = 0;
    for (const entry of entries) {
      total += entry.upTo;
      entry.upTo = total;
    }
    return entries;
  }
}
