import type { FeaturePlan } from '../../plan.ts';
import type { Aggregator } from './aggregator.ts';
import { Arena } from './arena.ts';
import { TABLE_COLUMNS, Tables } from './table.ts';

/** After the columns of the table: whether there were more different values than the limit. */
const OVER = TABLE_COLUMNS;

/**
 * `topK`: an exact count for each value, up to a limit of different ones. A window with more has no answer, whatever the order of
 * its events: every way of keeping only some counts would depend on it.
 */
export class Top implements Aggregator {
  readonly columns = TABLE_COLUMNS + 1;
  readonly arena = new Arena();
  readonly #limit: number;
  readonly #tables = new Tables(this.arena, 2);
  /** Values and counts of the state that was last finished, most frequent first. */
  #ranked: readonly { readonly value: number; readonly count: number }[] | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  open(values: Float64Array, at: number): void {
    this.#tables.open(values, at);
    values[at + OVER] = 0;
    this.#ranked = undefined;
  }

  add(values: Float64Array, at: number, value: number): void {
    this.#add(values, at, value + 0, 1);
  }

  merge(values: Float64Array, at: number, from: Float64Array, fromAt: number): void {
    if (from[fromAt + OVER] === 1) this.#pass(values, at);
    else this.#tables.each(from, fromAt, (value, count) => this.#add(values, at, value, count));
  }

  release(values: Float64Array, at: number): void {
    this.#tables.release(values, at);
    values[at + OVER] = 0;
  }

  finish(values: Float64Array, at: number, { feature, unit }: FeaturePlan): number | null {
    if (values[at + OVER] === 1) return null;
    const entry = (this.#ranked ??= this.#rank(values, at))[feature.rank ?? 0];
    if (entry === undefined) return null;
    return feature.parameters?.of === 'values' ? entry.value / unit : entry.count;
  }

  #add(values: Float64Array, at: number, value: number, count: number): void {
    this.#ranked = undefined;
    if (values[at + OVER] === 1) return;
    this.#tables.add(values, at, value, count);
    if (this.#tables.count(values, at) > this.#limit) this.#pass(values, at);
  }

  #pass(values: Float64Array, at: number): void {
    this.#ranked = undefined;
    this.#tables.release(values, at);
    values[at + OVER] = 1;
  }

  /** Of equally frequent values the smaller comes first. */
  #rank(values: Float64Array, at: number): { readonly value: number; readonly count: number }[] {
    const entries: { readonly value: number; readonly count: number }[] = [];
    this.#tables.each(values, at, (value, count) => entries.push({ value, count }));
    return entries.sort((a, b) => b.count - a.count || a.value - b.value);
  }
}
