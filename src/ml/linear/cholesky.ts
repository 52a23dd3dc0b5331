/**
 * A pivot smaller than this share of its diagonal counts as zero: the matrix is then singular for our
 * purposes.
 */
const PIVOT_RELATIVE_MIN = 1e-12;

/**
 * @internal Factors a symmetric positive definite matrix in place: its lower triangle (row-major, n x n)
 * becomes L with A = L L'. Returns false, with the content undefined, when the matrix is not positive
 * definite.
 */
export function factorCholesky(matrix: Float64Array, n: number): boolean {
  for (let column = 0; column < n; column += 1) {
    const at = column * n;
    const diagonal = matrix[at + column] as number;
    let pivot = diagonal;
    for (let k = 0; k < column; k += 1) pivot -= (matrix[at + k] as number) ** 2;
    // Written so that NaN fails too.
    if (!(pivot > PIVOT_RELATIVE_MIN * diagonal)) return false;
    const root = Math.sqrt(pivot);
    matrix[at + column] = root;
    for (let row = column + 1; row < n; row += 1) {
      const below = row * n;
      let sum = matrix[below + column] as number;
      for (let k = 0; k < column; k += 1) sum -= (matrix[below + k] as number) * (matrix[at + k] as number);
      matrix[below + column] = sum / root;
    }
  }
  return true;
}

/** @internal Solves L L' x = b in place of b, for the factor that {@link factorCholesky} left. */
export function solveCholesky(factor: Float64Array, n: number, vector: Float64Array): void {
  for (let row = 0; row < n; row += 1) {
    let sum = vector[row] as number;
    for (let k = 0; k < row; k += 1) sum -= (factor[row * n + k] as number) * (vector[k] as number);
    vector[row] = sum / (factor[row * n + row] as number);
  }
  for (let row = n - 1; row >= 0; row -= 1) {
    let sum = vector[row] as number;
    for (let k = row + 1; k < n; k += 1) sum -= (factor[k * n + row] as number) * (vector[k] as number);
    vector[row] = sum / (factor[row * n + row] as number);
  }
}
