import type { Binning, Kernel, LogisticRows } from '../kernel.ts';
import type { NodeSearch, NodeSplits } from '../search-node.ts';
import { searchColumns } from '../search-node.ts';
import { putSplits, takeSearch } from './search-slots.ts';
import type { Slots } from './slots.ts';

/** What there is to do, as it is written into a shared number. */
export const SEARCH_NODE = 0;
export const DIFFERENTIATE_LOGISTIC = 1;
export const ADD_TO_LEAVES = 2;
export const BIN_ROWS = 3;

/** Of so many equal parts of some work this one, from 0. */
export interface Share {
  readonly index: number;
  readonly of: number;
}

/** Leaves whose rows get their values together: arrays of a shared memory. */
export interface LeafTable {
  readonly margins: Float64Array;
  readonly rows: Int32Array;
  /** Start and end of leaf k at 2k and 2k + 1. */
  readonly ranges: Int32Array;
  readonly values: Float64Array;
}

/** What a thread of a crew works with. */
export interface Bench {
  readonly kernel: Kernel;
  /** What the work is about. */
  readonly slots: Slots;
  /** For each share, what was found. */
  readonly results: readonly Slots[];
}

/** @internal Does a share of what the slots are about. Shares touch nothing that another one writes. */
export function performShare({ kernel, slots, results }: Bench, kind: number, share: Share): void {
  slots.rewind();
  switch (kind) {
    case SEARCH_NODE:
      putSplits((results[share.index] as Slots).rewind(), searchShare(kernel, takeSearch(slots), share));
      return;
    case DIFFERENTIATE_LOGISTIC:
      differentiateShare(kernel, takeLogistic(slots), share);
      return;
    case ADD_TO_LEAVES:
      addShare(kernel, takeLeaves(slots), share);
      return;
    case BIN_ROWS:
      binShare(kernel, takeBinning(slots), share);
      return;
    default:
      throw new Error(`There is no work of kind ${kind}`);
  }
}

/** @internal */
export function searchShare(kernel: Kernel, search: NodeSearch, share: Share): NodeSplits {
  return searchColumns(kernel, search, partOf(search.data.columns, share, 4));
}

/** @internal */
export function putLogistic(slots: Slots, { labels, weights, margins, derivatives }: LogisticRows): void {
  slots.putArray(labels).putArray(weights).putArray(margins).putArray(derivatives);
}

function takeLogistic(slots: Slots): LogisticRows {
  return {
    labels: slots.takeDoubles(),
    weights: slots.takeDoubles(),
    margins: slots.takeDoubles(),
    derivatives: slots.takeDoubles(),
  };
}

function differentiateShare(kernel: Kernel, given: LogisticRows, share: Share): void {
  const { labels, weights, margins, derivatives } = given;
  // The loop takes two rows at a time.
  const { from, to } = partOf(margins.length, share, 2);
  kernel.differentiateLogistic({
    labels: labels.subarray(from, to),
    weights: weights.subarray(from, to),
    margins: margins.subarray(from, to),
    derivatives: derivatives.subarray(from * 2, to * 2),
  });
}

/** @internal */
export function putLeaves(slots: Slots, { margins, rows, ranges, values }: LeafTable): void {
  slots.putArray(margins).putArray(rows).putArray(ranges).putArray(values);
}

function takeLeaves(slots: Slots): LeafTable {
  return {
    margins: slots.takeDoubles(),
    rows: slots.takeIntegers(),
    ranges: slots.takeIntegers(),
    values: slots.takeDoubles(),
  };
}

function addShare(kernel: Kernel, { margins, rows, ranges, values }: LeafTable, share: Share): void {
  values.forEach((value, leaf) => {
    const start = ranges[leaf * 2] as number;
    const { from, to } = partOf((ranges[leaf * 2 + 1] as number) - start, share, 1);
    kernel.addToRows(margins, { rows, start: start + from, end: start + to }, value);
  });
}

/** @internal */
export function putBinning(slots: Slots, binning: Binning): void {
  const { values, columns, features, cuts, first, count, rows, byRow, byColumn } = binning;
  slots.putArray(values).putArray(features).putArray(cuts).putArray(byRow).putArray(byColumn);
  slots.put(columns, first, count, rows);
}

function takeBinning(slots: Slots): Binning {
  return {
    values: slots.takeFloats(),
    features: slots.takeIntegers(),
    cuts: slots.takeFloats(),
    byRow: slots.takeBytes(),
    byColumn: slots.takeBytes(),
    columns: slots.take(),
    first: slots.take(),
    count: slots.take(),
    rows: slots.take(),
  };
}

function binShare(kernel: Kernel, binning: Binning, share: Share): void {
  const { values, columns, first, count } = binning;
  const { from, to } = partOf(count, share, 1);
  kernel.binRows({
    ...binning,
    values: values.subarray(from * columns, to * columns),
    first: first + from,
    count: to - from,
  });
}

/** A share of some things, from one of them to before another, in multiples of `unit` where there are enough of them. */
function partOf(total: number, { index, of }: Share, unit: number): { from: number; to: number } {
  const step = total >= 2 * unit * of ? unit : 1;
  const border = (at: number): number => (at === of ? total : Math.round((total * at) / of / step) * step);
  return { from: border(index), to: border(index + 1) };
}
