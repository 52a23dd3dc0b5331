/** Rows to learn from and rows to judge by, as row numbers, ascending. */
export interface Split {
  readonly train: Int32Array;
  readonly test: Int32Array;
}

/** Rows of one split. */
export const SPLIT_ROWS_MAX = 0x7fffffff;

/**
 * Checks a split: row numbers from 0 below `rows`, ascending, none on both sides, no side empty. Rows on
 * neither side are allowed: a delay leaves some out.
 *
 * @param what names the split in the errors, default `The split`
 * @throws RangeError naming the first row that is wrong.
 */
export function checkSplit(split: Split, rows: number, what: string = 'The split'): void {
  const inTrain = new Uint8Array(rows);
  for (const [side, chosen] of [
    ['training', split.train],
    ['test', split.test],
  ] as const) {
    if (chosen.length === 0) throw new RangeError(`${what} has no ${side} rows`);
    let previous = -1;
    for (const row of chosen) {
      if (row <= previous) throw new RangeError(`${what} has ${side} row ${row} after ${previous}`);
      if (row >= rows) throw new RangeError(`${what} has ${side} row ${row} but there are ${rows} rows`);
      previous = row;
    }
  }
  for (const row of split.train) inTrain[row] = 1;
  for (const row of split.test) {
    if (inTrain[row] === 1) throw new RangeError(`${what} has row ${row} on both sides`);
  }
}

/** @internal The checked split that has on its test side the rows for which `isTest` holds 1. */
export function splitOf(isTest: Uint8Array, what: string): Split {
  const rows = Int32Array.from(isTest.keys());
  const split = {
    train: rows.filter((row) => isTest[row] === 0),
    test: rows.filter((row) => isTest[row] === 1),
  };
  checkSplit(split, isTest.length, what);
  return split;
}

/**
 * @internal Checks a number of rows.
 *
 * @throws RangeError when it is not a whole number from 2: one row cannot be on both sides.
 */
export function checkRows(rows: number): void {
  if (!Number.isSafeInteger(rows) || rows < 2 || rows > SPLIT_ROWS_MAX) {
    throw new RangeError(
      `The number of rows must be a whole number from 2 to ${SPLIT_ROWS_MAX}, not ${rows}`,
    );
  }
}

/** A key that rows have in common: a class, a patient, a card. */
export type RowKey = number | string;

/**
 * @internal The rows of each key, ascending, in the order in which the keys are first seen.
 *
 * @throws RangeError on a key that is NaN.
 */
export function rowsByKey(keys: ArrayLike<RowKey>, what: string): Map<RowKey, Int32Array> {
  checkRows(keys.length);
  const rowsOf = new Map<RowKey, number[]>();
  for (let row = 0; row < keys.length; row += 1) {
    const key = keys[row] as RowKey;
    if (Number.isNaN(key)) throw new RangeError(`${what} ${row} is NaN`);
    const rows = rowsOf.get(key);
    if (rows === undefined) rowsOf.set(key, [row]);
    else rows.push(row);
  }
  return new Map([...rowsOf].map(([key, rows]) => [key, Int32Array.from(rows)]));
}
