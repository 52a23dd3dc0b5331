import { checkFolds } from './folds.ts';
import type { Split } from './split.ts';
import { checkRows, checkSplit } from './split.ts';

/** Periods of one split by time, in the unit of the times. */
export interface TimeSplitOptions {
  /** Start of the test period. */
  readonly testStart: number;
  /** Length of the test period. Default Infinity: everything from its start. */
  readonly testLength?: number;
  /**
   * How long before the test period the training period ends: what happens there has no label yet when the
   * model of the test period is trained. Default 0.
   */
  readonly delayLength?: number;
  /** Length of the training period. Default Infinity: everything before the delay. */
  readonly trainLength?: number;
}

/** Periods of prequential validation, in the unit of the times. */
export interface PrequentialOptions {
  /** Number of folds, 1 to 10,000. */
  readonly folds: number;
  /** Start of the first training period. */
  readonly start: number;
  readonly trainLength: number;
  /** Between training and test: labels are not known so soon. At least 0. */
  readonly delayLength: number;
  readonly testLength: number;
  /**
   * How much later each fold is than the one before. Default `testLength`: the test periods follow one
   * another.
   */
  readonly stepLength?: number;
}

/** A fold of prequential validation. Its periods hold their start but not their end. */
export interface PrequentialFold extends Split {
  readonly trainStart: number;
  readonly trainEnd: number;
  readonly testStart: number;
  readonly testEnd: number;
}

/**
 * Splits rows by time: `[testStart - delay - train, testStart - delay)` is learnt from, `[testStart,
 * testStart + test)` is judged by. Rows in between and outside are on neither side.
 *
 * @param times a number for each row, in any order and unit
 * @throws RangeError on unsound input, or when a side has no rows.
 */
export function timeSplit(times: ArrayLike<number>, options: TimeSplitOptions): Split {
  const { testStart, testLength = Infinity, delayLength = 0, trainLength = Infinity } = options;
  checkTimes(times);
  checkStart('testStart', testStart);
  checkLength('testLength', testLength);
  checkLength('trainLength', trainLength);
  checkDelay(delayLength);
  const trainEnd = testStart - delayLength;
  const periods = {
    trainStart: trainEnd - trainLength,
    trainEnd,
    testStart,
    testEnd: testStart + testLength,
  };
  return splitByPeriods(times, periods, 'The split by time');
}

/**
 * Prequential validation (Dawid, 1984), as Le Borgne, Siblini, Lebichot and Bontempi ("Reproducible Machine
 * Learning for Credit Card Fraud Detection", 2022) do it: train, wait for the labels, test, and again one
 * step later, so that every model is judged by what came after it.
 *
 * Who was found out in the training period or the delay may be in the test rows too; removing known cards or
 * the like is up to the caller.
 *
 * @example Four weekly folds, times in days: `prequentialFolds(days, { folds: 4, start: 0, trainLength: 7,
 *   delayLength: 7, testLength: 7 })`
 * @param times a number for each row, in any order and unit
 * @returns the folds, the earliest first.
 * @throws RangeError on unsound input, or when a fold has no rows on one side.
 */
export function prequentialFolds(times: ArrayLike<number>, options: PrequentialOptions): PrequentialFold[] {
  const { folds, start, trainLength, delayLength, testLength, stepLength = testLength } = options;
  checkTimes(times);
  checkFolds(folds, 1);
  checkStart('start', start);
  for (const [name, length] of Object.entries({ trainLength, testLength, stepLength })) {
    checkLength(name, length);
    if (length === Infinity) throw new RangeError(`${name} must be finite`);
  }
  checkDelay(delayLength);
  return Array.from({ length: folds }, (_, fold) => {
    // Multiplied and not summed up, so that no rounding piles up over the folds.
    const trainStart = start + fold * stepLength;
    const trainEnd = trainStart + trainLength;
    const testStart = trainEnd + delayLength;
    const periods = { trainStart, trainEnd, testStart, testEnd: testStart + testLength };
    return { ...splitByPeriods(times, periods, `Fold ${fold}`), ...periods };
  });
}

type Periods = Omit<PrequentialFold, keyof Split>;

function splitByPeriods(times: ArrayLike<number>, periods: Periods, what: string): Split {
  const { trainStart, trainEnd, testStart, testEnd } = periods;
  const split = {
    train: rowsWithin(times, trainStart, trainEnd),
    test: rowsWithin(times, testStart, testEnd),
  };
  const named = `${what}, which trains on [${trainStart}, ${trainEnd}) and tests on [${testStart}, ${testEnd}),`;
  checkSplit(split, times.length, named);
  return split;
}

function rowsWithin(times: ArrayLike<number>, from: number, to: number): Int32Array {
  const rows: number[] = [];
  for (let row = 0; row < times.length; row += 1) {
    const time = times[row] as number;
    if (time >= from && time < to) rows.push(row);
  }
  return Int32Array.from(rows);
}

function checkTimes(times: ArrayLike<number>): void {
  checkRows(times.length);
  for (let row = 0; row < times.length; row += 1) {
    if (!Number.isFinite(times[row]))
      throw new RangeError(`Time ${row} must be a finite number, not ${times[row]}`);
  }
}

function checkStart(name: string, start: number): void {
  if (!Number.isFinite(start)) throw new RangeError(`${name} must be a finite time, not ${start}`);
}

function checkLength(name: string, length: number): void {
  if (!(length > 0)) throw new RangeError(`${name} must be above 0, not ${length}`);
}

function checkDelay(delayLength: number): void {
  if (!(delayLength >= 0 && delayLength < Infinity)) {
    throw new RangeError(`delayLength must be a finite length of at least 0, not ${delayLength}`);
  }
}
