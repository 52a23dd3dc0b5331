import type { BinnedMatrix } from './bins.ts';
import type { Kernel } from './kernel.ts';
import { arrayBytes } from './kernel-wasm.ts';
import type { SplitColumns } from './split.ts';

/** The columns one tree may use: all, or a sample with its own dense copy of the bins. In the kernel's memory. */
export interface TreeColumns extends SplitColumns {
  /** Column of the binned matrix for each column of the histogram. */
  readonly columns: Int32Array;
  /** The columns of the histogram, counted. */
  readonly indices: Int32Array;
  readonly bins: Uint8Array;
}

/** @internal All columns of a binned matrix. */
export function allColumns(
  binned: BinnedMatrix,
  monotone: readonly number[] | undefined,
  kernel: Kernel,
): TreeColumns {
  const width = binned.features.length;
  const isDirected = monotone?.some((direction) => direction !== 0) === true;
  const columns: TreeColumns = {
    columns: kernel.integers(width),
    indices: kernel.integers(width),
    bins: binned.byRow,
    lastBins: kernel.integers(width),
    equality: kernel.bytes(width),
    directions: isDirected ? kernel.integers(width) : undefined,
  };
  binned.features.forEach((feature, column) => {
    columns.columns[column] = column;
    columns.indices[column] = column;
    columns.lastBins[column] = binned.cuts[column]?.length ?? 0;
    columns.equality[column] = binned.equality[column] as number;
    if (columns.directions !== undefined) columns.directions[column] = monotone?.[feature] ?? 0;
  });
  return columns;
}

/** @internal Room for the samples of one tree after the other. */
export function roomForSamples(all: TreeColumns, kernel: Kernel): TreeColumns {
  const width = all.columns.length;
  return {
    columns: kernel.integers(width),
    indices: all.indices,
    bins: kernel.bytes(all.bins.length),
    lastBins: kernel.integers(width),
    equality: kernel.bytes(width),
    directions: all.directions === undefined ? undefined : kernel.integers(width),
  };
}

/** @internal Bytes of a kernel's memory that {@link allColumns} and {@link roomForSamples} take at most, but for the bins. */
export function columnBytes(columns: number): number {
  return 2 * (4 * arrayBytes(columns, 4) + arrayBytes(columns, 1));
}

/** @internal Some columns, written over the sample before them. */
export function sampledColumns(
  binned: BinnedMatrix,
  all: TreeColumns,
  sample: { readonly columns: Int32Array; readonly room: TreeColumns },
): TreeColumns {
  const { columns, room } = sample;
  const width = columns.length;
  columns.forEach((column, offset) => {
    const bins = binned.byColumn[column] as Uint8Array;
    for (let row = 0, at = offset; row < bins.length; row += 1, at += width) {
      room.bins[at] = bins[row] as number;
    }
    room.columns[offset] = column;
    room.lastBins[offset] = all.lastBins[column] as number;
    room.equality[offset] = all.equality[column] as number;
    if (room.directions !== undefined) room.directions[offset] = all.directions?.[column] ?? 0;
  });
  return {
    columns: room.columns.subarray(0, width),
    indices: room.indices.subarray(0, width),
    bins: room.bins,
    lastBins: room.lastBins.subarray(0, width),
    equality: room.equality.subarray(0, width),
    directions: room.directions?.subarray(0, width),
  };
}
