import type { TreeEnsemble } from '../gbdt/ensemble.ts';

/**
 * Isolation trees packed as a `TreeEnsemble` is, so that whatever walks, writes or explains one does so with
 * the other: the margin of a row is its mean path length over the trees. A leaf holds its path length divided by the number of
 * trees, `cover` the rows of the tree's subsample; `importance` is 0, since random splits gain nothing.
 */
export interface PathTrees extends TreeEnsemble {
  readonly outputs: 1;
  /** The margin is the answer; the score is made of it outside. */
  readonly link: 'identity';
  /** None: all columns are numbers. */
  readonly categories: readonly [];
}

/** @internal Collects the nodes of isolation trees. */
export class PathTreesBuilder {
  readonly #offsets: number[] = [];
  readonly #feature: number[] = [];
  readonly #threshold: number[] = [];
  readonly #left: number[] = [];
  readonly #right: number[] = [];
  readonly #leaf: number[] = [];
  readonly #missingLeft: number[] = [];
  readonly #cover: number[] = [];

  /** Begins a tree and returns its root. */
  startTree(cover: number): number {
    this.#offsets.push(this.#left.length);
    return this.#addNode(cover);
  }

  /** Turns a leaf into an inner node. Returns its left child; the right one is the next index. */
  split(
    node: number,
    split: {
      readonly feature: number;
      readonly threshold: number;
      readonly missingLeft: boolean;
      readonly leftCover: number;
    },
  ): number {
    const left = this.#addNode(split.leftCover);
    this.#feature[node] = split.feature;
    this.#threshold[node] = split.threshold;
    this.#missingLeft[node] = split.missingLeft ? 1 : 0;
    this.#left[node] = left;
    this.#right[node] = this.#addNode((this.#cover[node] as number) - split.leftCover);
    return left;
  }

  setLeaf(node: number, value: number): void {
    this.#leaf[node] = value;
  }

  build(featureCount: number): PathTrees {
    const splits = new Float64Array(featureCount);
    this.#left.forEach((left, node) => {
      const feature = this.#feature[node] as number;
      if (left >= 0) splits[feature] = (splits[feature] as number) + 1;
    });
    return {
      kind: 'trees',
      outputs: 1,
      link: 'identity',
      baseScores: Float64Array.of(0),
      categories: [],
      featureCount,
      offsets: Int32Array.from([...this.#offsets, this.#left.length]),
      feature: Int32Array.from(this.#feature),
      threshold: Float32Array.from(this.#threshold),
      equality: new Uint8Array(this.#left.length),
      left: Int32Array.from(this.#left),
      right: Int32Array.from(this.#right),
      leaf: Float64Array.from(this.#leaf),
      missingLeft: Uint8Array.from(this.#missingLeft),
      cover: Float64Array.from(this.#cover),
      importance: new Float64Array(featureCount),
      splits,
    };
  }

  #addNode(cover: number): number {
    this.#feature.push(0);
    this.#threshold.push(0);
    this.#left.push(-1);
    this.#right.push(-1);
    this.#leaf.push(0);
    this.#missingLeft.push(0);
    return this.#cover.push(cover) - 1;
  }
}
