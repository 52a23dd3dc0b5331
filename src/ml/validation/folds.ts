import { SeededRandom } from '../random.ts';
import type { RowKey, Split } from './split.ts';
import { checkRows, rowsByKey, splitOf } from './split.ts';

/** Folds of one cross-validation: each is a training. */
export const FOLDS_MAX = 10_000;

export interface FoldOptions {
  /** Number of folds, 2 to {@link FOLDS_MAX}. Default 5. */
  readonly folds?: number;
  /** Seed of the draws. Default 0. */
  readonly seed?: number;
}

/**
 * K-fold cross-validation: every row is tested once, the folds differ by at most one row.
 *
 * @throws RangeError on unsound input, or when there are fewer rows than folds.
 */
export function randomFolds(rows: number, options: FoldOptions = {}): Split[] {
  const { folds = 5, seed = 0 } = options;
  checkRows(rows);
  checkFolds(folds);
  if (rows < folds) throw new RangeError(`${folds} folds need as many rows, there are ${rows}`);
  const foldOf = new Int32Array(rows);
  const order = new SeededRandom(seed).shuffle(Int32Array.from({ length: rows }, (_, row) => row));
  order.forEach((row, place) => {
    foldOf[row] = place % folds;
  });
  return foldsOf(foldOf, folds);
}

/**
 * Stratified k-fold cross-validation: every row is tested once, the folds differ by at most one row, and by
 * at most one row of each label.
 *
 * @throws RangeError on unsound input, or when a label has fewer rows than there are folds: some fold could
 *   then not be judged.
 */
export function stratifiedFolds(labels: ArrayLike<RowKey>, options: FoldOptions = {}): Split[] {
  const { folds = 5, seed = 0 } = options;
  checkFolds(folds);
  const random = new SeededRandom(seed);
  const foldOf = new Int32Array(labels.length);
  // Each label goes on where the one before it stopped: otherwise the first folds would get all the odd rows.
  let dealt = 0;
  for (const [label, rows] of rowsByKey(labels, 'Label')) {
    if (rows.length < folds) {
      throw new RangeError(
        `${folds} stratified folds need as many rows of each label, ${String(label)} has ${rows.length}`,
      );
    }
    for (const row of random.shuffle(rows)) {
      foldOf[row] = dealt % folds;
      dealt += 1;
    }
  }
  return foldsOf(foldOf, folds);
}

/**
 * Group k-fold cross-validation: every row is tested once, and all rows of a group in the same fold. The
 * groups are dealt from the largest to the smallest, each to the fold with the fewest rows, so that the folds
 * are about equally large; the seed decides between groups of equal size.
 *
 * @throws RangeError on unsound input, or when there are fewer groups than folds.
 */
export function groupFolds(groups: ArrayLike<RowKey>, options: FoldOptions = {}): Split[] {
  const { folds = 5, seed = 0 } = options;
  checkFolds(folds);
  const members = new SeededRandom(seed).shuffle([...rowsByKey(groups, 'Group').values()]);
  if (members.length < folds) {
    throw new RangeError(`${folds} group folds need as many groups, there are ${members.length}`);
  }
  const foldOf = new Int32Array(groups.length);
  const sizes = new Float64Array(folds);
  for (const rows of members.sort((a, b) => b.length - a.length)) {
    const smallest = sizes.indexOf(Math.min(...sizes));
    for (const row of rows) foldOf[row] = smallest;
    sizes[smallest] = (sizes[smallest] as number) + rows.length;
  }
  return foldsOf(foldOf, folds);
}

/** @internal One split for each fold, which is tested by it. */
export function foldsOf(foldOf: Int32Array, folds: number): Split[] {
  return Array.from({ length: folds }, (_, fold) =>
    splitOf(
      Uint8Array.from(foldOf, (of) => (of === fold ? 1 : 0)),
      `Fold ${fold}`,
    ),
  );
}

/**
 * @internal Checks a number of folds.
 *
 * @throws RangeError when it is not a whole number from 2 to {@link FOLDS_MAX}.
 */
export function checkFolds(folds: number, least: number = 2): void {
  if (!Number.isSafeInteger(folds) || folds < least || folds > FOLDS_MAX) {
    throw new RangeError(
      `The number of folds must be a whole number from ${least} to ${FOLDS_MAX}, not ${folds}`,
    );
  }
}
