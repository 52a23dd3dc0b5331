import type { Matrix } from '../matrix.ts';
import { checkMatrix } from '../matrix.ts';
import type { ExplainableTrees } from './explainable-trees.ts';
import { checkTrees } from './explainable-trees.ts';
import type { Explanation } from './explanation.ts';
import { checkColumns, emptyExplanation } from './explanation.ts';
import type { Quadrature } from './quadrature.ts';
import { gaussLegendre } from './quadrature.ts';
import { rankedValues } from './ranked-values.ts';
import type { TreePaths } from './tree-paths.ts';
import { treePaths } from './tree-paths.ts';

/** Most different features on one path from a root to a leaf. */
export const PATH_FEATURES_MAX = 128;

/** Numbers of each of the two tables that an explainer of single rows keeps: 32 MiB of them. Beyond, they are made for each row. */
const TABLE_NUMBERS_MAX = 1 << 22;

/** Everything that does not depend on the rows. */
interface Prepared {
  readonly trees: ExplainableTrees;
  readonly paths: TreePaths;
  /** By number of points; only those that some tree needs. */
  readonly rules: readonly (Quadrature | undefined)[];
  readonly expected: Float64Array;
  readonly equality: Uint8Array;
}

/** Memory for one tree at a time; the numbers of node k, relative to the root, begin at k * points. */
interface Buffers {
  /** 1 when the row takes the edge and all those above of the same feature. */
  readonly taken: Uint8Array;
  /** On the way down the product of the factors of a path, on the way up the sum over the leaves below. */
  readonly products: Float64Array;
  /** Factor of a taken edge at each point. */
  readonly factors: Float64Array;
  /** What a taken edge's sum is multiplied with. */
  readonly gains: Float64Array;
}

interface TreeTask extends Buffers {
  readonly prepared: Prepared;
  readonly root: number;
  readonly end: number;
  readonly points: Float64Array;
  /** What the sum of an edge that is not taken is multiplied with: the same for all of them. */
  readonly losses: Float64Array;
}

/**
 * Makes a function that explains rows by the exact Shapley values of an ensemble of trees: "TreeSHAP" in its
 * path-dependent form (Lundberg et al., "From local explanations to global understanding with explainable AI
 * for trees", 2020), where a row whose value is unknown takes both ways, weighted by `cover`. Values and
 * expected value add up to the margin.
 *
 * For one leaf this game is a product, over the features of its path, of "taken" (0 or 1) or "share of the
 * training rows". By Owen's multilinear extension (1972) its Shapley value is the integral over t in [0, 1]
 * of (taken - share) times the product of t * taken + (1 - t) * share of the other features: a polynomial,
 * which Gauss-Legendre points integrate exactly. All terms are products of positive numbers, so deep paths
 * lose no digits; and products and sums are shared by all leaves below an edge (as in Yu et al., "Linear
 * TreeSHAP", 2022), so a row takes O(nodes * depth) steps. Nothing is allocated by row or node.
 *
 * @throws RangeError when the arrays are no trees, when a path has more than {@link PATH_FEATURES_MAX}
 *   features; and, later, when rows have another number of columns.
 */
export function treeExplainer(trees: ExplainableTrees): (features: Matrix) => Explanation {
  checkTrees(trees);
  const prepared = prepare(trees);
  return (features) => {
    checkMatrix(features, 'matrix to explain');
    checkColumns(features, trees.featureCount);
    const explanation = emptyExplanation(features, prepared.expected.slice());
    const buffers = buffersOf(prepared);
    const values = rankedValues(features, trees.categories ?? []);
    for (let tree = 0; tree + 1 < trees.offsets.length; tree += 1) {
      const task = taskOf(prepared, tree, buffers);
      const output = tree % explanation.outputs;
      for (let row = 0; row < features.rows; row += 1) {
        descend(task, values, row * features.columns);
        ascend(task, explanation.values, (row * explanation.outputs + output) * features.columns);
      }
    }
    return explanation;
  };
}

/** Explains rows one by one, without a matrix around each. */
export interface TreeRowExplainer {
  /** Margin of each output when nothing is known of a row. */
  readonly expected: Float64Array;
  /**
   * Writes the contributions to one row: that of column c to output o is `contributions[o * columns + c]`.
   *
   * @param values one value for each column, NaN being missing
   */
  explain(values: Float32Array, contributions: Float64Array): void;
}

/**
 * The same values as {@link treeExplainer}, for rows that come one at a time: what depends on the trees alone is computed once,
 * which halves the cost of a row.
 *
 * @throws RangeError as {@link treeExplainer}.
 */
export function treeRowExplainer(trees: ExplainableTrees): TreeRowExplainer {
  checkTrees(trees);
  const prepared = prepare(trees);
  const { outputs = 1, featureCount } = trees;
  const buffers = buffersOf(prepared);
  const treeCount = trees.offsets.length - 1;
  const numbers = sizesOf(prepared);
  const isSmall = numbers.reduce((sum, count) => sum + count, 0) <= TABLE_NUMBERS_MAX;
  const kept = isSmall
    ? numbers.map((count, tree) => {
        const tables = { factors: new Float64Array(count), gains: new Float64Array(count) };
        return taskOf(prepared, tree, { ...buffers, ...tables });
      })
    : [];
  return {
    expected: prepared.expected,
    explain(values, contributions) {
      if (values.length !== featureCount || contributions.length !== featureCount * outputs) {
        throw new RangeError(
          `A row has ${featureCount} values and ${featureCount * outputs} contributions, not ${values.length} and ${contributions.length}`,
        );
      }
      contributions.fill(0);
      const row = { rows: 1, columns: featureCount, values };
      const ranked = rankedValues(row, trees.categories ?? []);
      for (let tree = 0; tree < treeCount; tree += 1) {
        const task = kept[tree] ?? taskOf(prepared, tree, buffers);
        descend(task, ranked, 0);
        ascend(task, contributions, (tree % outputs) * featureCount);
      }
    },
  };
}

/**
 * Explains rows by an ensemble of trees. {@link treeExplainer} saves the preparation when there are more.
 *
 * @throws RangeError as {@link treeExplainer}.
 */
export function explainTrees(trees: ExplainableTrees, features: Matrix): Explanation {
  return treeExplainer(trees)(features);
}

function prepare(trees: ExplainableTrees): Prepared {
  const { baseScores, outputs = 1 } = trees;
  const paths = treePaths(trees);
  const rules: (Quadrature | undefined)[] = [];
  const expected = Float64Array.from(baseScores);
  paths.featuresMax.forEach((features, tree) => {
    if (features > PATH_FEATURES_MAX) {
      throw new RangeError(
        `Tree ${tree} has ${features} features on a path, at most ${PATH_FEATURES_MAX} are explained`,
      );
    }
    const points = pointsFor(features);
    rules[points] ??= gaussLegendre(points);
    const output = tree % outputs;
    expected[output] = (expected[output] as number) + (paths.expected[tree] as number);
  });
  const equality = trees.equality ?? new Uint8Array(trees.left.length);
  return { trees, paths, rules, expected, equality };
}

/** The integrand has one factor less than features, and n points are exact up to degree 2n - 1. */
function pointsFor(features: number): number {
  return Math.max(1, Math.ceil(features / 2));
}

/** Numbers in a table of each tree. */
function sizesOf({ trees, paths }: Prepared): number[] {
  return Array.from(paths.featuresMax, (features, tree) => {
    const nodes = (trees.offsets[tree + 1] as number) - (trees.offsets[tree] as number);
    return nodes * pointsFor(features);
  });
}

function buffersOf(prepared: Prepared): Buffers {
  const { offsets } = prepared.trees;
  const largest = (most: number, size: number): number => Math.max(most, size);
  const numbersMax = sizesOf(prepared).reduce(largest, 0);
  const nodesMax = offsets.subarray(1).reduce((most, end, tree) => {
    return Math.max(most, end - (offsets[tree] as number));
  }, 0);
  return {
    taken: new Uint8Array(nodesMax),
    products: new Float64Array(numbersMax),
    factors: new Float64Array(numbersMax),
    gains: new Float64Array(numbersMax),
  };
}

/** Fills the tables of one tree. */
function taskOf(prepared: Prepared, tree: number, buffers: Buffers): TreeTask {
  const { trees, paths, rules } = prepared;
  const { factors, gains } = buffers;
  const root = trees.offsets[tree] as number;
  const end = trees.offsets[tree + 1] as number;
  const { points, weights } = rules[pointsFor(paths.featuresMax[tree] as number)] as Quadrature;
  for (let edge = root + 1, at = points.length; edge < end; edge += 1) {
    const share = paths.share[edge] as number;
    for (let q = 0; q < points.length; q += 1, at += 1) {
      const point = points[q] as number;
      const factor = point + (1 - point) * share;
      factors[at] = factor;
      gains[at] = ((weights[q] as number) * (1 - share)) / factor;
    }
  }
  const losses = weights.map((weight, q) => -weight / (1 - (points[q] as number)));
  return { ...buffers, prepared, root, end, points, losses };
}

/** Multiplies the factors along all paths, for one row. */
function descend(task: TreeTask, values: Float32Array, start: number): void {
  const { prepared, root, end, points, taken, products } = task;
  const { feature, threshold, left, right, missingLeft } = prepared.trees;
  const { equality } = prepared;
  const { above } = prepared.paths;
  products.fill(1, 0, points.length);
  for (let node = root; node < end; node += 1) {
    const leftChild = left[node] as number;
    if (leftChild < 0) continue;
    const rightChild = right[node] as number;
    const value = values[start + (feature[node] as number)] as number;
    const limit = threshold[node] as number;
    const passes = equality[node] === 1 ? value === limit : value <= limit;
    const goesLeft = passes || (value !== value && missingLeft[node] === 1);
    // Both children have the same edge above: a child is taken when the row turns there and took that one.
    const edge = above[leftChild] as number;
    const open = edge < 0 ? 1 : (taken[edge - root] as number);
    taken[leftChild - root] = goesLeft ? open : 0;
    taken[rightChild - root] = goesLeft ? 0 : open;
    multiply(task, node, leftChild);
    multiply(task, node, rightChild);
  }
}

/** The product of a child: its parent's, with the factor of the child's feature put in or exchanged. */
function multiply(task: TreeTask, node: number, child: number): void {
  const { prepared, root, points, taken, products, factors } = task;
  const { above, share } = prepared.paths;
  const count = points.length;
  const from = (node - root) * count;
  const into = (child - root) * count;
  const edge = above[child] as number;
  const isTaken = taken[child - root] === 1;
  const ownShare = share[child] as number;
  if (edge >= 0 && taken[edge - root] === 0) {
    const shareAbove = share[edge] as number;
    // A share of 0 has made the product 0 already.
    const ratio = shareAbove > 0 ? ownShare / shareAbove : 0;
    for (let q = 0; q < count; q += 1) products[into + q] = (products[from + q] as number) * ratio;
    return;
  }
  for (let q = 0; q < count; q += 1) {
    const factor = isTaken ? (factors[into + q] as number) : (1 - (points[q] as number)) * ownShare;
    products[into + q] = (products[from + q] as number) * factor;
  }
  if (edge < 0) return;
  const replaced = (edge - root) * count;
  for (let q = 0; q < count; q += 1) {
    products[into + q] = (products[into + q] as number) / (factors[replaced + q] as number);
  }
}

/** Sums the leaves below each edge, from the last node up, and adds what the edge is worth to its feature. */
function ascend(task: TreeTask, contributions: Float64Array, start: number): void {
  const { prepared, root, end, points, products } = task;
  const { left, right, leaf } = prepared.trees;
  const { feature, above } = prepared.paths;
  const count = points.length;
  for (let node = end - 1; node > root; node -= 1) {
    const at = (node - root) * count;
    if ((left[node] as number) < 0) {
      const value = leaf[node] as number;
      for (let q = 0; q < count; q += 1) products[at + q] = (products[at + q] as number) * value;
    } else {
      const first = ((left[node] as number) - root) * count;
      const second = ((right[node] as number) - root) * count;
      for (let q = 0; q < count; q += 1) {
        products[at + q] = (products[first + q] as number) + (products[second + q] as number);
      }
    }
    // A feature tested again counts once, as its deepest edge says: what the edge above adds is taken back.
    const edge = above[node] as number;
    const worth = worthOf(task, at, node) - (edge < 0 ? 0 : worthOf(task, at, edge));
    const into = start + (feature[node] as number);
    contributions[into] = (contributions[into] as number) + worth;
  }
}

/** The integral that the sums at `at` have when the feature's factor is that of the given edge. */
function worthOf(task: TreeTask, at: number, edge: number): number {
  const { root, points, taken, products, gains, losses } = task;
  const isTaken = taken[edge - root] === 1;
  const from = (edge - root) * points.length;
  let worth = 0;
  for (let q = 0; q < points.length; q += 1) {
    worth += (products[at + q] as number) * ((isTaken ? gains[from + q] : losses[q]) as number);
  }
  return worth;
}
