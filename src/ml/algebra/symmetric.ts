import { LANES } from './kernel.ts';
import type { Panels, Span } from './panels.ts';
import { DEPTH_MAX, multiplyRight, packedRow, panelsOf, subtractProduct } from './panels.ts';
import { invertSmall } from './small.ts';

/** Side of the largest matrix: 16,384 squared numbers of 8 bytes are 2 GiB. */
export const SYMMETRIC_SIDE_MAX = 16_384;

/** Columns of a block. */
const BLOCK = DEPTH_MAX;

/**
 * Inverts a symmetric positive definite matrix in place. Its lower triangle is read; both triangles of the
 * result are written and are equal.
 *
 * The method is the sweep operator (Goodnight, "A tutorial on the SWEEP operator", 1979) on blocks of
 * columns: to sweep the block K replaces its part D by -1/D, the columns P below and beside it by P/D, and
 * all else by A - P/D P'. When all blocks are swept, the inverse is left, negated. That takes n^3 floating
 * point operations, as do a Cholesky factor, its inverse and their product, but nearly all are in one
 * product of narrow panels, so one fast loop serves.
 *
 * @param matrix `n * n` values, row-major.
 * @throws RangeError when the length is not `n * n`, when `n` is above {@link SYMMETRIC_SIDE_MAX}, or when
 *   the matrix is not positive definite. Its content is undefined then.
 */
export function invertSymmetric(matrix: Float64Array, n: number): void {
  checkSquare(matrix, n);
  const diagonal = diagonalOf(matrix, n);
  const room = panelsOf(n);
  for (let from = 0; from < n; from += BLOCK) {
    const block = { from, to: Math.min(from + BLOCK, n) };
    sweep({ matrix, diagonal, block, panels: { ...room, depth: block.to - from } });
  }
  for (let row = 0; row < n; row += 1) {
    for (let column = 0; column <= row; column += 1) {
      // Not minus the value: that would make minus zeros.
      matrix[row * n + column] = 0 - (matrix[row * n + column] as number);
    }
  }
  mirrorLower(matrix, n);
}

/** @internal Copies the lower triangle to the upper one, in squares, so that neither side leaves the cache. */
export function mirrorLower(matrix: Float64Array, n: number): void {
  for (let top = 0; top < n; top += BLOCK) {
    for (let left = 0; left <= top; left += BLOCK) {
      const bottom = Math.min(top + BLOCK, n);
      for (let row = top; row < bottom; row += 1) {
        const right = Math.min(left + BLOCK, row);
        for (let column = left; column < right; column += 1)
          matrix[column * n + row] = matrix[row * n + column] as number;
      }
    }
  }
}

interface Sweep {
  readonly matrix: Float64Array;
  /** Of the matrix as it was given. */
  readonly diagonal: Float64Array;
  readonly block: Span;
  readonly panels: Panels;
}

function sweep(step: Sweep): void {
  const { matrix, diagonal, block, panels } = step;
  const { rows: n, depth } = panels;
  const inverse = new Float64Array(depth * depth);
  for (let row = 0; row < depth; row += 1) {
    const at = (block.from + row) * n + block.from;
    for (let column = 0; column <= row; column += 1)
      inverse[row * depth + column] = matrix[at + column] as number;
  }
  const failed = invertSmall(inverse, depth, diagonal.subarray(block.from, block.to));
  if (failed >= 0) throw notPositive(block.from + failed);
  copyPanel(step, 'take');
  multiplyRight(panels, inverse, { from: 0, to: block.from });
  multiplyRight(panels, inverse, { from: block.to, to: n });
  subtractProduct(matrix, panels, block);
  copyPanel(step, 'put');
  for (let row = 0; row < depth; row += 1) {
    const at = (block.from + row) * n + block.from;
    for (let column = 0; column <= row; column += 1)
      matrix[at + column] = -(inverse[row * depth + column] as number);
  }
}

/**
 * Takes the columns of a block, without the block itself, from the matrix to the right side, or puts the left
 * side in their place. Rows above the block are found in its rows, since only the lower triangle is kept.
 */
function copyPanel(step: Sweep, what: 'take' | 'put'): void {
  const { matrix, block, panels } = step;
  const { rows: n, depth } = panels;
  const { memory } = panels.kernel;
  for (let row = 0; row < n; row += 1) {
    if (row >= block.from && row < block.to) continue;
    const below = row >= block.to;
    let at = below ? row * n + block.from : block.from * n + row;
    const stride = below ? 1 : n;
    let place = (what === 'take' ? panels.right : panels.left) + packedRow(row, depth);
    for (let k = 0; k < depth; k += 1, at += stride, place += LANES) {
      if (what === 'take') memory[place] = matrix[at] as number;
      else matrix[at] = memory[place] as number;
    }
  }
}

/** @internal The values on the diagonal. */
export function diagonalOf(matrix: Float64Array, n: number): Float64Array {
  return Float64Array.from({ length: n }, (_, row) => matrix[row * n + row] as number);
}

/**
 * @internal Checks that a matrix is square and not too large.
 *
 * @throws RangeError when it is not.
 */
export function checkSquare(matrix: Float64Array, n: number): void {
  if (!Number.isSafeInteger(n) || n < 0 || n > SYMMETRIC_SIDE_MAX)
    throw new RangeError(`A symmetric matrix has 0 to ${SYMMETRIC_SIDE_MAX} rows, not ${n}`);
  if (matrix.length !== n * n)
    throw new RangeError(`A matrix of ${n} x ${n} has ${n * n} values, not ${matrix.length}`);
}

/** @internal The error of a matrix that is not positive definite. */
export function notPositive(row: number): RangeError {
  return new RangeError(
    `The matrix is not positive definite: row ${row} depends on the rows before it, or is not finite`,
  );
}
