import type { ExplainableTrees } from './explainable-trees.ts';

/**
 * What the paths of trees say about every row alike. The edge that leads to a node has the node's index; a
 * root has none.
 */
export interface TreePaths {
  /** The feature that the edge tests. */
  readonly feature: Int32Array;
  /** The nearest edge above that tests the same feature, or -1. */
  readonly above: Int32Array;
  /**
   * Share of the training rows that take the edge and all those above of the same feature: the probability to
   * pass them for a row whose value of that feature is unknown.
   */
  readonly share: Float64Array;
  /** Of each tree: the largest number of different features on a path. */
  readonly featuresMax: Int32Array;
  /** Of each tree: its mean leaf over the training rows. */
  readonly expected: Float64Array;
}

/** @internal Follows all paths once, without recursion: a parent always comes before its children. */
export function treePaths(trees: ExplainableTrees): TreePaths {
  const nodes = trees.left.length;
  const treeCount = trees.offsets.length - 1;
  const paths: TreePaths = {
    feature: new Int32Array(nodes),
    above: new Int32Array(nodes).fill(-1),
    share: new Float64Array(nodes).fill(1),
    featuresMax: new Int32Array(treeCount),
    expected: new Float64Array(treeCount),
  };
  const working: Working = {
    parent: new Int32Array(nodes).fill(-1),
    reach: new Float64Array(nodes),
    features: new Int32Array(nodes),
  };
  for (let tree = 0; tree < treeCount; tree += 1) followTree(trees, tree, { paths, working });
  return paths;
}

interface Working {
  readonly parent: Int32Array;
  /** Share of the training rows that reach a node. */
  readonly reach: Float64Array;
  /** Different features on the path to a node. */
  readonly features: Int32Array;
}

function followTree(
  trees: ExplainableTrees,
  tree: number,
  into: { readonly paths: TreePaths; readonly working: Working },
): void {
  const { left, right, leaf } = trees;
  const { paths, working } = into;
  const { reach, features } = working;
  const root = trees.offsets[tree] as number;
  const end = trees.offsets[tree + 1] as number;
  reach[root] = 1;
  let mean = 0;
  let most = 0;
  for (let node = root; node < end; node += 1) {
    most = Math.max(most, features[node] as number);
    if ((left[node] as number) < 0) {
      mean += (reach[node] as number) * (leaf[node] as number);
      continue;
    }
    const share = leftShare(trees, node);
    addEdge(into, {
      parent: node,
      child: left[node] as number,
      share,
      feature: trees.feature[node] as number,
    });
    addEdge(into, {
      parent: node,
      child: right[node] as number,
      share: 1 - share,
      feature: trees.feature[node] as number,
    });
  }
  paths.featuresMax[tree] = most;
  paths.expected[tree] = mean;
}

/** Share of a node's training rows that went left. Of both covers, so that the two shares add up to 1. */
function leftShare(trees: ExplainableTrees, node: number): number {
  const left = trees.cover[trees.left[node] as number] as number;
  const right = trees.cover[trees.right[node] as number] as number;
  return left + right > 0 ? left / (left + right) : 0.5;
}

function addEdge(
  into: { readonly paths: TreePaths; readonly working: Working },
  edge: { readonly parent: number; readonly child: number; readonly share: number; readonly feature: number },
): void {
  const { paths, working } = into;
  const { parent, child, share, feature } = edge;
  let above = parent;
  while (above >= 0 && !(paths.feature[above] === feature && (working.parent[above] as number) >= 0)) {
    above = working.parent[above] as number;
  }
  working.parent[child] = parent;
  working.reach[child] = (working.reach[parent] as number) * share;
  working.features[child] = (working.features[parent] as number) + (above < 0 ? 1 : 0);
  paths.feature[child] = feature;
  paths.above[child] = above;
  paths.share[child] = above < 0 ? share : share * (paths.share[above] as number);
}
