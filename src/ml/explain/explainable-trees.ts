/** Largest tree that is explained: its working memory is 24 bytes for each node and quadrature point. */
export const EXPLAINED_NODES_MAX: number = 1 << 20;

/** What the codes of a categorical column become before trees compare them. */
export interface ExplainableCategories {
  /** Index in the input row. */
  readonly feature: number;
  /** Ascending. Every other code counts as missing. */
  readonly codes: ArrayLike<number>;
  /** What each code becomes. */
  readonly ranks: ArrayLike<number>;
}

/**
 * What is read of packed trees, the form of `TreeEnsemble`, to explain them. A node is a leaf when `left` is
 * -1. Otherwise a row goes left when its value is at most `threshold` (equals it, where `equality` is 1), or
 * is missing and `missingLeft` is 1. Children are absolute indices and larger than their parent's.
 */
export interface ExplainableTrees {
  /** Margin of each output before any tree. */
  readonly baseScores: ArrayLike<number>;
  readonly featureCount: number;
  /** Columns whose values are looked up first. Default none. */
  readonly categories?: readonly ExplainableCategories[];
  /** Margins of one answer. Tree t adds to output `t % outputs`. Default 1. */
  readonly outputs?: number;
  /** Root of each tree, then the number of nodes. */
  readonly offsets: Int32Array;
  readonly feature: Int32Array;
  readonly threshold: Float32Array;
  /** Default all 0. */
  readonly equality?: Uint8Array;
  readonly left: Int32Array;
  readonly right: Int32Array;
  readonly leaf: Float64Array;
  readonly missingLeft: Uint8Array;
  /**
   * Weight of the training rows that reached each node. Only the shares of the two children of a node matter;
   * where both are 0 each counts as one half.
   */
  readonly cover: Float64Array;
}

/**
 * @internal Checks that the arrays are trees, so that no walk can leave them or go round in circles.
 *
 * @throws RangeError naming the field, node or tree that is wrong.
 */
export function checkTrees(trees: ExplainableTrees): void {
  const { offsets, featureCount, outputs = 1 } = trees;
  const nodes = offsets.at(-1) ?? -1;
  if (offsets[0] !== 0) throw new RangeError('The offsets of trees must begin with 0');
  for (const field of ['feature', 'threshold', 'left', 'right', 'leaf', 'missingLeft', 'cover'] as const) {
    checkLength(trees, field, nodes);
  }
  if (trees.equality !== undefined) checkLength(trees, 'equality', nodes);
  if (!Number.isSafeInteger(featureCount) || featureCount < 0) {
    throw new RangeError(`featureCount must be a natural number, not ${featureCount}`);
  }
  if (!Number.isSafeInteger(outputs) || outputs < 1) {
    throw new RangeError(`outputs must be a whole number from 1, not ${outputs}`);
  }
  if (trees.baseScores.length !== outputs) {
    throw new RangeError(`There are ${outputs} outputs but ${trees.baseScores.length} base scores`);
  }
  for (const { feature, codes, ranks } of trees.categories ?? []) {
    if (!(feature >= 0 && feature < featureCount) || codes.length !== ranks.length) {
      throw new RangeError(
        `Categories of input ${feature} of ${featureCount} have ${codes.length} codes and ${ranks.length} ranks`,
      );
    }
  }
  for (let tree = 0; tree + 1 < offsets.length; tree += 1) checkTree(trees, tree);
}

function checkLength(
  trees: ExplainableTrees,
  field: 'feature' | 'threshold' | 'equality' | 'left' | 'right' | 'leaf' | 'missingLeft' | 'cover',
  nodes: number,
): void {
  const length = trees[field]?.length;
  if (length !== nodes) throw new RangeError(`The trees have ${nodes} nodes but ${field} has ${length}`);
}

function checkTree(trees: ExplainableTrees, tree: number): void {
  const { featureCount, feature, left, right, leaf, cover } = trees;
  const root = trees.offsets[tree] as number;
  const end = trees.offsets[tree + 1] as number;
  if (!(end > root && end - root <= EXPLAINED_NODES_MAX)) {
    throw new RangeError(`Tree ${tree} must have 1 to ${EXPLAINED_NODES_MAX} nodes, not ${end - root}`);
  }
  const seen = new Uint8Array(end - root);
  for (let node = root; node < end; node += 1) {
    const weight = cover[node] as number;
    if (!(weight >= 0 && weight < Number.POSITIVE_INFINITY)) {
      throw new RangeError(`The cover of node ${node} must be a finite number of at least 0, not ${weight}`);
    }
    if ((left[node] as number) < 0) {
      if (!Number.isFinite(leaf[node])) throw new RangeError(`Leaf ${node} is ${leaf[node]}`);
      continue;
    }
    const tested = feature[node] as number;
    if (!(tested >= 0 && tested < featureCount)) {
      throw new RangeError(`Node ${node} reads input ${tested} of ${featureCount}`);
    }
    for (const child of [left[node] as number, right[node] as number]) {
      if (!(child > node && child < end && seen[child - root] === 0)) {
        throw new RangeError(`Node ${node} of tree ${tree} has ${child} as a child`);
      }
      seen[child - root] = 1;
    }
  }
  const orphan = seen.indexOf(0, 1);
  if (orphan > 0) throw new RangeError(`Node ${root + orphan} of tree ${tree} has no parent`);
}
