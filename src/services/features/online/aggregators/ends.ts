import type { FeaturePlan } from '../../plan.ts';
import type { Aggregator } from './aggregator.ts';

const TIME = 0;
const SEQUENCE = 1;
const VALUE = 2;
const ENTRY = 3;

/**
 * `first`, `firstK` and `lastK`: the values of the earliest or latest events by (time, sequence), best first. Layout: how many,
 * then `size` times time, sequence and value.
 */
export class Ends implements Aggregator {
  readonly columns: number;
  readonly #size: number;
  /** 1 for the earliest, -1 for the latest. */
  readonly #sign: number;

  constructor(size: number, end: 'earliest' | 'latest') {
    this.#size = size;
    this.#sign = end === 'earliest' ? 1 : -1;
    this.columns = 1 + size * ENTRY;
  }

  open(values: Float64Array, at: number): void {
    values[at] = 0;
  }

  add(values: Float64Array, at: number, value: number, time: number, sequence: number): void {
    const count = values[at] ?? 0;
    let row = count;
    while (row > 0 && this.#isBefore(values, at + 1 + (row - 1) * ENTRY, time, sequence)) row -= 1;
    if (row === this.#size) return;
    const entry = at + 1 + row * ENTRY;
    const kept = Math.min(count, this.#size - 1);
    values.copyWithin(entry + ENTRY, entry, at + 1 + kept * ENTRY);
    values[entry + TIME] = time;
    values[entry + SEQUENCE] = sequence;
    values[entry + VALUE] = value;
    values[at] = kept + 1;
  }

  merge(values: Float64Array, at: number, from: Float64Array, fromAt: number): void {
    const count = from[fromAt] ?? 0;
    for (let row = 0; row < count; row += 1) {
      const entry = fromAt + 1 + row * ENTRY;
      this.add(values, at, from[entry + VALUE] ?? 0, from[entry + TIME] ?? 0, from[entry + SEQUENCE] ?? 0);
    }
  }

  finish(values: Float64Array, at: number, { feature, unit }: FeaturePlan): number | null {
    const rank = feature.rank ?? 0;
    return rank < (values[at] ?? 0) ? (values[at + 1 + rank * ENTRY + VALUE] ?? 0) / unit : null;
  }

  /** Whether (time, sequence) comes before the entry. */
  #isBefore(values: Float64Array, entry: number, time: number, sequence: number): boolean {
    const known = values[entry + TIME] ?? 0;
    if (time !== known) return this.#sign * time < this.#sign * known;
    return this.#sign * sequence < this.#sign * (values[entry + SEQUENCE] ?? 0);
  }
}
