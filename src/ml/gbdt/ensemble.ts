/**
 * Boosted trees for one probability, all trees packed into one array per field. The margin of a row is
 * `baseScore` plus the leaf it reaches in each tree; the probability is 1 / (1 + exp(-margin)).
 *
 * Node k is a leaf when `left[k]` is -1 and then adds `leaf[k]`. Otherwise the row goes to `left[k]` when its
 * value of `feature[k]` is at most `threshold[k]`, or is missing and `missingLeft[k]` is 1; else to
 * `right[k]`. Children are absolute indices and larger than their parent's.
 */
export interface TreeEnsemble {
  readonly kind: 'trees';
  /** Margin before any tree; exactly a Float32. */
  readonly baseScore: number;
  /** Inputs in a row. */
  readonly featureCount: number;
  /** Root of each tree, then the number of nodes: one more than there are trees. */
  readonly offsets: Int32Array;
  readonly feature: Int32Array;
  /** `Infinity` sends every value left, so that only missing ones go right. */
  readonly threshold: Float32Array;
  readonly left: Int32Array;
  readonly right: Int32Array;
  /** Margin of each leaf, exactly a Float32; 0 for inner nodes. */
  readonly leaf: Float64Array;
  readonly missingLeft: Uint8Array;
  /** Sum of the gains of all splits on each feature. */
  readonly importance: Float64Array;
}

/** Where a node sends its rows. */
export interface NodeSplit {
  /** Index in the input row. */
  readonly feature: number;
  readonly threshold: number;
  readonly missingLeft: boolean;
  readonly gain: number;
  /** The same split on binned values: column of the binned matrix, and largest bin that goes left. */
  readonly column: number;
  readonly bin: number;
}

/** @internal Collects nodes while trees grow. */
export class EnsembleBuilder {
  readonly #offsets: number[] = [];
  readonly #feature: number[] = [];
  readonly #threshold: number[] = [];
  readonly #left: number[] = [];
  readonly #right: number[] = [];
  readonly #leaf: number[] = [];
  readonly #missingLeft: number[] = [];
  readonly #gain: number[] = [];
  readonly #column: number[] = [];
  readonly #bin: number[] = [];

  /** Begins a tree and returns its root. */
  startTree(): number {
    this.#offsets.push(this.#left.length);
    return this.#addNode();
  }

  /** Turns a leaf into an inner node. Returns its left child; the right one is the next index. */
  split(node: number, split: NodeSplit): number {
    const left = this.#addNode();
    this.#feature[node] = split.feature;
    this.#threshold[node] = split.threshold;
    this.#missingLeft[node] = split.missingLeft ? 1 : 0;
    this.#gain[node] = split.gain;
    this.#column[node] = split.column;
    this.#bin[node] = split.bin;
    this.#left[node] = left;
    this.#right[node] = this.#addNode();
    return left;
  }

  setLeaf(node: number, value: number): void {
    this.#leaf[node] = value;
  }

  /** The leaf value that the newest tree gives the row of Float32 values starting at `start`. */
  newestLeafOf(values: Float32Array, start: number): number {
    let node = this.#offsets.at(-1) ?? 0;
    while ((this.#left[node] as number) >= 0) {
      const value = values[start + (this.#feature[node] as number)] as number;
      const goesLeft =
        value <= (this.#threshold[node] as number) || (value !== value && this.#missingLeft[node] === 1);
      node = (goesLeft ? this.#left[node] : this.#right[node]) as number;
    }
    return this.#leaf[node] as number;
  }

  /** The leaf value that the newest tree gives the row of bins starting at `start`. */
  newestLeafOfBins(bins: Uint8Array, start: number, missingBin: number): number {
    let node = this.#offsets.at(-1) ?? 0;
    while ((this.#left[node] as number) >= 0) {
      const bin = bins[start + (this.#column[node] as number)] as number;
      const goesLeft =
        bin <= (this.#bin[node] as number) || (bin === missingBin && this.#missingLeft[node] === 1);
      node = (goesLeft ? this.#left[node] : this.#right[node]) as number;
    }
    return this.#leaf[node] as number;
  }

  /** The ensemble of the first `trees` trees. */
  build(options: {
    readonly baseScore: number;
    readonly featureCount: number;
    readonly trees: number;
  }): TreeEnsemble {
    const nodes = this.#offsets[options.trees] ?? this.#left.length;
    const importance = new Float64Array(options.featureCount);
    for (let node = 0; node < nodes; node += 1) {
      if ((this.#left[node] as number) < 0) continue;
      const feature = this.#feature[node] as number;
      importance[feature] = (importance[feature] as number) + (this.#gain[node] as number);
    }
    return {
      kind: 'trees',
      baseScore: options.baseScore,
      featureCount: options.featureCount,
      offsets: Int32Array.from([...this.#offsets.slice(0, options.trees), nodes]),
      feature: Int32Array.from(this.#feature.slice(0, nodes)),
      threshold: Float32Array.from(this.#threshold.slice(0, nodes)),
      left: Int32Array.from(this.#left.slice(0, nodes)),
      right: Int32Array.from(this.#right.slice(0, nodes)),
      leaf: Float64Array.from(this.#leaf.slice(0, nodes)),
      missingLeft: Uint8Array.from(this.#missingLeft.slice(0, nodes)),
      importance,
    };
  }

  #addNode(): number {
    this.#feature.push(0);
    this.#threshold.push(0);
    this.#left.push(-1);
    this.#right.push(-1);
    this.#leaf.push(0);
    this.#missingLeft.push(0);
    this.#gain.push(0);
    this.#column.push(0);
    return this.#bin.push(0) - 1;
  }
}
