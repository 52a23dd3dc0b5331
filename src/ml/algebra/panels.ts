import type { Kernel } from './kernel.ts';
import { LANES, STRIPE_COLUMNS, STRIPE_TILES, kernelOf } from './kernel.ts';

/**
 * The largest depth of panels: every depth is one pass over the whole matrix, but what is done block by block
 * grows with it. Inverse of 3,000 x 3,000 on one core of an AMD EPYC (Zen 4): depth 64 3.0 s of CPU time, 96
 * 2.48 s, 128 2.49 s.
 */
export const DEPTH_MAX = 96;

/** @internal Rows `from` up to, not including, `to`. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/**
 * @internal Two narrow matrices of the same shape, `rows` x `depth`, packed for the kernel. Value k of a row
 * lies at `side + packedRow(row, depth) + k * LANES` of the kernel's memory.
 */
export interface Panels {
  readonly rows: number;
  readonly depth: number;
  readonly kernel: Kernel;
  /** Where the sides start. */
  readonly left: number;
  readonly right: number;
  /** Where the packed `depth` x `depth` matrix of {@link multiplyRight} starts. */
  readonly factor: number;
}

/** @internal Panels for up to {@link DEPTH_MAX} columns, all zero, in a kernel of its own unless one is given. */
export function panelsOf(rows: number, makeKernel: (length: number) => Kernel = kernelOf): Panels {
  const side = Math.ceil(rows / LANES) * LANES * DEPTH_MAX;
  const kernel = makeKernel(2 * side + DEPTH_MAX * DEPTH_MAX);
  return { rows, depth: DEPTH_MAX, kernel, left: 0, right: side, factor: 2 * side };
}

/** @internal Where a row starts within its packed side. */
export function packedRow(row: number, depth: number): number {
  const lane = row % LANES;
  return (row - lane) * depth + lane;
}

/**
 * @internal Subtracts `left * right'` from the lower triangle of a square matrix of `panels.rows` rows
 * (row-major). Rows and columns of `skipped` keep their values; both its ends must be multiples of four, or
 * the number of rows. The strict upper triangle is scratch afterwards.
 */
export function subtractProduct(matrix: Float64Array, panels: Panels, skipped: Span): void {
  const groups = Math.ceil(panels.rows / LANES);
  const skip = { from: Math.ceil(skipped.from / LANES), to: Math.ceil(skipped.to / LANES) };
  const spans = [
    { from: 0, to: skip.from },
    { from: skip.to, to: groups },
  ];
  for (const span of spans) {
    for (let first = span.from; first < span.to; first += STRIPE_TILES) {
      const last = Math.min(first + STRIPE_TILES, span.to);
      for (let group = first; group < groups; group += 1) {
        if (group >= skip.from && group < skip.to) continue;
        subtractStripe(matrix, panels, { group, first, last: Math.min(last, group + 1) });
      }
    }
  }
}

/** Takes the products of one left group and some right ones away; what lies beyond the edge is dropped. */
function subtractStripe(
  matrix: Float64Array,
  panels: Panels,
  stripe: { readonly group: number; readonly first: number; readonly last: number },
): void {
  const { rows, depth, kernel } = panels;
  const { products } = kernel;
  const { group, first, last } = stripe;
  kernel.multiplyStripe({
    left: panels.left + group * LANES * depth,
    right: panels.right + first * LANES * depth,
    depth,
    tiles: last - first,
  });
  const columns = Math.min(last * LANES, rows) - first * LANES;
  const lanes = Math.min(LANES, rows - group * LANES);
  for (let lane = 0; lane < lanes; lane += 1) {
    const at = (group * LANES + lane) * rows + first * LANES;
    const from = lane * STRIPE_COLUMNS;
    for (let column = 0; column < columns; column += 1)
      matrix[at + column] = (matrix[at + column] as number) - (products[from + column] as number);
  }
}

/**
 * @internal Overwrites the left side of the rows of a span with their right side times a `depth` x `depth`
 * matrix, which is given transposed, row-major. The span as in {@link subtractProduct}.
 */
export function multiplyRight(panels: Panels, transposed: Float64Array, span: Span): void {
  const { depth, kernel, factor } = panels;
  const { memory, products } = kernel;
  const tiles = Math.ceil(depth / LANES);
  memory.fill(0, factor, factor + tiles * LANES * depth);
  for (let row = 0; row < depth; row += 1) {
    const at = factor + packedRow(row, depth);
    for (let k = 0; k < depth; k += 1) memory[at + k * LANES] = transposed[row * depth + k] as number;
  }
  for (let group = Math.ceil(span.from / LANES); group * LANES < span.to; group += 1) {
    const at = group * LANES * depth;
    kernel.multiplyStripe({ left: panels.right + at, right: factor, depth, tiles });
    for (let lane = 0; lane < LANES; lane += 1) {
      const to = panels.left + at + lane;
      const from = lane * STRIPE_COLUMNS;
      for (let column = 0; column < depth; column += 1)
        memory[to + column * LANES] = products[from + column] as number;
    }
  }
}
