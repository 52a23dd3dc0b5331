import type { BinRows, ColumnRange, Kernel, RowRange } from './kernel.ts';
import { BINS } from './kernel.ts';
import type { BestSplit, Bounds, NodeSums, SplitColumns, SplitLimits } from './split.ts';
import { findSplit } from './split.ts';

/** Sums by column and bin, and the numbers of rows where they matter. */
export interface Histogram {
  readonly sums: Float64Array;
  readonly counts: Int32Array | undefined;
}

/** A node that may be split, without its histogram. */
export interface Candidate {
  readonly sums: NodeSums;
  readonly rows: number;
  readonly bounds: Bounds;
  /** The columns to look at, ascending. */
  readonly considered: Int32Array;
}

/**
 * What is to be done when a node has become two, or for a root: the histogram of the node with fewer rows is made from them, the other
 * one's is what is left of the parent's, in its place, and both are looked at for a split. All of it goes column by column.
 */
export interface NodeSearch {
  readonly data: BinRows & { readonly derivatives: Float64Array };
  readonly columns: SplitColumns;
  readonly limits: SplitLimits;
  /** Rows of the node whose histogram is made. */
  readonly range: RowRange;
  readonly made: Histogram;
  /** The node that it is made for, unless it cannot be split. */
  readonly own: Candidate | undefined;
  /** The parent's histogram and the other node, if that one can be split. */
  readonly other: { readonly parent: Histogram; readonly candidate: Candidate } | undefined;
}

/** The best splits that were found. */
export interface NodeSplits {
  readonly own: BestSplit | undefined;
  readonly other: BestSplit | undefined;
}

/** @internal Does what a search asks for, in some columns. */
export function searchColumns(kernel: Kernel, search: NodeSearch, columns: ColumnRange): NodeSplits {
  const { data, range, made, own, other } = search;
  kernel.fillHistogram(made.sums, { ...data, ...columns }, range);
  if (made.counts !== undefined) kernel.countRows(made.counts, { ...data, ...columns }, range);
  if (other !== undefined) subtract(kernel, other.parent, made, columns);
  return {
    own: own === undefined ? undefined : bestOf(search, made, { candidate: own, columns }),
    other:
      other === undefined ? undefined : bestOf(search, other.parent, { candidate: other.candidate, columns }),
  };
}

/** @internal The better one of two splits of a node, the first of which has the lower columns and wins a tie. */
export function betterSplit(
  first: BestSplit | undefined,
  second: BestSplit | undefined,
): BestSplit | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  return second.gain > first.gain ? second : first;
}

function subtract(kernel: Kernel, parent: Histogram, child: Histogram, { from, to }: ColumnRange): void {
  const first = from * BINS;
  const entries = (to - from) * BINS;
  kernel.subtractHistogram(
    parent.sums.subarray(first * 2, (first + entries) * 2),
    child.sums.subarray(first * 2, (first + entries) * 2),
    entries * 2,
  );
  if (parent.counts === undefined || child.counts === undefined) return;
  kernel.subtractCounts(
    parent.counts.subarray(first, first + entries),
    child.counts.subarray(first, first + entries),
    entries,
  );
}

function bestOf(
  { columns, limits }: NodeSearch,
  histogram: Histogram,
  of: { readonly candidate: Candidate; readonly columns: ColumnRange },
): BestSplit | undefined {
  const { sums, counts } = histogram;
  return findSplit({ ...of.candidate, histogram: sums, counts, columns, within: of.columns }, limits);
}
