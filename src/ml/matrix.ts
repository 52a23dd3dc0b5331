/**
 * A table of numbers, row after row: the value of row r and column c is `values[r * columns + c]`. `NaN`
 * means missing. The values are Float32, as in every model input, so a trainer sees exactly the numbers that
 * serving will see.
 */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array;
}

/**
 * Makes a {@link Matrix} over the given values without copying them.
 *
 * @throws RangeError when `rows` or `columns` is not a natural number or `values` has another length than
 *   their product.
 */
export function matrix(rows: number, columns: number, values: Float32Array): Matrix {
  const made = { rows, columns, values };
  checkMatrix(made, 'matrix');
  return made;
}

/**
 * Makes a {@link Matrix} of rows written out; `null` means missing.
 *
 * @example `matrixOf([[1, null], [3, 4]])`
 * @throws RangeError when the rows differ in length.
 */
export function matrixOf(rows: readonly (readonly (number | null)[])[]): Matrix {
  const columns = rows[0]?.length ?? 0;
  const values = new Float32Array(rows.length * columns);
  rows.forEach((row, index) => {
    if (row.length !== columns) {
      throw new RangeError(`Row ${index} has ${row.length} values, the first row has ${columns}`);
    }
    row.forEach((value, column) => {
      values[index * columns + column] = value ?? Number.NaN;
    });
  });
  return { rows: rows.length, columns, values };
}

/**
 * @internal Checks that the parts of a matrix agree.
 *
 * @throws RangeError naming `what` when they do not.
 */
export function checkMatrix(given: Matrix, what: string): void {
  const { rows, columns, values } = given;
  if (!Number.isSafeInteger(rows) || rows < 0 || !Number.isSafeInteger(columns) || columns < 0) {
    throw new RangeError(
      `The ${what} must have natural numbers of rows and columns, not ${rows} x ${columns}`,
    );
  }
  if (values.length !== rows * columns) {
    throw new RangeError(
      `The ${what} of ${rows} x ${columns} must have ${rows * columns} values, not ${values.length}`,
    );
  }
}
