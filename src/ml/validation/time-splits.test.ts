import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../random.ts';
import { checkSplit } from './split.ts';
import { prequentialFolds, timeSplit } from './time-splits.ts';

const DAYS = Array.from({ length: 60 }, (_, day) => day);
const length = fc.integer({ min: 1, max: 10 });

describe('timeSplit', () => {
  it('is that of the fraud data: a week, a week of delay, a week', () => {
    const found = timeSplit(DAYS, { testStart: 14, testLength: 7, delayLength: 7, trainLength: 7 });
    expect([...found.train]).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect([...found.test]).toEqual([14, 15, 16, 17, 18, 19, 20]);
  });

  it('takes everything before the delay and everything after the start when no lengths are given', () => {
    const found = timeSplit([5, 1, 3, 2, 4], { testStart: 4, delayLength: 1 });
    expect([...found.train]).toEqual([1, 3]);
    expect([...found.test]).toEqual([0, 4]);
  });

  it('never learns from what is not known when the test period begins', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(40), { minLength: 2 }),
        fc.nat(40),
        fc.nat(8),
        length,
        (times, testStart, delayLength, trainLength) => {
          const from = testStart - delayLength - trainLength;
          const trained = times.filter((time) => time >= from && time < testStart - delayLength);
          const tested = times.filter((time) => time >= testStart);
          const options = { testStart, delayLength, trainLength };
          if (trained.length === 0 || tested.length === 0) {
            expect(() => timeSplit(times, options)).toThrow(/has no (training|test) rows/);
            return;
          }
          const found = timeSplit(times, options);
          checkSplit(found, times.length);
          expect(Array.from(found.train, (row) => times[row])).toEqual(trained);
          expect(Array.from(found.test, (row) => times[row])).toEqual(tested);
        },
      ),
    );
  });
});

describe('prequentialFolds', () => {
  it('are those of the fraud literature: four weeks, each trained two weeks before', () => {
    const found = prequentialFolds(DAYS, {
      folds: 4,
      start: 7,
      trainLength: 7,
      delayLength: 7,
      testLength: 7,
    });
    expect(
      found.map(({ trainStart, trainEnd, testStart, testEnd }) => [trainStart, trainEnd, testStart, testEnd]),
    ).toEqual([
      [7, 14, 21, 28],
      [14, 21, 28, 35],
      [21, 28, 35, 42],
      [28, 35, 42, 49],
    ]);
    expect([...(found[3]?.train ?? [])]).toEqual([28, 29, 30, 31, 32, 33, 34]);
    expect([...(found[3]?.test ?? [])]).toEqual([42, 43, 44, 45, 46, 47, 48]);
  });

  it('follow one another without a gap or an overlap of their test periods, whatever the order of the rows', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        length,
        fc.nat(5),
        length,
        fc.nat(),
        (folds, trainLength, delayLength, testLength, seed) => {
          const times = new SeededRandom(seed).shuffle([...DAYS]);
          const start = 3;
          const end = start + trainLength + delayLength + folds * testLength;
          const options = { folds, start, trainLength, delayLength, testLength };
          fc.pre(end <= DAYS.length);
          const found = prequentialFolds(times, options);
          for (const fold of found) {
            checkSplit(fold, times.length);
            expect(fold.testStart - fold.trainEnd).toBe(delayLength);
            expect(
              Math.max(...Array.from(fold.train, (row) => times[row] ?? NaN)) + delayLength,
            ).toBeLessThan(Math.min(...Array.from(fold.test, (row) => times[row] ?? NaN)));
          }
          const tested = found.flatMap(({ test }) => Array.from(test, (row) => times[row] ?? NaN));
          expect(tested.sort((a, b) => a - b)).toEqual(DAYS.slice(end - folds * testLength, end));
        },
      ),
    );
  });

  it('take steps of their own length', () => {
    const found = prequentialFolds(DAYS, {
      folds: 3,
      start: 0,
      trainLength: 10,
      delayLength: 0,
      testLength: 5,
      stepLength: 2,
    });
    expect(found.map(({ testStart }) => testStart)).toEqual([10, 12, 14]);
  });

  it('refuse unsound input and periods without rows', () => {
    const sound = { folds: 2, start: 0, trainLength: 7, delayLength: 7, testLength: 7 };
    expect(() => prequentialFolds(DAYS, { ...sound, folds: 9 })).toThrow(
      /Fold 7, which trains on \[49, 56\) and tests on \[63, 70\), has no test rows/,
    );
    expect(() => prequentialFolds(DAYS, { ...sound, start: -70 })).toThrow(/Fold 0.*no training rows/);
    expect(() => prequentialFolds(DAYS, { ...sound, folds: 0 })).toThrow(/number of folds/);
    expect(() => prequentialFolds(DAYS, { ...sound, trainLength: 0 })).toThrow(/trainLength must be above 0/);
    expect(() => prequentialFolds(DAYS, { ...sound, testLength: Infinity })).toThrow(
      /testLength must be finite/,
    );
    expect(() => prequentialFolds(DAYS, { ...sound, delayLength: -1 })).toThrow(/delayLength/);
    expect(() => prequentialFolds(DAYS, { ...sound, start: NaN })).toThrow(/start must be a finite time/);
    expect(() => prequentialFolds([1, NaN], sound)).toThrow(/Time 1 must be a finite number/);
    expect(() => timeSplit(DAYS, { testStart: Infinity })).toThrow(/testStart/);
    expect(() => timeSplit(DAYS, { testStart: 9, testLength: -1 })).toThrow(/testLength/);
  });
});
