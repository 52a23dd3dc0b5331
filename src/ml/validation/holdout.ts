import { SeededRandom } from '../random.ts';
import type { RowKey, Split } from './split.ts';
import { checkRows, rowsByKey, splitOf } from './split.ts';

export interface HoldoutOptions {
  /** Share of the test side, between 0 and 1. Default 0.2. */
  readonly testShare?: number;
  /** Seed of the draws. Default 0. */
  readonly seed?: number;
}

/**
 * Draws the test rows at random. Their number is the share, rounded, but no side is empty.
 *
 * @param rows at least 2
 * @throws RangeError on unsound input.
 */
export function randomSplit(rows: number, options: HoldoutOptions = {}): Split {
  const { testShare = 0.2, seed = 0 } = options;
  checkRows(rows);
  checkShare(testShare);
  const isTest = new Uint8Array(rows);
  for (const row of new SeededRandom(seed).sample(rows, partOf(rows, testShare))) isTest[row] = 1;
  return splitOf(isTest, 'The random split');
}

/**
 * Draws the test rows of each label at random: both sides have the labels in the shares of all rows, up to
 * rounding, and every label on both sides.
 *
 * @throws RangeError on unsound input, or when a label has only one row.
 */
export function stratifiedSplit(labels: ArrayLike<RowKey>, options: HoldoutOptions = {}): Split {
  const { testShare = 0.2, seed = 0 } = options;
  checkShare(testShare);
  const random = new SeededRandom(seed);
  const isTest = new Uint8Array(labels.length);
  for (const [label, rows] of rowsByKey(labels, 'Label')) {
    if (rows.length < 2) {
      throw new RangeError(
        `A stratified split needs 2 rows of each label, ${String(label)} has only row ${rows[0]}`,
      );
    }
    for (const place of random.sample(rows.length, partOf(rows.length, testShare))) {
      isTest[rows[place] as number] = 1;
    }
  }
  return splitOf(isTest, 'The stratified split');
}

/**
 * Draws test groups at random, so that all rows of a group are on one side. The share is one of the groups,
 * not of the rows: every group is equally likely to be tested, whatever its size.
 *
 * @throws RangeError on unsound input, or when there is only one group.
 */
export function groupedSplit(groups: ArrayLike<RowKey>, options: HoldoutOptions = {}): Split {
  const { testShare = 0.2, seed = 0 } = options;
  checkShare(testShare);
  const members = [...rowsByKey(groups, 'Group').values()];
  if (members.length < 2) {
    throw new RangeError(
      `A grouped split needs 2 groups, all ${groups.length} rows are of ${String(groups[0])}`,
    );
  }
  const isTest = new Uint8Array(groups.length);
  for (const group of new SeededRandom(seed).sample(members.length, partOf(members.length, testShare))) {
    for (const row of members[group] as Int32Array) isTest[row] = 1;
  }
  return splitOf(isTest, 'The grouped split');
}

/** The rounded share of a number of at least 2, leaving something on both sides. */
function partOf(count: number, share: number): number {
  return Math.min(Math.max(Math.round(count * share), 1), count - 1);
}

function checkShare(testShare: number): void {
  if (!(testShare > 0 && testShare < 1)) {
    throw new RangeError(`The share of test rows must be between 0 and 1, not ${testShare}`);
  }
}
