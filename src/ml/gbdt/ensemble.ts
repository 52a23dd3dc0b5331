import type { CategoryCoding } from './categories.ts';
import type { Link } from './link.ts';

/**
 * Boosted trees, all packed into one array per field. There are one or more outputs; tree t adds to output
 * `t % outputs`. The margin of an output is its base score plus the leaf that the row reaches in each of its
 * trees; `link` makes the answer of the margins.
 *
 * Values of categorical columns are looked up in `categories` first and become ranks, or missing. Node k is a
 * leaf when `left[k]` is -1 and then adds `leaf[k]`. Otherwise the row goes to `left[k]` when its value of
 * `feature[k]` is at most `threshold[k]` (where `equality[k]` is 1: equals it), or is missing and
 * `missingLeft[k]` is 1; else to `right[k]`. Children are absolute indices and larger than their parent's.
 */
export interface TreeEnsemble {
  readonly kind: 'trees';
  /** 1, or the number of classes. */
  readonly outputs: number;
  readonly link: Link;
  /** Margin of each output before any tree; exactly Float32s. */
  readonly baseScores: Float64Array;
  /** Inputs in a row. */
  readonly featureCount: number;
  /** Categorical columns, in ascending order; empty when all are numbers. */
  readonly categories: readonly CategoryCoding[];
  /** Root of each tree, then the number of nodes: one more than there are trees. */
  readonly offsets: Int32Array;
  readonly feature: Int32Array;
  /** `Infinity` sends every value left, so that only missing ones go right. */
  readonly threshold: Float32Array;
  /** 1 where one category is split from all others. */
  readonly equality: Uint8Array;
  readonly left: Int32Array;
  readonly right: Int32Array;
  /** Margin of each leaf, exactly a Float32; 0 for inner nodes. */
  readonly leaf: Float64Array;
  readonly missingLeft: Uint8Array;
  /** For each node the sum of the weights of the training rows that reach it. */
  readonly cover: Float64Array;
  /** Sum of the gains of all splits on each feature. */
  readonly importance: Float64Array;
  /** Number of splits on each feature. */
  readonly splits: Float64Array;
}

/** Where a node sends its rows. */
export interface NodeSplit {
  /** Index in the input row. */
  readonly feature: number;
  readonly threshold: number;
  /** Whether only values equal to the threshold go left. */
  readonly equality: boolean;
  readonly missingLeft: boolean;
  readonly gain: number;
  /** Column of the binned matrix. */
  readonly column: number;
  /** For each bin 1 if it goes left, else 0. */
  readonly sides: Uint8Array;
}

/** What all trees share. */
export type EnsembleHead = Pick<
  TreeEnsemble,
  'outputs' | 'link' | 'baseScores' | 'featureCount' | 'categories'
>;

interface Node {
  left: number;
  leaf: number;
  cover: number;
  split: NodeSplit | undefined;
}

/**
 * Most nodes of an ensemble, while it grows too: a model file of them takes 48 MB. Beyond that a training would run out of
 * memory, which ends its whole process.
 */
export const NODES_MAX = 2_000_000;

/** @internal Collects nodes while trees grow. */
export class EnsembleBuilder {
  readonly #offsets: number[] = [];
  readonly #nodes: Node[] = [];

  /** Begins a tree and returns its root. */
  startTree(): number {
    const root = this.#addNode();
    this.#offsets.push(root);
    return root;
  }

  /** Turns a leaf into an inner node. Returns its left child; the right one is the next index. */
  split(node: number, split: NodeSplit): number {
    const parent = this.#nodes[node] as Node;
    parent.split = split;
    parent.left = this.#addNode();
    this.#addNode();
    return parent.left;
  }

  setLeaf(node: number, value: number): void {
    (this.#nodes[node] as Node).leaf = value;
  }

  /** Adds the weight of training rows to a leaf; inner nodes have the sum of their leaves. */
  addCover(node: number, weight: number): void {
    (this.#nodes[node] as Node).cover += weight;
  }

  leafValue(node: number): number {
    return (this.#nodes[node] as Node).leaf;
  }

  /** The leaf of tree number `tree` that the row of Float32 values starting at `start` reaches. */
  leafOf(tree: number, values: Float32Array, start: number): number {
    let node = this.#offsets[tree] as number;
    for (;;) {
      const { split, left } = this.#nodes[node] as Node;
      if (split === undefined) return node;
      const value = values[start + split.feature] as number;
      const within = split.equality ? value === split.threshold : value <= split.threshold;
      node = within || (value !== value && split.missingLeft) ? left : left + 1;
    }
  }

  /** The leaf of the newest tree that the row of bins starting at `start` reaches. */
  newestLeafOfBins(bins: Uint8Array, start: number): number {
    let node = this.#offsets.at(-1) as number;
    for (;;) {
      const { split, left } = this.#nodes[node] as Node;
      if (split === undefined) return node;
      node = split.sides[bins[start + split.column] as number] === 1 ? left : left + 1;
    }
  }

  /** The ensemble of the first `trees` trees. */
  build(head: EnsembleHead, trees: number): TreeEnsemble {
    const count = this.#offsets[trees] ?? this.#nodes.length;
    const nodes = this.#nodes.slice(0, count);
    const cover = Float64Array.from(nodes, (node) => node.cover);
    const importance = new Float64Array(head.featureCount);
    const splits = new Float64Array(head.featureCount);
    for (let node = count - 1; node >= 0; node -= 1) {
      const { split, left } = nodes[node] as Node;
      if (split === undefined) continue;
      cover[node] = (cover[left] as number) + (cover[left + 1] as number);
      splits[split.feature] = (splits[split.feature] as number) + 1;
    }
    for (const { split } of nodes) {
      if (split === undefined) continue;
      importance[split.feature] = (importance[split.feature] as number) + split.gain;
    }
    return {
      kind: 'trees',
      ...head,
      offsets: Int32Array.from([...this.#offsets.slice(0, trees), count]),
      feature: Int32Array.from(nodes, ({ split }) => split?.feature ?? 0),
      threshold: Float32Array.from(nodes, ({ split }) => split?.threshold ?? 0),
      equality: Uint8Array.from(nodes, ({ split }) => (split?.equality === true ? 1 : 0)),
      left: Int32Array.from(nodes, ({ left }) => left),
      right: Int32Array.from(nodes, ({ left }) => (left < 0 ? -1 : left + 1)),
      leaf: Float64Array.from(nodes, ({ leaf }) => leaf),
      missingLeft: Uint8Array.from(nodes, ({ split }) => (split?.missingLeft === true ? 1 : 0)),
      cover,
      importance,
      splits,
    };
  }

  #addNode(): number {
    if (this.#nodes.length === NODES_MAX) {
      throw new RangeError(
        `The trees have more than ${NODES_MAX} nodes after ${this.#offsets.length} of them: ask for fewer rounds or leaves`,
      );
    }
    return this.#nodes.push({ left: -1, leaf: 0, cover: 0, split: undefined }) - 1;
  }
}
