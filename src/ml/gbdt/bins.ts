import type { Matrix } from '../matrix.ts';
import type { Kernel } from './kernel.ts';
import { BINS, plainKernel } from './kernel.ts';
import { arrayBytes } from './kernel-wasm.ts';
import { sortFloats } from './sort-floats.ts';

/** Cuts of one column: bins 0 .. 254 for values, 255 for missing ones. */
export const CUTS_MAX = 254;
/** Rows looked at to find the cuts of a column. */
export const CUT_SAMPLE_ROWS = 50_000;
/** Values of a training set, rows times columns: the limit of an index into its bins. */
export const TRAINING_VALUES_MAX = 0x7fffffff;

/** Columns whose samples are taken together, 13 MB of them: rows lie far apart, and each is passed by once for all of them. */
const SAMPLE_COLUMNS = 64;
/** Rows that are binned together: a block of them stays in the cache. */
const BLOCK_ROWS = 512;
/** Share of the cuts, in both tails together, that do not follow the even spacing. */
const TAIL_SHARE = 1 / 8;
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
  /** 1 for columns whose every bin is a category, split one against the rest. */
  readonly equality: Uint8Array;
  /** `byRow[row * features.length + column]`, for histograms. */
  readonly byRow: Uint8Array;
  /** One array for each column, for partitioning. */
  readonly byColumn: readonly Uint8Array[];
}

/** A categorical column whose values are the whole numbers below `levels`. */
export interface LevelColumn {
  readonly feature: number;
  readonly levels: number;
  readonly equality: boolean;
}

/** How a matrix is binned. */
export interface BinOptions {
  /** Most bins of values of a column. Default 255. */
  readonly binsMax?: number;
  /** The rows that cuts are made for, ascending. Default all. */
  readonly rows?: Int32Array;
  readonly levelColumns?: readonly LevelColumn[];
  /** Default the plain one. */
  readonly kernel?: Kernel;
}

/**
 * @internal Cuts and bins a matrix.
 *
 * @throws RangeError when it has more than {@link TRAINING_VALUES_MAX} values.
 */
export function binMatrix(features: Matrix, options: BinOptions = {}): BinnedMatrix {
  const { rows, columns, values } = features;
  if (rows * columns > TRAINING_VALUES_MAX) {
    throw new RangeError(`Training takes ${TRAINING_VALUES_MAX} values at most, not ${rows} x ${columns}`);
  }
  const { kernel = plainKernel(), binsMax = CUTS_MAX + 1 } = options;
  const kept: number[] = [];
  const cuts: Float32Array[] = [];
  const equal: number[] = [];
  let sample = features;
  for (let column = 0; column < columns; column += 1) {
    if (column % SAMPLE_COLUMNS === 0) sample = sampleOf(features, column, options.rows);
    const level = options.levelColumns?.find(({ feature }) => feature === column);
    const found =
      level !== undefined && level.levels <= binsMax
        ? Float32Array.from({ length: Math.max(0, level.levels - 1) }, (_, below) => below + 0.5)
        : cutsOf(sample, column % SAMPLE_COLUMNS, { binsMax });
    if (found.length === 0 && !isPartlyMissing(features, column, options.rows)) continue;
    kept.push(column);
    cuts.push(found);
    equal.push(level?.equality === true ? 1 : 0);
  }
  const width = kept.length;
  const indices = kernel.integers(width);
  indices.set(kept);
  const table = kernel.floats(width * BINS).fill(Number.POSITIVE_INFINITY);
  cuts.forEach((found, column) => table.set(found, column * BINS));
  const byRow = kernel.bytes(rows * width);
  const byColumn = kernel.bytes(rows * width);
  const block = kernel.floats(Math.min(rows, BLOCK_ROWS) * columns);
  const binning = { values: block, columns, features: indices, cuts: table, rows, byRow, byColumn };
  for (let first = 0; first < rows && width > 0; first += BLOCK_ROWS) {
    const count = Math.min(BLOCK_ROWS, rows - first);
    block.set(values.subarray(first * columns, (first + count) * columns));
    kernel.binRows({ ...binning, first, count });
  }
  return {
    rows,
    features: indices,
    cuts,
    equality: Uint8Array.from(equal),
    byRow,
    byColumn: kept.map((_, column) => byColumn.subarray(column * rows, (column + 1) * rows)),
  };
}

/** @internal Bytes of a kernel's memory that {@link binMatrix} takes at most. */
export function binBytes(rows: number, columns: number): number {
  return (
    arrayBytes(columns, 4) +
    arrayBytes(columns * BINS, 4) +
    2 * arrayBytes(rows * columns, 1) +
    arrayBytes(Math.min(rows, BLOCK_ROWS) * columns, 4)
  );
}

/** Whether a column has both values and missing ones. */
function isPartlyMissing(features: Matrix, column: number, chosen: Int32Array | undefined): boolean {
  const { rows, columns, values } = features;
  const count = chosen?.length ?? rows;
  let missing = 0;
  for (let index = 0; index < count; index += 1) {
    if (Number.isNaN(values[(chosen?.[index] ?? index) * columns + column])) missing += 1;
  }
  return missing > 0 && missing < count;
}

/**
 * @internal The cuts of one column of a sample, each halfway between two neighbouring values. With few
 * different values every gap is cut. With more, most cuts are at even ranks, and some at ranks 1, 2, 3, 4, 6,
 * 8, 11, ... from both ends: even ranks alone would put the largest 1/255 of all rows into one bin, where
 * rare and extreme values sit.
 */
export function cutsOf(
  sample: Matrix,
  column: number,
  options: Pick<BinOptions, 'binsMax'> = {},
): Float32Array {
  const { binsMax = CUTS_MAX + 1 } = options;
  const cutsMax = binsMax - 1;
  const tailCuts = Math.round(cutsMax * TAIL_SHARE);
  const { sorted, distinct } = sortedColumn(sample, column);
  if (distinct <= binsMax)
    return cutsAt(
      sorted,
      Array.from({ length: sorted.length }, (_, rank) => rank + 1),
    );
  const ranks = new Set<number>();
  const tail = Math.min(sorted.length, Math.ceil(sorted.length / (cutsMax - tailCuts)));
  for (let rank = 1, taken = 0; rank < tail && taken < tailCuts >> 1; rank *= TAIL_RATIO) {
    const whole = Math.round(rank);
    if (ranks.has(whole)) continue;
    ranks.add(whole).add(sorted.length - whole);
    taken += 1;
  }
  const even = cutsMax - ranks.size;
  for (let part = 1; part <= even; part += 1) ranks.add(Math.round((part * sorted.length) / (even + 1)));
  return cutsAt(
    sorted,
    [...ranks].sort((a, b) => a - b),
  );
}

/** Evenly spaced rows, {@link SAMPLE_COLUMNS} of their columns from one on. */
function sampleOf(features: Matrix, from: number, chosen: Int32Array | undefined): Matrix {
  const { columns, values } = features;
  const count = chosen?.length ?? features.rows;
  const rows = Math.min(count, CUT_SAMPLE_ROWS);
  const width = Math.min(columns - from, SAMPLE_COLUMNS);
  const sample = new Float32Array(rows * width);
  for (let index = 0; index < rows; index += 1) {
    const place = rows === count ? index : Math.floor((index * count) / rows);
    const start = (chosen?.[place] ?? place) * columns + from;
    for (let column = 0; column < width; column += 1) {
      sample[index * width + column] = values[start + column] as number;
    }
  }
  return { rows, columns: width, values: sample };
}

/** The values present in a column, ascending, and the number of different ones. */
function sortedColumn(
  { rows, columns, values }: Matrix,
  column: number,
): { sorted: Float32Array; distinct: number } {
  const found = new Float32Array(rows);
  let present = 0;
  for (let row = 0; row < rows; row += 1) {
    const value = values[row * columns + column] as number;
    if (Number.isNaN(value)) continue;
    found[present] = value;
    present += 1;
  }
  const sorted = sortFloats(found.subarray(0, present));
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
