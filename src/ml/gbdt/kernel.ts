/**
 * The inner loops of training, which take nearly all of its time. They know nothing but flat arrays, so that
 * WebAssembly (kernel.wat) can take their place; the plain ones stay as its oracle and for machines without
 * it. Both do the same floating-point operations in the same order and so give the same trees, bit for bit.
 *
 * A histogram holds, for each column and each of {@link BINS} bins, the sum of the first derivatives and the
 * sum of the second derivatives of the rows in the bin: entry (column * BINS + bin) * 2, and the one after
 * it. Where rows are counted too there is one counter for each column and bin.
 */

/** A memory of WebAssembly that threads share: nothing is copied when it is posted to one. */
export interface SharedMemory {
  readonly buffer: SharedArrayBuffer;
}

/** Bins of a column: a byte holds them. */
export const BINS = 256;
/** The bin of a missing value; values take the bins below it. */
export const MISSING_BIN = 255;

/** The rows of a node: `rows[start]` up to, not including, `rows[end]`. */
export interface RowRange {
  readonly rows: Int32Array;
  readonly start: number;
  readonly end: number;
}

/** Bins row after row: `bins[row * columns + column]`. */
export interface BinRows {
  readonly bins: Uint8Array;
  readonly columns: number;
}

/** The columns from one up to, not including, another. */
export interface ColumnRange {
  readonly from: number;
  readonly to: number;
}

/** Where {@link Kernel.partitionRows} looks and writes. */
export interface Partition {
  /** The bins of the split column, one for each row of the data. */
  readonly column: Uint8Array;
  /** For each bin 1 if it goes left, else 0. */
  readonly sides: Uint8Array;
  /** As long as the rows. */
  readonly scratch: Int32Array;
}

/** A block of rows of values, and the tables to put them into bins. */
export interface Binning {
  /** `values[row * columns + column]`, in the order of the rows. */
  readonly values: Float32Array;
  readonly columns: number;
  /** Input column of each binned column. */
  readonly features: Int32Array;
  /** {@link BINS} ascending cuts for each binned column, the unused ones infinite. */
  readonly cuts: Float32Array;
  /** Number of the block's first row, and rows in the block. */
  readonly first: number;
  readonly count: number;
  /** Rows of the whole data. */
  readonly rows: number;
  readonly byRow: Uint8Array;
  /** `byColumn[column * rows + row]`. */
  readonly byColumn: Uint8Array;
}

/** What the log loss is differentiated by. */
export interface LogisticRows {
  /** 0 or 1. */
  readonly labels: Float64Array;
  readonly weights: Float64Array;
  readonly margins: Float64Array;
  /** First and second derivative of row r at 2r and 2r + 1. */
  readonly derivatives: Float64Array;
}

/** The loops, and the memory that holds what they work on. All arrays must come from that memory. */
export interface Kernel {
  readonly kind: 'plain' | 'webassembly';
  /** What all arrays lie in, where other threads can share it. */
  readonly memory?: SharedMemory;
  bytes(length: number): Uint8Array;
  integers(length: number): Int32Array;
  floats(length: number): Float32Array;
  doubles(length: number): Float64Array;
  /** Overwrites the columns of `histogram` with the sums of the derivatives over a range of rows. */
  fillHistogram(
    histogram: Float64Array,
    data: BinRows & ColumnRange & { readonly derivatives: Float64Array },
    range: RowRange,
  ): void;
  /** Overwrites the columns of `counts` with the numbers of rows. */
  countRows(counts: Int32Array, data: BinRows & ColumnRange, range: RowRange): void;
  /** Takes the child's histogram away from the parent's: what is left is the other child's. */
  subtractHistogram(parent: Float64Array, child: Float64Array, length: number): void;
  subtractCounts(parent: Int32Array, child: Int32Array, length: number): void;
  /**
   * Reorders a range of rows so that those going left come first; both parts keep their order. Returns where
   * the right part starts.
   */
  partitionRows(range: RowRange, partition: Partition): number;
  /** Writes the sums of the first and of the second derivatives over a range of rows. */
  sumRows(into: Float64Array, derivatives: Float64Array, range: RowRange): void;
  addToRows(margins: Float64Array, range: RowRange, value: number): void;
  /** Bin b holds cuts[b - 1] < value <= cuts[b]; NaN gets the {@link MISSING_BIN}. */
  binRows(binning: Binning): void;
  /** First derivative p - y and second derivative p(1 - p) by the margin, times the weight, of every row. */
  differentiateLogistic(rows: LogisticRows): void;
}

/** @internal The loops in plain typed arrays. */
export function plainKernel(): Kernel {
  return {
    kind: 'plain',
    bytes: (length) => new Uint8Array(length),
    integers: (length) => new Int32Array(length),
    floats: (length) => new Float32Array(length),
    doubles: (length) => new Float64Array(length),
    fillHistogram,
    countRows,
    subtractHistogram: subtract,
    subtractCounts: subtract,
    partitionRows,
    sumRows,
    addToRows,
    binRows,
    differentiateLogistic: logisticDifferentiation(),
  };
}

function fillHistogram(
  histogram: Float64Array,
  data: BinRows & ColumnRange & { readonly derivatives: Float64Array },
  range: RowRange,
): void {
  const { rows, start, end } = range;
  const { bins, columns, from: first, to, derivatives } = data;
  histogram.fill(0, first * BINS * 2, to * BINS * 2);
  for (let index = start; index < end; index += 1) {
    const row = rows[index] as number;
    const gradient = derivatives[row * 2] as number;
    const hessian = derivatives[row * 2 + 1] as number;
    const from = row * columns;
    for (let column = first; column < to; column += 1) {
      const at = (column << 9) + ((bins[from + column] as number) << 1);
      histogram[at] = (histogram[at] as number) + gradient;
      histogram[at + 1] = (histogram[at + 1] as number) + hessian;
    }
  }
}

function countRows(counts: Int32Array, data: BinRows & ColumnRange, range: RowRange): void {
  const { rows, start, end } = range;
  const { bins, columns, from: first, to } = data;
  counts.fill(0, first * BINS, to * BINS);
  for (let index = start; index < end; index += 1) {
    const from = (rows[index] as number) * columns;
    for (let column = first; column < to; column += 1) {
      const at = (column << 8) + (bins[from + column] as number);
      counts[at] = (counts[at] as number) + 1;
    }
  }
}

function subtract(parent: Float64Array | Int32Array, child: Float64Array | Int32Array, length: number): void {
  for (let index = 0; index < length; index += 1)
    parent[index] = (parent[index] as number) - (child[index] as number);
}

function partitionRows(range: RowRange, partition: Partition): number {
  const { rows, start, end } = range;
  const { column, sides, scratch } = partition;
  let left = start;
  let right = 0;
  // Without a branch: each row is written to both parts, and one of the two moves on.
  for (let index = start; index < end; index += 1) {
    const row = rows[index] as number;
    const goesLeft = sides[column[row] as number] as number;
    rows[left] = row;
    scratch[right] = row;
    left += goesLeft;
    right += 1 - goesLeft;
  }
  rows.set(scratch.subarray(0, right), left);
  return left;
}

function sumRows(into: Float64Array, derivatives: Float64Array, range: RowRange): void {
  let gradient = 0;
  let hessian = 0;
  for (let index = range.start; index < range.end; index += 1) {
    const at = (range.rows[index] as number) * 2;
    gradient += derivatives[at] as number;
    hessian += derivatives[at + 1] as number;
  }
  into[0] = gradient;
  into[1] = hessian;
}

function addToRows(margins: Float64Array, range: RowRange, value: number): void {
  const { rows, start, end } = range;
  for (let index = start; index < end; index += 1) {
    const row = rows[index] as number;
    margins[row] = (margins[row] as number) + value;
  }
}

function binRows(binning: Binning): void {
  const { values, columns, features, cuts, first, count, rows, byRow, byColumn } = binning;
  const width = features.length;
  for (let row = 0; row < count; row += 1) {
    for (let column = 0; column < width; column += 1) {
      const value = values[row * columns + (features[column] as number)] as number;
      const table = column * BINS;
      let bin = 0;
      for (let step = 128; step > 0; step >>= 1) {
        if ((cuts[table + bin + step - 1] as number) < value) bin += step;
      }
      if (value !== value) bin = MISSING_BIN;
      byRow[(first + row) * width + column] = bin;
      byColumn[column * rows + first + row] = bin;
    }
  }
}

/** Margins beyond this size count as it: their probabilities differ from 0 and 1 by less than 1e-300. */
const MARGIN_SIZE_MAX = 700;
/** 1 / n! for n = 13 .. 0: the Taylor series of the exponential, exact to a Float64 within ln(2) / 2 of 0. */
const EXPONENTIAL_SERIES: readonly number[] = [
  1.6059043836821613e-10, 2.08767569878681e-9, 2.505210838544172e-8, 2.755731922398589e-7,
  2.7557319223985893e-6, 0.0000248015873015873, 0.0001984126984126984, 0.001388888888888889,
  0.008333333333333333, 0.041666666666666664, 0.16666666666666666, 0.5, 1, 1,
];
/** Added to a number of less than 2^51 and taken away again, it rounds to a whole number. */
const ROUNDER = 6755399441055744;
const LOG2_E = 1.4426950408889634;
/** The natural logarithm of 2 in two parts; products of the first with whole numbers up to 2^11 are exact. */
const LN2_HIGH = 0.6931471803691238;
const LN2_LOW = 1.9082149292705877e-10;

/**
 * The exponential is computed here, and not by `Math.exp`, because the vector instructions have none: both
 * kernels must give the same bits.
 */
function logisticDifferentiation(): Kernel['differentiateLogistic'] {
  const powers = Float64Array.from({ length: 1024 }, (_, exponent) => 2 ** -exponent);
  const series = Float64Array.from(EXPONENTIAL_SERIES);
  return ({ labels, weights, margins, derivatives }) => {
    for (let row = 0; row < margins.length; row += 1) {
      const margin = margins[row] as number;
      const absolute = Math.abs(margin);
      const size = -(absolute < MARGIN_SIZE_MAX ? absolute : MARGIN_SIZE_MAX);
      const power = size * LOG2_E + ROUNDER - ROUNDER;
      const rest = size - power * LN2_HIGH - power * LN2_LOW;
      let small = series[0] as number;
      for (let term = 1; term < 14; term += 1) small = small * rest + (series[term] as number);
      small *= powers[-power] as number;
      const probability = (margin < 0 ? small : 1) / (1 + small);
      const weight = weights[row] as number;
      derivatives[row * 2] = weight * (probability - (labels[row] as number));
      derivatives[row * 2 + 1] = weight * probability * (1 - probability);
    }
  };
}
