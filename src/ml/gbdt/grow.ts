import type { BinnedMatrix } from './bins.ts';
import { interleave } from './bins.ts';
import type { EnsembleBuilder } from './ensemble.ts';
import { BINS, fillHistogram, partitionRows, subtractHistogram } from './kernel.ts';
import type { ResolvedTreesOptions } from './options.ts';
import type { BestSplit, NodeSums } from './split.ts';
import { findSplit } from './split.ts';

/** A leaf of the tree that is growing: a contiguous range of the row indices. */
interface Leaf {
  readonly node: number;
  readonly start: number;
  readonly end: number;
  readonly depth: number;
  readonly sums: NodeSums;
}

/** A leaf that can be split, with the histogram that says so. */
interface OpenLeaf extends Leaf {
  readonly histogram: Float64Array;
  readonly split: BestSplit;
}

/** The columns one tree may use: all, or a sample with its own dense copy of the bins. */
interface TreeColumns {
  /** Column of the binned matrix for each column of the histogram. */
  readonly columns: Int32Array;
  readonly cutCounts: Int32Array;
  readonly bins: Uint8Array;
}

interface GrowingTree extends TreeColumns {
  readonly builder: EnsembleBuilder;
  /** Row indices; each leaf owns a range of them. */
  readonly rows: Int32Array;
  readonly open: OpenLeaf[];
}

/**
 * @internal Grows trees one after the other over the same binned matrix, keeping its buffers.
 *
 * Only the smaller child of a split gets its histogram from the rows; the larger one's is the parent's minus
 * that, in the parent's buffer. Children that no split can improve get none.
 */
export class TreeGrower {
  readonly #binned: BinnedMatrix;
  readonly #options: ResolvedTreesOptions;
  readonly #derivatives: Float64Array;
  readonly #margins: Float64Array;
  readonly #scratch: Int32Array;
  readonly #pool: Float64Array[] = [];
  readonly #allColumns: TreeColumns;

  /**
   * @param derivatives first and second derivatives of each row, interleaved; read anew by every tree
   * @param margins prediction of each row; every tree adds its leaves to the rows it was grown from
   */
  constructor(
    binned: BinnedMatrix,
    options: ResolvedTreesOptions,
    state: { readonly derivatives: Float64Array; readonly margins: Float64Array },
  ) {
    this.#binned = binned;
    this.#options = options;
    this.#derivatives = state.derivatives;
    this.#margins = state.margins;
    this.#scratch = new Int32Array(binned.rows);
    const columns = Int32Array.from(binned.features.keys());
    this.#allColumns = { columns, cutCounts: this.#cutCounts(columns), bins: binned.byRow };
  }

  /**
   * Grows one tree from `rows`, which it reorders, on the sampled `columns` of the binned matrix (default
   * all).
   */
  grow(builder: EnsembleBuilder, rows: Int32Array, columns: Int32Array | undefined): void {
    const chosen = columns === undefined ? this.#allColumns : this.#sampled(columns);
    const tree: GrowingTree = { ...chosen, builder, rows, open: [] };
    const root: Leaf = {
      node: builder.startTree(),
      start: 0,
      end: rows.length,
      depth: 0,
      sums: this.#sumsOf(rows),
    };
    this.#openOrClose(tree, root, this.#canSplit(root) ? this.#histogramOf(tree, root) : undefined);
    for (let leaves = 1; leaves < this.#options.maxLeaves && tree.open.length > 0; leaves += 1) {
      this.#split(tree, this.#takeNext(tree.open));
    }
    for (const leaf of tree.open) {
      this.#pool.push(leaf.histogram);
      this.#close(tree, leaf);
    }
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
    const column = tree.columns[split.column] as number;
    const cuts = this.#binned.cuts[column] as Float32Array;
    const bins = this.#binned.byColumn[column] as Uint8Array;
    const left = builder.split(leaf.node, {
      feature: this.#binned.features[column] as number,
      threshold: cuts[split.bin] ?? Number.POSITIVE_INFINITY,
      missingLeft: split.missingLeft,
      gain: split.gain,
      column,
      bin: split.bin,
    });
    const border = partitionRows(bins, { rows, start, end }, split.bin, split.missingLeft, this.#scratch);
    const children: readonly [Leaf, Leaf] = [
      { node: left, start, end: border, depth: depth + 1, sums: split.left },
      { node: left + 1, start: border, end, depth: depth + 1, sums: split.right },
    ];
    const histograms = this.#childHistograms(tree, leaf.histogram, children);
    children.forEach((child, side) => this.#openOrClose(tree, child, histograms[side]));
  }

  /** Histograms of the children that may be split; the parent's buffer is reused or goes back to the pool. */
  #childHistograms(
    tree: GrowingTree,
    parent: Float64Array,
    children: readonly [Leaf, Leaf],
  ): readonly [Float64Array | undefined, Float64Array | undefined] {
    const [left, right] = children;
    const leftSmaller = left.end - left.start <= right.end - right.start;
    const smaller = leftSmaller ? left : right;
    const needsSmaller = this.#canSplit(smaller);
    const needsLarger = this.#canSplit(leftSmaller ? right : left);
    if (!needsSmaller && !needsLarger) {
      this.#pool.push(parent);
      return [undefined, undefined];
    }
    const own = this.#histogramOf(tree, smaller);
    if (needsLarger) subtractHistogram(parent, own, tree.columns.length * BINS * 2);
    else this.#pool.push(parent);
    if (!needsSmaller) this.#pool.push(own);
    const ofSmaller = needsSmaller ? own : undefined;
    const ofLarger = needsLarger ? parent : undefined;
    return leftSmaller ? [ofSmaller, ofLarger] : [ofLarger, ofSmaller];
  }

  #openOrClose(tree: GrowingTree, leaf: Leaf, histogram: Float64Array | undefined): void {
    if (histogram !== undefined) {
      const split = findSplit({ histogram, cutCounts: tree.cutCounts }, leaf.sums, this.#options);
      if (split !== undefined) {
        tree.open.push({ ...leaf, histogram, split });
        return;
      }
      this.#pool.push(histogram);
    }
    this.#close(tree, leaf);
  }

  /** Gives a leaf its value, -rate * G / (H + lambda), and its rows the new prediction. */
  #close(tree: GrowingTree, leaf: Leaf): void {
    const { gradient, hessian } = leaf.sums;
    // A Float32, as the model file stores it, so that training continues from what will be served.
    const value = Math.fround((-this.#options.learningRate * gradient) / (hessian + this.#options.lambda));
    tree.builder.setLeaf(leaf.node, value);
    const { rows } = tree;
    const margins = this.#margins;
    for (let index = leaf.start; index < leaf.end; index += 1) {
      const row = rows[index] as number;
      margins[row] = (margins[row] as number) + value;
    }
  }

  #canSplit(leaf: Leaf): boolean {
    return leaf.depth < this.#options.maxDepth && leaf.sums.hessian >= 2 * this.#options.minHessian;
  }

  #histogramOf(tree: GrowingTree, leaf: Leaf): Float64Array {
    const histogram = this.#pool.pop() ?? new Float64Array(this.#binned.features.length * BINS * 2);
    const range = { rows: tree.rows, start: leaf.start, end: leaf.end };
    fillHistogram(histogram, tree.bins, tree.columns.length, this.#derivatives, range);
    return histogram;
  }

  #sumsOf(rows: Int32Array): NodeSums {
    const derivatives = this.#derivatives;
    let gradient = 0;
    let hessian = 0;
    for (let index = 0; index < rows.length; index += 1) {
      const at = (rows[index] as number) * 2;
      gradient += derivatives[at] as number;
      hessian += derivatives[at + 1] as number;
    }
    return { gradient, hessian };
  }

  #sampled(columns: Int32Array): TreeColumns {
    const chosen = Array.from(columns, (column) => this.#binned.byColumn[column] as Uint8Array);
    return { columns, cutCounts: this.#cutCounts(columns), bins: interleave(chosen, this.#binned.rows) };
  }

  #cutCounts(columns: Int32Array): Int32Array {
    return columns.map((column) => this.#binned.cuts[column]?.length ?? 0);
  }
}
