/** A pivot below this share of its diagonal counts as zero: rounding leaves about 1e-16 for each column. */
const PIVOT_RELATIVE_MIN = 1e-13;

/**
 * @internal Inverts a small symmetric positive definite matrix in place, by its Cholesky factor. The lower
 * triangle is read, both are written. Returns -1, or the first row whose pivot is not above a minimal share
 * of the diagonal that it is judged by.
 */
export function invertSmall(matrix: Float64Array, n: number, diagonal: ArrayLike<number>): number {
  const failed = factorSmall(matrix, n, diagonal);
  if (failed >= 0) return failed;
  // The factor's inverse, column by column, in place: each needs only what lies to its right and below.
  invertTriangle(matrix, n);
  // Its transpose times itself. Row i, column j <= i: the sum over k >= i of W[k][i] * W[k][j].
  for (let i = 0; i < n; i += 1) {
    for (let j = 0; j <= i; j += 1) {
      let sum = 0;
      for (let k = i; k < n; k += 1) sum += (matrix[k * n + i] as number) * (matrix[k * n + j] as number);
      matrix[i * n + j] = sum;
    }
  }
  for (let row = 0; row < n; row += 1) {
    for (let column = 0; column < row; column += 1)
      matrix[column * n + row] = matrix[row * n + column] as number;
  }
  return -1;
}

/**
 * @internal Solves A x = b in place of b for a small symmetric positive definite matrix, whose lower triangle
 * becomes its Cholesky factor. Returns false, with the content undefined, when it is not positive definite.
 */
export function solveSmall(matrix: Float64Array, n: number, vector: Float64Array): boolean {
  const diagonal = Float64Array.from({ length: n }, (_, row) => matrix[row * n + row] as number);
  if (factorSmall(matrix, n, diagonal) >= 0) return false;
  for (let row = 0; row < n; row += 1) {
    let sum = vector[row] as number;
    for (let k = 0; k < row; k += 1) sum -= (matrix[row * n + k] as number) * (vector[k] as number);
    vector[row] = sum / (matrix[row * n + row] as number);
  }
  for (let row = n - 1; row >= 0; row -= 1) {
    const value = (vector[row] as number) / (matrix[row * n + row] as number);
    vector[row] = value;
    for (let k = 0; k < row; k += 1)
      vector[k] = (vector[k] as number) - value * (matrix[row * n + k] as number);
  }
  return true;
}

/** @internal The lower triangle becomes its Cholesky factor. Returns -1, or the row of a pivot that is not positive. */
export function factorSmall(matrix: Float64Array, n: number, diagonal: ArrayLike<number>): number {
  for (let row = 0; row < n; row += 1) {
    const at = row * n;
    for (let column = 0; column <= row; column += 1) {
      const above = column * n;
      let sum = matrix[at + column] as number;
      for (let k = 0; k < column; k += 1) sum -= (matrix[at + k] as number) * (matrix[above + k] as number);
      if (column < row) {
        matrix[at + column] = sum / (matrix[above + column] as number);
        continue;
      }
      // Written so that NaN fails too.
      if (!(sum > PIVOT_RELATIVE_MIN * (diagonal[row] as number) && sum < Number.POSITIVE_INFINITY))
        return row;
      matrix[at + row] = Math.sqrt(sum);
    }
  }
  return -1;
}

/** @internal A lower triangle becomes its inverse. */
export function invertTriangle(matrix: Float64Array, n: number): void {
  for (let row = 0; row < n; row += 1) {
    const at = row * n;
    const pivot = 1 / (matrix[at + row] as number);
    for (let column = 0; column < row; column += 1) {
      let sum = 0;
      for (let k = column; k < row; k += 1)
        sum += (matrix[at + k] as number) * (matrix[k * n + column] as number);
      matrix[at + column] = -pivot * sum;
    }
    matrix[at + row] = pivot;
  }
}
