import type { BinnedMatrix } from './bins.ts';
import type { ClosedLeaf, Crew } from './crew/crew.ts';
import type { EnsembleBuilder } from './ensemble.ts';
import { BINS, MISSING_BIN } from './kernel.ts';
import { arrayBytes } from './kernel-wasm.ts';
import type { ResolvedTreesOptions } from './options.ts';
import type { SeededRandom } from '../random.ts';
import type { Candidate, Histogram, NodeSplits } from './search-node.ts';
import type { BestSplit, Bounds, NodeSums } from './split.ts';
import { UNBOUNDED, leafWeight } from './split.ts';
import type { TreeColumns } from './tree-columns.ts';
import { allColumns, columnBytes, roomForSamples, sampledColumns } from './tree-columns.ts';

/** A leaf of the tree that is growing: a contiguous range of the row indices. */
interface Leaf {
  readonly node: number;
  readonly start: number;
  readonly end: number;
  readonly depth: number;
  readonly sums: NodeSums;
  readonly bounds: Bounds;
}

/** What was found out about a leaf that may be split. */
interface Searched {
  readonly histogram: Histogram;
  readonly split: BestSplit | undefined;
}

/** A leaf that can be split, with the histogram that says so. */
interface OpenLeaf extends Leaf {
  readonly histogram: Histogram;
  readonly split: BestSplit;
}

/** A tree to grow. */
export interface TreeToGrow {
  readonly builder: EnsembleBuilder;
  /** Row indices, which growing reorders; each leaf owns a range of them. */
  readonly rows: Int32Array;
  /** Prediction of each row of the data; the tree adds its leaves to the rows it is grown from. */
  readonly margins: Float64Array;
  /** Columns of the binned matrix that the tree may use. Default all. */
  readonly sample: Int32Array | undefined;
}

interface GrowingTree extends TreeToGrow {
  readonly columns: TreeColumns;
  readonly open: OpenLeaf[];
  readonly closed: ClosedLeaf[];
}

/** The options, with the least gain in the unit of the labels. */
export type GrowOptions = ResolvedTreesOptions & { readonly minGain: number };

/** What a grower works with. */
export interface GrowerState {
  readonly kernel: Crew;
  readonly random: SeededRandom;
  /** First and second derivatives of each row, interleaved; read anew by every tree. */
  readonly derivatives: Float64Array;
  readonly weights: Float64Array;
  /** The best value of a leaf of these rows, where the derivatives do not give it. */
  readonly renewLeaf: ((rows: Int32Array, margins: Float64Array) => number) | undefined;
}

/**
 * @internal Grows trees one after the other over the same binned matrix, keeping its buffers.
 *
 * Only the smaller child of a split gets its histogram from the rows; the larger one's is the parent's minus
 * that, in the parent's buffer. Children that no split can improve get none.
 */
export class TreeGrower {
  readonly #binned: BinnedMatrix;
  readonly #options: GrowOptions;
  readonly #state: GrowerState;
  readonly #scratch: Int32Array;
  readonly #sides: Uint8Array;
  readonly #sums: Float64Array;
  /** Whether a sum of weights is a number of rows. */
  readonly #unitWeights: boolean;
  readonly #pool: Histogram[] = [];
  readonly #allColumns: TreeColumns;
  /** Where trees see a sample of the columns. */
  readonly #room: TreeColumns | undefined;
  /** Where nodes do: the columns of the two that are searched. */
  readonly #drawn: readonly [Int32Array, Int32Array];

  constructor(binned: BinnedMatrix, options: GrowOptions, state: GrowerState) {
    this.#binned = binned;
    this.#options = options;
    this.#state = state;
    const { kernel } = state;
    this.#scratch = kernel.integers(binned.rows);
    this.#sides = kernel.bytes(BINS);
    this.#sums = kernel.doubles(2);
    this.#unitWeights = state.weights.every((weight) => weight === 1);
    this.#allColumns = allColumns(binned, options.monotone, kernel);
    this.#room = options.columnSample < 1 ? roomForSamples(this.#allColumns, kernel) : undefined;
    const width = binned.features.length;
    this.#drawn = [kernel.integers(width), kernel.integers(width)];
  }

  grow(wanted: TreeToGrow): void {
    const { builder, rows } = wanted;
    const columns =
      wanted.sample === undefined || this.#room === undefined
        ? this.#allColumns
        : sampledColumns(this.#binned, this.#allColumns, { columns: wanted.sample, room: this.#room });
    const tree: GrowingTree = { ...wanted, columns, open: [], closed: [] };
    this.#state.kernel.sumRows(this.#sums, this.#state.derivatives, { rows, start: 0, end: rows.length });
    const root: Leaf = {
      node: builder.startTree(),
      start: 0,
      end: rows.length,
      depth: 0,
      sums: { gradient: this.#sums[0] as number, hessian: this.#sums[1] as number },
      bounds: UNBOUNDED,
    };
    this.#openOrClose(tree, root, this.#searchRoot(tree, root));
    for (let leaves = 1; leaves < this.#options.maxLeaves && tree.open.length > 0; leaves += 1) {
      this.#split(tree, this.#takeNext(tree.open));
    }
    for (const leaf of tree.open) {
      this.#pool.push(leaf.histogram);
      this.#close(tree, leaf);
    }
    this.#state.kernel.addToLeaves({ margins: wanted.margins, rows, leaves: tree.closed });
  }

  /**
   * By depth the order does not matter to the result, and the newest first needs the fewest histograms at a
   * time.
   */
  #takeNext(open: OpenLeaf[]): OpenLeaf {
    let chosen = open.length - 1;
    if (this.#options.growth === 'leaf') {
      for (let index = open.length - 2; index >= 0; index -= 1) {
        if ((open[index] as OpenLeaf).split.gain >= (open[chosen] as OpenLeaf).split.gain) chosen = index;
      }
    }
    return open.splice(chosen, 1)[0] as OpenLeaf;
  }

  #split(tree: GrowingTree, leaf: OpenLeaf): void {
    const { split, start, end, depth } = leaf;
    const { builder, rows } = tree;
    const column = tree.columns.columns[split.column] as number;
    const equality = tree.columns.equality[split.column] === 1;
    const cuts = this.#binned.cuts[column] as Float32Array;
    const sides = this.#sides;
    sides.fill(0).fill(1, equality ? split.bin : 0, split.bin + 1);
    sides[MISSING_BIN] = split.missingLeft ? 1 : 0;
    const border = this.#state.kernel.partitionRows(
      { rows, start, end },
      { column: this.#binned.byColumn[column] as Uint8Array, sides, scratch: this.#scratch },
    );
    if (border === start || border === end) {
      // What stood on one side was what subtraction of far greater sums had left over.
      this.#pool.push(leaf.histogram);
      this.#close(tree, leaf);
      return;
    }
    const left = builder.split(leaf.node, {
      feature: this.#binned.features[column] as number,
      threshold: equality ? split.bin : (cuts[split.bin] ?? Number.POSITIVE_INFINITY),
      equality,
      missingLeft: split.missingLeft,
      gain: split.gain,
      column,
      sides: sides.slice(),
    });
    const bounds = this.#childBounds(tree, leaf);
    const children: readonly [Leaf, Leaf] = [
      { node: left, start, end: border, depth: depth + 1, sums: split.left, bounds: bounds[0] },
      { node: left + 1, start: border, end, depth: depth + 1, sums: split.right, bounds: bounds[1] },
    ];
    const searched = this.#searchChildren(tree, leaf.histogram, children);
    children.forEach((child, side) => this.#openOrClose(tree, child, searched[side]));
  }

  /** A split on a column with a direction parts the values that leaves may have at the middle of both sides. */
  #childBounds(tree: GrowingTree, leaf: OpenLeaf): readonly [Bounds, Bounds] {
    const { split, bounds } = leaf;
    const direction = tree.columns.directions?.[split.column] ?? 0;
    if (direction === 0) return [bounds, bounds];
    const middle =
      (leafWeight(split.left, this.#options, bounds) + leafWeight(split.right, this.#options, bounds)) / 2;
    const below = { lower: bounds.lower, upper: middle };
    const above = { lower: middle, upper: bounds.upper };
    return direction > 0 ? [below, above] : [above, below];
  }

  #searchRoot(tree: GrowingTree, root: Leaf): Searched | undefined {
    const candidate = this.#candidate(tree, root, 0);
    if (candidate === undefined) return undefined;
    const histogram = this.#takeHistogram();
    return { histogram, split: this.#search(tree, root, { made: histogram, own: candidate }).own };
  }

  /**
   * Histograms and best splits of the children that may be split; the parent's buffer is reused or goes back to the
   * pool.
   */
  #searchChildren(
    tree: GrowingTree,
    parent: Histogram,
    children: readonly [Leaf, Leaf],
  ): readonly [Searched | undefined, Searched | undefined] {
    const [left, right] = children;
    const candidates = [this.#candidate(tree, left, 0), this.#candidate(tree, right, 1)] as const;
    const leftSmaller = left.end - left.start <= right.end - right.start;
    const [own, candidate] = leftSmaller ? candidates : [candidates[1], candidates[0]];
    if (own === undefined && candidate === undefined) {
      this.#pool.push(parent);
      return [undefined, undefined];
    }
    const made = this.#takeHistogram();
    const other = candidate === undefined ? undefined : { parent, candidate };
    const found = this.#search(tree, leftSmaller ? left : right, { made, own, other });
    if (other === undefined) this.#pool.push(parent);
    if (own === undefined) this.#pool.push(made);
    const ofSmaller = own === undefined ? undefined : { histogram: made, split: found.own };
    const ofLarger = other === undefined ? undefined : { histogram: parent, split: found.other };
    return leftSmaller ? [ofSmaller, ofLarger] : [ofLarger, ofSmaller];
  }

  #search(
    tree: GrowingTree,
    leaf: Leaf,
    wanted: {
      readonly made: Histogram;
      readonly own: Candidate | undefined;
      readonly other?: { readonly parent: Histogram; readonly candidate: Candidate } | undefined;
    },
  ): NodeSplits {
    const { kernel, derivatives } = this.#state;
    const { columns, rows } = tree;
    return kernel.searchNode({
      data: { bins: columns.bins, columns: columns.columns.length, derivatives },
      columns,
      limits: this.#options,
      range: { rows, start: leaf.start, end: leaf.end },
      other: undefined,
      ...wanted,
    });
  }

  #openOrClose(tree: GrowingTree, leaf: Leaf, searched: Searched | undefined): void {
    if (searched !== undefined) {
      const { histogram, split } = searched;
      if (split !== undefined) {
        tree.open.push({ ...leaf, histogram, split });
        return;
      }
      this.#pool.push(histogram);
    }
    this.#close(tree, leaf);
  }

  /** The node, if it may be split. */
  #candidate(tree: GrowingTree, leaf: Leaf, side: 0 | 1): Candidate | undefined {
    const { depth, sums, start, end, bounds } = leaf;
    const { maxDepth, minHessian, minRows } = this.#options;
    const rows = end - start;
    if (depth >= maxDepth || sums.hessian < 2 * minHessian || rows < 2 * minRows) return undefined;
    return { sums, rows, bounds, considered: this.#considered(tree.columns.indices, this.#drawn[side]) };
  }

  #considered(indices: Int32Array, into: Int32Array): Int32Array {
    const { columnSampleByNode } = this.#options;
    if (columnSampleByNode === 1 || indices.length === 0) return indices;
    const drawn = this.#state.random.sample(indices.length, shareOf(columnSampleByNode, indices.length));
    into.set(drawn);
    return into.subarray(0, drawn.length);
  }

  /** Gives a leaf its value, which its rows get when the tree has grown. */
  #close(tree: GrowingTree, leaf: Leaf): void {
    const { start, end } = leaf;
    const { rows, margins, builder } = tree;
    const { weights, renewLeaf } = this.#state;
    const weight =
      renewLeaf === undefined
        ? leafWeight(leaf.sums, this.#options, leaf.bounds)
        : renewLeaf(rows.subarray(start, end), margins);
    // A Float32, as the model file stores it, so that training continues from what will be served.
    const value = Math.fround(this.#options.learningRate * weight);
    builder.setLeaf(leaf.node, value);
    tree.closed.push({ start, end, value });
    if (this.#unitWeights) {
      builder.addCover(leaf.node, end - start);
      return;
    }
    let cover = 0;
    for (let index = start; index < end; index += 1) cover += weights[rows[index] as number] as number;
    builder.addCover(leaf.node, cover);
  }

  #takeHistogram(): Histogram {
    const used = this.#pool.pop();
    if (used !== undefined) return used;
    const { kernel } = this.#state;
    const entries = this.#binned.features.length * BINS;
    return {
      sums: kernel.doubles(entries * 2),
      counts: this.#options.minRows > 1 ? kernel.integers(entries) : undefined,
    };
  }
}

/** @internal A share of some things, at least one of them. */
export function shareOf(share: number, count: number): number {
  return Math.max(1, Math.round(share * count));
}

/** @internal Bytes of a kernel's memory that a grower takes at most. */
export function growBytes(options: ResolvedTreesOptions, rows: number, columns: number): number {
  // By depth one leaf waits at each level; leaf-wise all may. One histogram more is in the making.
  const waiting = options.growth === 'depth' ? options.maxDepth + 1 : 2 ** options.maxDepth;
  const histograms = Math.min(options.maxLeaves, waiting, rows) + 2;
  const entries = columns * BINS;
  const counters = options.minRows > 1 ? arrayBytes(entries, 4) : 0;
  return (
    arrayBytes(rows, 4) +
    arrayBytes(BINS, 1) +
    arrayBytes(2, 8) +
    columnBytes(columns) +
    2 * arrayBytes(columns, 4) +
    (options.columnSample < 1 ? arrayBytes(rows * columns, 1) : 0) +
    histograms * (arrayBytes(entries, 16) + counters)
  );
}
