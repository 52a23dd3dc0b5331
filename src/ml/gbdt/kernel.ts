/**
 * The inner loops of training, which take nearly all of its time. They know nothing but flat arrays, so that
 * another implementation (WebAssembly) can take their place; this one stays as its oracle.
 *
 * A histogram holds, for each column and each of {@link BINS} bins, the sum of the first derivatives and the
 * sum of the second derivatives of the rows in the bin: entry (column * BINS + bin) * 2, and the one after
 * it.
 */

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

/**
 * Overwrites `histogram` with the sums over a range of rows.
 *
 * @param bins `bins[row * columns + column]`
 * @param derivatives first and second derivative of row r at 2r and 2r + 1
 */
export function fillHistogram(
  histogram: Float64Array,
  bins: Uint8Array,
  columns: number,
  derivatives: Float64Array,
  range: RowRange,
): void {
  const { rows, start, end } = range;
  histogram.fill(0, 0, columns * BINS * 2);
  for (let index = start; index < end; index += 1) {
    const row = rows[index] as number;
    const first = derivatives[row * 2] as number;
    const second = derivatives[row * 2 + 1] as number;
    const from = row * columns;
    for (let column = 0; column < columns; column += 1) {
      const at = (column << 9) + ((bins[from + column] as number) << 1);
      histogram[at] = (histogram[at] as number) + first;
      histogram[at + 1] = (histogram[at + 1] as number) + second;
    }
  }
}

/** Takes the child's histogram away from the parent's, in place: what is left is the other child's. */
export function subtractHistogram(parent: Float64Array, child: Float64Array, length: number): void {
  for (let index = 0; index < length; index += 1)
    parent[index] = (parent[index] as number) - (child[index] as number);
}

/**
 * Reorders a range of rows so that those going left come first; both parts keep their order. Returns where
 * the right part starts.
 *
 * @param column the bins of the split column, one for each row of the data
 * @param bin the largest bin that goes left
 * @param scratch as long as `rows`
 */
export function partitionRows(
  column: Uint8Array,
  range: RowRange,
  bin: number,
  missingLeft: boolean,
  scratch: Int32Array,
): number {
  const { rows, start, end } = range;
  // The missing bin is the largest byte. Turning all bins by one makes it the smallest: one comparison, without
  // a branch, then serves both directions.
  const turn = missingLeft ? 1 : 0;
  const limit = bin + turn;
  let left = start;
  let right = 0;
  for (let index = start; index < end; index += 1) {
    const row = rows[index] as number;
    const goesLeft = (((column[row] as number) + turn) & 255) <= limit ? 1 : 0;
    rows[left] = row;
    scratch[right] = row;
    left += goesLeft;
    right += 1 - goesLeft;
  }
  rows.set(scratch.subarray(0, right), left);
  return left;
}
