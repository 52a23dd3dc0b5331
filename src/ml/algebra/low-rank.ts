import { LANES } from './kernel.ts';
import type { Panels } from './panels.ts';
import { DEPTH_MAX, multiplyRight, packedRow, panelsOf, subtractProduct } from './panels.ts';
import { invertSmall } from './small.ts';
import { mirrorLower } from './symmetric.ts';

/**
 * Largest sum of magnitudes in a row of (I - U'Z)^-1. It bounds how many times larger the inverse becomes in some
 * direction when products are taken away, and the square of that multiplies rounding: above, a new solution is
 * the better way. Replacing a row by a larger one, which is the rule, at most doubles it.
 */
const GROWTH_MAX = 100;

/** @internal A vector that is zero but at some indices. */
export interface SparseVector {
  readonly indices: ArrayLike<number>;
  readonly values: ArrayLike<number>;
}

/** @internal The sum of products of vectors with themselves, to be added (1) or taken away (-1). */
export interface LowRankChange {
  readonly vectors: readonly SparseVector[];
  readonly sign: 1 | -1;
}

/**
 * @internal Turns the inverse P of a symmetric matrix A into that of A + sign * U U', in place (both triangles
 * given and written), by the formula of Woodbury ("Inverting modified matrices", 1950) for some columns of U
 * at a time: P - Z (sign * I + U'Z)^-1 Z' with Z = P U. Returns false, with the content undefined, when the
 * result is not positive definite, or so nearly not that rounding would show.
 */
export function updateInverse(inverse: Float64Array, n: number, change: LowRankChange): boolean {
  if (change.vectors.length === 0) return true;
  const room = panelsOf(n);
  for (let from = 0; from < change.vectors.length; from += DEPTH_MAX) {
    const vectors = change.vectors.slice(from, from + DEPTH_MAX);
    const panels = { ...room, depth: vectors.length };
    if (!updateBatch(inverse, panels, { vectors, sign: change.sign })) return false;
    mirrorLower(inverse, n);
  }
  return true;
}

function updateBatch(inverse: Float64Array, panels: Panels, change: LowRankChange): boolean {
  const { rows: n, depth } = panels;
  const { memory } = panels.kernel;
  const { vectors, sign } = change;
  memory.fill(0, panels.right, panels.right + Math.ceil(n / LANES) * LANES * depth);
  vectors.forEach((vector, column) => multiplySparse(inverse, panels, { vector, column }));
  // I + sign * U'Z is positive definite as long as the result is.
  const middle = new Float64Array(depth * depth);
  for (let row = 0; row < depth; row += 1) {
    const { indices, values } = vectors[row] as SparseVector;
    for (let column = 0; column <= row; column += 1) {
      let sum = 0;
      for (let position = 0; position < indices.length; position += 1) {
        const place = panels.right + packedRow(indices[position] as number, depth) + column * LANES;
        sum += (values[position] as number) * (memory[place] as number);
      }
      middle[row * depth + column] = (row === column ? 1 : 0) + sign * sum;
    }
  }
  if (invertSmall(middle, depth, new Float64Array(depth).fill(1)) >= 0) return false;
  if (largestRowSum(middle, depth) > GROWTH_MAX) return false;
  if (sign < 0) middle.forEach((value, place) => (middle[place] = -value));
  multiplyRight(panels, middle, { from: 0, to: n });
  subtractProduct(inverse, panels, { from: 0, to: 0 });
  return true;
}

/** A column of the right side becomes the symmetric matrix times a vector. */
function multiplySparse(
  matrix: Float64Array,
  panels: Panels,
  what: { readonly vector: SparseVector; readonly column: number },
): void {
  const { rows: n, depth } = panels;
  const { indices, values } = what.vector;
  const product = new Float64Array(n);
  for (let position = 0; position < indices.length; position += 1) {
    const at = (indices[position] as number) * n;
    const value = values[position] as number;
    for (let row = 0; row < n; row += 1)
      product[row] = (product[row] as number) + value * (matrix[at + row] as number);
  }
  const start = panels.right + what.column * LANES;
  for (let row = 0; row < n; row += 1)
    panels.kernel.memory[start + packedRow(row, depth)] = product[row] as number;
}

function largestRowSum(matrix: Float64Array, n: number): number {
  let largest = 0;
  for (let row = 0; row < n; row += 1) {
    let sum = 0;
    for (let column = 0; column < n; column += 1) sum += Math.abs(matrix[row * n + column] as number);
    largest = Math.max(largest, sum);
  }
  return largest;
}
