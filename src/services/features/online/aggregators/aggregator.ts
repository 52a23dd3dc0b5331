import type { Feature } from '../../../../define/index.ts';
import type { FeaturePlan } from '../../plan.ts';
import type { Arena } from './arena.ts';

/**
 * How one kind of aggregate keeps its state: `columns` float64 numbers from `at` on. The same form is a tile, and what a read
 * collects from tiles or events. `add` and `merge` may come in any order and grouping: the value is the same.
 */
export interface Aggregator {
  readonly columns: number;
  /** Makes the state of no event. */
  open(values: Float64Array, at: number): void;
  /** One event with a value. */
  add(values: Float64Array, at: number, value: number, time: number, sequence: number): void;
  merge(values: Float64Array, at: number, from: Float64Array, fromAt: number): void;
  /** Gives back what the state holds in the {@link arena}; it is to be opened anew then. */
  release?(values: Float64Array, at: number): void;
  /** Where state lies whose length is not known beforehand. */
  readonly arena?: Arena;
  /** The feature's value over at least one event; null when it has none. */
  finish(values: Float64Array, at: number, plan: FeaturePlan): number | null;
}

/** Kinds whose value over an empty window is 0. */
const ZERO: ReadonlySet<Feature['kind']> = new Set(['count', 'sum', 'histogram', 'distinct']);

/** The value over an empty window. */
export function emptyValue({ kind, fallback }: Feature): number | null {
  return ZERO.has(kind) ? 0 : (fallback ?? null);
}

/** Whether a time to live has run out at `asOf` for what was last seen at `newest`. */
export function isStale({ ttlMs }: Feature, newest: number, asOf: number): boolean {
  return ttlMs !== undefined && !(asOf - newest < ttlMs);
}
