import type { Matrix } from '../matrix.ts';

/** Most values of one {@link Explanation}: 512 MiB of them. */
export const EXPLANATION_VALUES_MAX: number = 1 << 26;

/**
 * Why a model answered as it did, row by row. The answer is taken apart into an expected value and one
 * contribution for each column; both add up to the margin (for a classifier: the log odds, not the
 * probability).
 */
export interface Explanation {
  readonly rows: number;
  readonly columns: number;
  /** Margins of one answer: 1, or the number of classes of a model that gives one for each. */
  readonly outputs: number;
  /** The contribution of column c to output o of row r is `values[(r * outputs + o) * columns + c]`. */
  readonly values: Float64Array;
  /** Margin of each output when nothing is known of a row. */
  readonly expected: Float64Array;
}

/**
 * @internal An explanation of the given size whose contributions are all zero.
 *
 * @throws RangeError when it would be larger than {@link EXPLANATION_VALUES_MAX}.
 */
export function emptyExplanation(features: Matrix, expected: Float64Array): Explanation {
  const { rows, columns } = features;
  const size = rows * columns * expected.length;
  if (size > EXPLANATION_VALUES_MAX) {
    throw new RangeError(
      `${rows} rows x ${expected.length} outputs x ${columns} columns are more than the ` +
        `${EXPLANATION_VALUES_MAX} values of one explanation; explain fewer rows at a time`,
    );
  }
  return { rows, columns, outputs: expected.length, values: new Float64Array(size), expected };
}

/**
 * @internal Checks that a matrix has the columns that a model was trained on.
 *
 * @throws RangeError when it has another number of them.
 */
export function checkColumns(features: Matrix, columns: number): void {
  if (features.columns !== columns) {
    throw new RangeError(`The model has ${columns} inputs but the rows have ${features.columns} columns`);
  }
}
