import type { BinnedMatrix } from './bins.ts';
import type { SplitColumns } from './split.ts';

/** The columns one tree may use: all, or a sample with its own dense copy of the bins. */
export interface TreeColumns extends SplitColumns {
  /** Column of the binned matrix for each column of the histogram. */
  readonly columns: Int32Array;
  /** The columns of the histogram, counted. */
  readonly indices: Int32Array;
  readonly bins: Uint8Array;
}

/** @internal All columns of a binned matrix. */
export function allColumns(binned: BinnedMatrix, monotone: readonly number[] | undefined): TreeColumns {
  return treeColumns(binned, monotone, {
    columns: Int32Array.from(binned.features.keys()),
    bins: binned.byRow,
  });
}

/** @internal Some columns, their bins written row after row into the beginning of `into`. */
export function sampledColumns(
  binned: BinnedMatrix,
  monotone: readonly number[] | undefined,
  sample: { readonly columns: Int32Array; readonly into: Uint8Array },
): TreeColumns {
  const { columns, into } = sample;
  const width = columns.length;
  columns.forEach((column, offset) => {
    const bins = binned.byColumn[column] as Uint8Array;
    for (let row = 0, at = offset; row < bins.length; row += 1, at += width) into[at] = bins[row] as number;
  });
  return treeColumns(binned, monotone, { columns, bins: into });
}

function treeColumns(
  binned: BinnedMatrix,
  monotone: readonly number[] | undefined,
  chosen: { readonly columns: Int32Array; readonly bins: Uint8Array },
): TreeColumns {
  const { cuts, equality, features } = binned;
  const { columns, bins } = chosen;
  return {
    columns,
    indices: Int32Array.from(columns.keys()),
    bins,
    lastBins: columns.map((column) => cuts[column]?.length ?? 0),
    equality: Uint8Array.from(columns, (column) => equality[column] as number),
    directions:
      monotone?.some((direction) => direction !== 0) === true
        ? Int8Array.from(columns, (column) => monotone[features[column] as number] ?? 0)
        : undefined,
  };
}
