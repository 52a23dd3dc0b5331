import type { Kernel } from '../kernel.ts';
import type { Link } from '../link.ts';
import type { TreesMetric } from '../options.ts';

/** One output of all rows, to be differentiated by. */
export interface OutputState {
  readonly output: number;
  /** Margins of this output. */
  readonly margins: Float64Array;
  /** Receives the first and second derivative of row r, times its weight, at 2r and 2r + 1. */
  readonly derivatives: Float64Array;
  readonly kernel: Kernel;
}

/**
 * The labels of a data set under an objective. Margins are output after output: that of row r for output k is
 * `margins[k * rows + r]`.
 */
export interface Target {
  readonly outputs: number;
  readonly link: Link;
  readonly metric: TreesMetric;
  readonly labels: ArrayLike<number>;
  /** Weight of each row, its class's weight included. */
  readonly weights: Float64Array;
  /** The best constant margins. */
  baseScores(): Float64Array;
  /** What gains are measured in: 1, or the variance of labels that have a unit. */
  gainUnit?(): number;
  /** Takes in the margins of all outputs before the round's trees are grown. */
  beginRound?(margins: Float64Array): void;
  differentiate(state: OutputState): void;
  /** Weighted mean of the loss. */
  loss(margins: Float64Array): number;
  /** The best value of a leaf that has these rows, where a Newton step does not give it. */
  readonly renewLeaf?: (rows: Int32Array, margins: Float64Array) => number;
}

/** A data set's labels and weights as given. */
export interface TargetRows {
  readonly rows: number;
  readonly labels: ArrayLike<number>;
  readonly weights: Float64Array;
  readonly groups: ArrayLike<number> | undefined;
  /** What the set is called in messages. */
  readonly what: string;
}

/** Bounds on labels. */
export interface LabelBounds {
  readonly least: number;
  readonly most: number;
  readonly whole: boolean;
  /** What a label must be, in words. */
  readonly wanted: string;
}

/**
 * @internal Copies labels.
 *
 * @throws RangeError naming the first row whose label is not within the bounds.
 */
export function readNumbers(given: TargetRows, bounds: LabelBounds): Float64Array {
  const { rows, labels, what } = given;
  const { least, most, whole, wanted } = bounds;
  if (labels.length !== rows) {
    throw new RangeError(`The ${what} matrix has ${rows} rows but there are ${labels.length} labels`);
  }
  const read = new Float64Array(rows);
  for (let row = 0; row < rows; row += 1) {
    const label = labels[row] as number;
    if (!(label >= least && label <= most) || (whole && !Number.isInteger(label))) {
      throw new RangeError(`Label ${row} of the ${what} must be ${wanted}, not ${label}`);
    }
    read[row] = label;
  }
  return read;
}

/**
 * @internal The weighted mean of some values.
 *
 * @throws RangeError when no row has weight.
 */
export function weightedMean(values: ArrayLike<number>, weights: Float64Array): number {
  let sum = 0;
  let total = 0;
  for (let row = 0; row < weights.length; row += 1) {
    const weight = weights[row] as number;
    sum += weight * (values[row] as number);
    total += weight;
  }
  if (!(total > 0)) throw new RangeError(`There are no rows with weight among ${weights.length}`);
  return sum / total;
}
