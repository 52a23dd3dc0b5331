import { CLASSES_MAX } from '../classes.ts';
import type { Matrix } from '../matrix.ts';
import { checkMatrix } from '../matrix.ts';

/** Class numbers of the rows, and how many classes there are. */
export interface ReadClasses {
  readonly classes: Int32Array;
  readonly classCount: number;
}

/**
 * @internal Checks the features of a regression and copies its targets.
 *
 * @throws RangeError naming the first target that is no finite number, or when their number differs from the
 *   rows.
 */
export function readTargets(features: Matrix, targets: ArrayLike<number>): Float64Array {
  checkMatrix(features, 'training matrix');
  return copyTargets(targets, features.rows);
}

/**
 * @internal Copies the targets of so many rows.
 *
 * @throws RangeError naming the first one that is no finite number, or when their number is another.
 */
export function copyTargets(targets: ArrayLike<number>, rows: number): Float64Array {
  if (targets.length !== rows) {
    throw new RangeError(`The training table has ${rows} rows but there are ${targets.length} targets`);
  }
  const read = new Float64Array(targets.length);
  for (let row = 0; row < targets.length; row += 1) {
    const target = targets[row] as number;
    if (!Number.isFinite(target))
      throw new RangeError(`Target ${row} must be a finite number, not ${target}`);
    read[row] = target;
  }
  return read;
}

/**
 * @internal Checks and copies class numbers.
 *
 * @param classCount undefined: one more than the largest label, at least 2.
 * @throws RangeError naming the first label that is no class number, or when `classCount` is no whole number
 *   from 2 to {@link CLASSES_MAX}.
 */
export function readClasses(
  features: Matrix,
  labels: ArrayLike<number>,
  classCount: number | undefined,
): ReadClasses {
  checkMatrix(features, 'training matrix');
  if (labels.length !== features.rows) {
    throw new RangeError(
      `The training matrix has ${features.rows} rows but there are ${labels.length} labels`,
    );
  }
  const limit = classCount ?? CLASSES_MAX;
  if (!Number.isSafeInteger(limit) || limit < 2 || limit > CLASSES_MAX) {
    throw new RangeError(
      `The number of classes must be a whole number from 2 to ${CLASSES_MAX}, not ${limit}`,
    );
  }
  const classes = new Int32Array(labels.length);
  let largest = 1;
  for (let row = 0; row < labels.length; row += 1) {
    const label = labels[row] as number;
    if (!Number.isSafeInteger(label) || label < 0 || label >= limit) {
      throw new RangeError(`Label ${row} must be a whole number from 0 to ${limit - 1}, not ${label}`);
    }
    classes[row] = label;
    largest = Math.max(largest, label);
  }
  return { classes, classCount: classCount ?? largest + 1 };
}

/**
 * @internal The sum of the weights.
 *
 * @throws RangeError when it is 0: there is nothing to learn from.
 */
export function totalWeight(weights: Float64Array): number {
  let total = 0;
  for (const weight of weights) total += weight;
  if (!(total > 0)) throw new RangeError(`Training needs rows with weight; ${weights.length} rows have none`);
  return total;
}

/**
 * @internal The weight of each class.
 *
 * @throws RangeError when a total of 0 leaves nothing to learn from.
 */
export function classWeights(read: ReadClasses, weights: Float64Array): Float64Array {
  totalWeight(weights);
  const sums = new Float64Array(read.classCount);
  for (let row = 0; row < weights.length; row += 1) {
    const label = read.classes[row] as number;
    sums[label] = (sums[label] as number) + (weights[row] as number);
  }
  return sums;
}
