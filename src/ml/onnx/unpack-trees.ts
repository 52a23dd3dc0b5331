import type { ExplainableTrees } from '../explain/explainable-trees.ts';
import type { CategoryCoding } from '../gbdt/categories.ts';
import type { MarginForm } from './margin-form.ts';
import { NotExplainable } from './errors.ts';
import type { PackedTrees } from './walk-trees.ts';
import { NODE_WIDTH } from './walk-trees.ts';

/**
 * How far the two children of a node may be from their parent together, as a share of it: each weight was rounded to float32. Converters
 * that write 1 for every node are far beyond it.
 */
const COVER_TOLERANCE = 1e-5;

interface TreesInput {
  readonly inputCount: number;
  readonly codings: readonly CategoryCoding[];
}

/** @internal What the margin of packed trees is made of. */
export function marginOfTrees(trees: PackedTrees, input: TreesInput): MarginForm {
  if (trees.bases.length !== 1)
    return { kind: 'unknown', reason: 'it gives an answer for each of several classes' };
  const { covers } = trees;
  if (covers === undefined) {
    return {
      kind: 'unknown',
      reason:
        'its file does not tell how many training rows reached each node of its trees (nodes_hitrates). ' +
        'Versions of before there were explanations do not, nor do most of external trainers: train it again',
    };
  }
  return { kind: 'trees', unpack: () => unpack(trees, covers, input) };
}

/** Throws NotExplainable when the weights are none of training rows, or a column is read in two ways. */
function unpack(
  trees: PackedTrees,
  covers: Float32Array,
  { inputCount, codings }: TreesInput,
): ExplainableTrees {
  const { nodes, thresholds, roots, bases } = trees;
  const count = nodes.length / NODE_WIDTH;
  const unpacked = {
    baseScores: bases,
    featureCount: inputCount,
    categories: codings,
    offsets: Int32Array.from([...roots.map((root) => root / NODE_WIDTH), count]),
    feature: new Int32Array(count),
    threshold: new Float32Array(count),
    equality: new Uint8Array(count),
    left: new Int32Array(count).fill(-1),
    right: new Int32Array(count).fill(-1),
    leaf: new Float64Array(count),
    missingLeft: new Uint8Array(count),
    cover: Float64Array.from(covers),
  };
  const isRanked = new Set(codings.map(({ feature }) => feature));
  for (let node = 0; node < count; node += 1) {
    const at = node * NODE_WIDTH;
    const code = nodes[at] as number;
    if (code < 0) {
      unpacked.leaf[node] = trees.leaves[~code] as number;
      continue;
    }
    const column = code >> 2;
    const coding = codings[column - inputCount];
    if (coding === undefined && isRanked.has(column))
      throw new NotExplainable(`input ${column} is compared both as a category and as a number`);
    unpacked.feature[node] = coding?.feature ?? column;
    unpacked.threshold[node] = thresholds[at + 1] as number;
    unpacked.equality[node] = (code & 2) >> 1;
    unpacked.missingLeft[node] = code & 1;
    unpacked.left[node] = (nodes[at + 2] as number) / NODE_WIDTH;
    unpacked.right[node] = (nodes[at + 3] as number) / NODE_WIDTH;
  }
  requireCovers(unpacked);
  return unpacked;
}

/** The rows of a node are those of its children, and a tree that asks anything has learnt from some. */
function requireCovers({ offsets, left, right, cover }: ExplainableTrees): void {
  const roots = new Set(offsets);
  for (let node = 0; node < left.length; node += 1) {
    if ((left[node] as number) < 0) continue;
    const weight = cover[node] as number;
    const below = (cover[left[node] as number] as number) + (cover[right[node] as number] as number);
    const isEmpty = weight === 0 && roots.has(node);
    if (!isEmpty && Math.abs(below - weight) <= COVER_TOLERANCE * weight) continue;
    throw new NotExplainable(
      `nodes_hitrates are no weights of training rows: node ${node} has ${weight} and its children ${below}`,
    );
  }
}
