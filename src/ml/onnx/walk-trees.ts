import type { CategoryCoding } from '../gbdt/categories.ts';
import { rankOf } from '../gbdt/categories.ts';
import type { Link } from '../gbdt/link.ts';
import { applyLink } from '../gbdt/link.ts';
import type { Evaluator } from './compile-linear.ts';

/** Rows that go through one tree before the next tree's nodes push it out of the cache. */
const BLOCK_ROWS = 128;
/** Numbers of a node in the packed form. */
export const NODE_WIDTH = 4;

/**
 * An ensemble ready to be walked. Node k begins at 4k: four times the column plus 2 if only equal values go
 * left plus 1 if missing values go left, the threshold (a Float32 in the same memory), position of the left
 * and of the right child. For a leaf the first number is the bitwise complement of its place in `leaves`.
 */
export interface PackedTrees {
  readonly bases: Float64Array;
  readonly roots: Int32Array;
  /** Output that each tree adds to. */
  readonly targets: Int32Array;
  readonly nodes: Int32Array;
  readonly thresholds: Float32Array;
  readonly leaves: Float64Array;
  /** Weight of the training rows that reached each node; absent where the file does not tell. */
  readonly covers?: Float32Array;
  /** Whether any node asks for equality. */
  readonly mixed: boolean;
}

/** Rows to be walked: `values[row * columns + column]`, with room for their margins. */
interface Block {
  readonly values: Float32Array;
  readonly columns: number;
  /** First row of the values, rows, and where in the output their margins begin. */
  readonly first: number;
  readonly rows: number;
  readonly output: Float64Array;
  readonly at: number;
}

/**
 * @internal Walks trees. Rows are taken in blocks, tree by tree, so that a tree's nodes stay in the cache; each row
 * still adds its leaves in the order of the trees, so its answer does not depend on the rows beside it.
 */
export function walker(
  trees: PackedTrees,
  graph: { readonly link: Link; readonly inputCount: number; readonly codings: readonly CategoryCoding[] },
): Evaluator {
  const { bases, roots, mixed } = trees;
  const { link, inputCount, codings } = graph;
  const outputs = bases.length;
  const walk = mixed ? walkMixed : walkOrdered;
  const columns = inputCount + codings.length;
  const ranked = new Float32Array(codings.length === 0 ? 0 : BLOCK_ROWS * columns);
  return (input, rows, output) => {
    for (let start = 0; start < rows; start += BLOCK_ROWS) {
      const end = Math.min(rows, start + BLOCK_ROWS);
      for (let at = start * outputs; at < end * outputs; at += outputs) output.set(bases, at);
      const place = { rows: end - start, output, at: start * outputs, columns };
      let block: Block = { ...place, values: input, first: start };
      if (codings.length > 0) {
        widen(input, { start, end, inputCount }, { ranked, codings });
        block = { ...place, values: ranked, first: 0 };
      }
      for (let tree = 0; tree < roots.length; tree += 1) walk(trees, tree, block);
      applyLink(link, { values: output, outputs, start, end });
    }
  };
}

/** Copies rows and writes the ranks of their categories behind each. */
function widen(
  input: Float32Array,
  from: { readonly start: number; readonly end: number; readonly inputCount: number },
  into: { readonly ranked: Float32Array; readonly codings: readonly CategoryCoding[] },
): void {
  const { start, end, inputCount } = from;
  let at = 0;
  for (let row = start; row < end; row += 1) {
    const first = row * inputCount;
    for (let column = 0; column < inputCount; column += 1, at += 1)
      into.ranked[at] = input[first + column] as number;
    for (const coding of into.codings) {
      into.ranked[at] = rankOf(coding, input[first + coding.feature] as number);
      at += 1;
    }
  }
}

/** Adds one tree, all of whose nodes compare by size, to the margins of a block. */
function walkOrdered(trees: PackedTrees, tree: number, block: Block): void {
  const { nodes, thresholds, leaves, bases } = trees;
  const { values, columns, output } = block;
  const root = trees.roots[tree] as number;
  let into = block.at + (trees.targets[tree] as number);
  let from = block.first * columns;
  for (let row = 0; row < block.rows; row += 1, from += columns, into += bases.length) {
    let at = root;
    let code = nodes[at] as number;
    while (code >= 0) {
      const value = values[from + (code >> 2)] as number;
      const goesLeft = value <= (thresholds[at + 1] as number) || (value !== value && (code & 1) === 1);
      at = (goesLeft ? nodes[at + 2] : nodes[at + 3]) as number;
      code = nodes[at] as number;
    }
    output[into] = (output[into] as number) + (leaves[~code] as number);
  }
}

/** The same for a tree whose nodes may ask for equality. */
function walkMixed(trees: PackedTrees, tree: number, block: Block): void {
  const { nodes, thresholds, leaves, bases } = trees;
  const { values, columns, output } = block;
  const root = trees.roots[tree] as number;
  let into = block.at + (trees.targets[tree] as number);
  let from = block.first * columns;
  for (let row = 0; row < block.rows; row += 1, from += columns, into += bases.length) {
    let at = root;
    let code = nodes[at] as number;
    while (code >= 0) {
      const value = values[from + (code >> 2)] as number;
      const threshold = thresholds[at + 1] as number;
      const within = (code & 2) === 0 ? value <= threshold : value === threshold;
      const goesLeft = within || (value !== value && (code & 1) === 1);
      at = (goesLeft ? nodes[at + 2] : nodes[at + 3]) as number;
      code = nodes[at] as number;
    }
    output[into] = (output[into] as number) + (leaves[~code] as number);
  }
}
