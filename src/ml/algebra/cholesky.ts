import { LANES } from './kernel.ts';
import type { Panels, Span } from './panels.ts';
import { DEPTH_MAX, multiplyRight, packedRow, panelsOf, subtractProduct } from './panels.ts';
import { factorSmall, invertTriangle } from './small.ts';
import { checkSquare, diagonalOf, notPositive } from './symmetric.ts';

/**
 * Factors a large symmetric positive definite matrix A in place, block by block: its lower triangle becomes L
 * with A = L L', its strict upper triangle 0. Takes n^3 / 3 floating point operations, a third of
 * {@link invertSymmetric}.
 *
 * @param matrix `n * n` values, row-major; the lower triangle is read.
 * @throws RangeError when the length is not `n * n`, when `n` is above `SYMMETRIC_SIDE_MAX`, or when the matrix
 *   is not positive definite. Its content is undefined then.
 */
export function choleskyFactor(matrix: Float64Array, n: number): void {
  checkSquare(matrix, n);
  const diagonal = diagonalOf(matrix, n);
  const room = panelsOf(n);
  for (let from = 0; from < n; from += DEPTH_MAX) {
    const block = { from, to: Math.min(from + DEPTH_MAX, n) };
    const panels = { ...room, depth: block.to - from };
    factorBlock(matrix, panels, { block, diagonal });
  }
  for (let row = 0; row < n; row += 1) matrix.fill(0, row * n + row + 1, (row + 1) * n);
}

/** Factors a block on the diagonal, solves the rows below it and takes their products away from the rest. */
function factorBlock(
  matrix: Float64Array,
  panels: Panels,
  what: { readonly block: Span; readonly diagonal: Float64Array },
): void {
  const { rows: n, depth } = panels;
  const { memory } = panels.kernel;
  const { block, diagonal } = what;
  const small = new Float64Array(depth * depth);
  for (let row = 0; row < depth; row += 1) {
    const at = (block.from + row) * n + block.from;
    small.set(matrix.subarray(at, at + row + 1), row * depth);
  }
  const failed = factorSmall(small, depth, diagonal.subarray(block.from, block.to));
  if (failed >= 0) throw notPositive(block.from + failed);
  for (let row = 0; row < depth; row += 1) {
    const at = (block.from + row) * n + block.from;
    matrix.set(small.subarray(row * depth, row * depth + row + 1), at);
  }
  // The rows below are P L^-T: with the inverse of the small factor that is a product, and the kernel's work.
  invertTriangle(small, depth);
  for (let row = block.to; row < n; row += 1) {
    const at = row * n + block.from;
    const place = panels.right + packedRow(row, depth);
    for (let k = 0; k < depth; k += 1) memory[place + k * LANES] = matrix[at + k] as number;
  }
  const below = { from: block.to, to: n };
  multiplyRight(panels, small, below);
  for (let row = block.to; row < n; row += 1) {
    const at = row * n + block.from;
    const place = packedRow(row, depth);
    for (let k = 0; k < depth; k += 1) {
      const value = memory[panels.left + place + k * LANES] as number;
      matrix[at + k] = value;
      memory[panels.right + place + k * LANES] = value;
    }
  }
  subtractProduct(matrix, panels, { from: 0, to: block.to });
}
