import type { Matrix } from '../matrix.ts';
import { MISSING_BIN } from './kernel.ts';

/** Cuts of one column: bins 0 .. 254 for values, 255 for missing ones. */
export const CUTS_MAX = 254;
/** Rows looked at to find the cuts of a column. */
export const CUT_SAMPLE_ROWS = 50_000;
/** Values of a training set, rows times columns: the limit of an index into its bins. */
export const TRAINING_VALUES_MAX = 0x7fffffff;

/** Cuts in each tail that do not follow the even spacing. */
const TAIL_CUTS = 32;
/** Ratio of the ranks of neighbouring tail cuts. */
const TAIL_RATIO = Math.SQRT2;

/**
 * A training matrix turned into bins. Columns with a single value, and none missing, cannot split and are
 * left out.
 */
export interface BinnedMatrix {
  readonly rows: number;
  /** Index in the input row of each column kept. */
  readonly features: Int32Array;
  /** Ascending; bin b holds cuts[b - 1] < value <= cuts[b], the last bin what is above all cuts. */
  readonly cuts: readonly Float32Array[];
  /** `byRow[row * features.length + column]`, for histograms. */
  readonly byRow: Uint8Array;
  /** One array for each column, for partitioning. */
  readonly byColumn: readonly Uint8Array[];
}

/**
 * @internal Cuts and bins a matrix.
 *
 * @throws RangeError when it has more than {@link TRAINING_VALUES_MAX} values.
 */
export function binMatrix(features: Matrix): BinnedMatrix {
  const { rows, columns } = features;
  if (rows * columns > TRAINING_VALUES_MAX) {
    throw new RangeError(`Training takes ${TRAINING_VALUES_MAX} values at most, not ${rows} x ${columns}`);
  }
  const kept: number[] = [];
  const cuts: Float32Array[] = [];
  const byColumn: Uint8Array[] = [];
  for (let column = 0; column < columns; column += 1) {
    const found = cutsOf(features, column);
    const bins = new Uint8Array(rows);
    const missing = binColumn(features, column, found, bins);
    if (found.length === 0 && (missing === 0 || missing === rows)) continue;
    kept.push(column);
    cuts.push(found);
    byColumn.push(bins);
  }
  return { rows, features: Int32Array.from(kept), cuts, byRow: interleave(byColumn, rows), byColumn };
}

/**
 * @internal The cuts of one column, each halfway between two neighbouring values of the sample. With few
 * different values every gap is cut. With more, most cuts are at even ranks, and some at ranks 1, 2, 3, 4, 6,
 * 8, 11, ... from both ends: even ranks alone would put the largest 1/255 of all rows into one bin, where
 * rare and extreme values sit.
 */
export function cutsOf(features: Matrix, column: number): Float32Array {
  const { sorted, distinct } = sortedSample(features, column);
  if (distinct <= CUTS_MAX + 1)
    return cutsAt(
      sorted,
      Array.from({ length: sorted.length }, (_, rank) => rank + 1),
    );
  const ranks = new Set<number>();
  const tail = Math.min(sorted.length, Math.ceil(sorted.length / (CUTS_MAX - TAIL_CUTS)));
  for (let rank = 1, taken = 0; rank < tail && taken < TAIL_CUTS / 2; rank *= TAIL_RATIO) {
    const whole = Math.round(rank);
    if (ranks.has(whole)) continue;
    ranks.add(whole).add(sorted.length - whole);
    taken += 1;
  }
  const even = CUTS_MAX - ranks.size;
  for (let part = 1; part <= even; part += 1) ranks.add(Math.round((part * sorted.length) / (even + 1)));
  return cutsAt(
    sorted,
    [...ranks].sort((a, b) => a - b),
  );
}

/** The values present of evenly spaced rows, ascending, and the number of different ones. */
function sortedSample(features: Matrix, column: number): { sorted: Float32Array; distinct: number } {
  const { rows, columns, values } = features;
  const wanted = Math.min(rows, CUT_SAMPLE_ROWS);
  const sample = new Float32Array(wanted);
  let present = 0;
  for (let index = 0; index < wanted; index += 1) {
    const row = wanted === rows ? index : Math.floor((index * rows) / wanted);
    const value = values[row * columns + column] as number;
    if (Number.isNaN(value)) continue;
    sample[present] = value;
    present += 1;
  }
  const sorted = sample.subarray(0, present).sort();
  let distinct = present === 0 ? 0 : 1;
  for (let index = 1; index < present; index += 1) if (sorted[index] !== sorted[index - 1]) distinct += 1;
  return { sorted, distinct };
}

/**
 * One cut for each rank that lies between two different values; a rank inside a run of equals moves to its
 * end.
 */
function cutsAt(sorted: Float32Array, ranks: readonly number[]): Float32Array {
  const cuts: number[] = [];
  let rank = 0;
  for (const wanted of ranks) {
    rank = Math.max(rank, wanted);
    while (rank < sorted.length && sorted[rank] === sorted[rank - 1]) rank += 1;
    if (rank >= sorted.length) break;
    const cut = between(sorted[rank - 1] as number, sorted[rank] as number);
    if (cuts.length === 0 || cut > (cuts.at(-1) as number)) cuts.push(cut);
  }
  return Float32Array.from(cuts);
}

/** A Float32 c with below <= c < above, halfway where there is room. */
function between(below: number, above: number): number {
  const middle = Math.fround(below / 2 + above / 2);
  return middle >= below && middle < above ? middle : below;
}

/** Fills the bins of one column and returns how many values are missing. */
function binColumn(features: Matrix, column: number, cuts: Float32Array, bins: Uint8Array): number {
  const { rows, columns, values } = features;
  // Padded with infinity, so that the search is eight steps for every value.
  const padded = new Float32Array(256).fill(Number.POSITIVE_INFINITY);
  padded.set(cuts);
  let missing = 0;
  for (let row = 0; row < rows; row += 1) {
    const value = values[row * columns + column] as number;
    let bin = 0;
    for (let step = 128; step > 0; step >>= 1) {
      if ((padded[bin + step - 1] as number) < value) bin += step;
    }
    if (value !== value) {
      bin = MISSING_BIN;
      missing += 1;
    }
    bins[row] = bin;
  }
  return missing;
}

/** @internal Row-major copy of some columns. */
export function interleave(columns: readonly Uint8Array[], rows: number): Uint8Array {
  const width = columns.length;
  const into = new Uint8Array(rows * width);
  columns.forEach((column, offset) => {
    for (let row = 0, at = offset; row < rows; row += 1, at += width) into[at] = column[row] as number;
  });
  return into;
}
