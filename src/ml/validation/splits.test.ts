import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { groupFolds, randomFolds, stratifiedFolds } from './folds.ts';
import { groupedSplit, randomSplit, stratifiedSplit } from './holdout.ts';
import type { Split } from './split.ts';
import { checkSplit } from './split.ts';

const share = fc.double({ min: 0.01, max: 0.99, noNaN: true });
/** Labels of which each of up to four occurs at least five times. */
const labels = fc
  .tuple(fc.integer({ min: 1, max: 4 }), fc.array(fc.nat(3), { maxLength: 30 }), fc.nat())
  .map(([kinds, more, rotation]) => {
    const all = [
      ...Array.from({ length: 5 * kinds }, (_, row) => row % kinds),
      ...more.map((label) => label % kinds),
    ];
    const start = rotation % all.length;
    return [...all.slice(start), ...all.slice(0, start)];
  });
const groups = fc
  .array(fc.nat(9), { minLength: 2, maxLength: 40 })
  .filter((given) => new Set(given).size > 1);

function valuesAt<TValue>(values: readonly TValue[], rows: Int32Array): TValue[] {
  return Array.from(rows, (row) => values[row] as TValue);
}

function counts(values: readonly number[]): Map<number, number> {
  const found = new Map<number, number>();
  for (const value of values) found.set(value, (found.get(value) ?? 0) + 1);
  return found;
}

/** The law of all splits and folds that use every row. */
function expectWhole(splits: readonly Split[], rows: number): void {
  for (const split of splits) {
    checkSplit(split, rows);
    expect(split.train.length + split.test.length).toBe(rows);
  }
}

function expectFolds(folds: readonly Split[], rows: number): void {
  expectWhole(folds, rows);
  const tested = folds.flatMap(({ test }) => [...test]).sort((a, b) => a - b);
  expect(tested).toEqual(Array.from({ length: rows }, (_, row) => row));
}

describe('randomSplit', () => {
  it('has the share of rows on the test side and is the same for the same seed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 200 }), share, fc.nat(), (rows, testShare, seed) => {
        const split = randomSplit(rows, { testShare, seed });
        expectWhole([split], rows);
        expect(split.test.length).toBe(Math.min(Math.max(Math.round(rows * testShare), 1), rows - 1));
        expect(randomSplit(rows, { testShare, seed })).toEqual(split);
      }),
    );
  });

  it('tests every row equally often', () => {
    const tested = new Float64Array(10);
    for (let seed = 0; seed < 2000; seed += 1) {
      for (const row of randomSplit(10, { testShare: 0.3, seed }).test) tested[row] = (tested[row] ?? 0) + 1;
    }
    for (const times of tested) expect(Math.abs(times / 2000 - 0.3)).toBeLessThan(0.04);
  });

  it('is another for another seed', () => {
    expect(randomSplit(100, { seed: 1 }).test).not.toEqual(randomSplit(100, { seed: 2 }).test);
    expect(randomSplit(100).test.length).toBe(20);
  });
});

describe('stratifiedSplit', () => {
  it('has the share of each label on the test side', () => {
    fc.assert(
      fc.property(labels, share, fc.nat(), (given, testShare, seed) => {
        const split = stratifiedSplit(given, { testShare, seed });
        expectWhole([split], given.length);
        const tested = counts(valuesAt(given, split.test));
        for (const [label, count] of counts(given)) {
          const wanted = Math.min(Math.max(Math.round(count * testShare), 1), count - 1);
          expect(tested.get(label)).toBe(wanted);
        }
        expect(stratifiedSplit(given, { testShare, seed })).toEqual(split);
      }),
    );
  });
});

describe('groupedSplit', () => {
  it('has no group on both sides', () => {
    fc.assert(
      fc.property(groups, share, fc.nat(), (given, testShare, seed) => {
        const split = groupedSplit(given, { testShare, seed });
        expectWhole([split], given.length);
        const trained = new Set(valuesAt(given, split.train));
        const tested = new Set(valuesAt(given, split.test));
        for (const group of tested) expect(trained.has(group)).toBe(false);
        const all = trained.size + tested.size;
        expect(tested.size).toBe(Math.min(Math.max(Math.round(all * testShare), 1), all - 1));
        expect(groupedSplit(given, { testShare, seed })).toEqual(split);
      }),
    );
  });
});

describe('folds', () => {
  it('at random test every row once and differ by at most one row', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 10 }), fc.nat(40), fc.nat(), (folds, more, seed) => {
        const rows = folds + more;
        const found = randomFolds(rows, { folds, seed });
        expectFolds(found, rows);
        const sizes = found.map(({ test }) => test.length);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
        expect(randomFolds(rows, { folds, seed })).toEqual(found);
      }),
    );
  });

  it('stratified differ by at most one row, and by one of each label', () => {
    fc.assert(
      fc.property(labels, fc.integer({ min: 2, max: 5 }), fc.nat(), (given, folds, seed) => {
        const found = stratifiedFolds(given, { folds, seed });
        expectFolds(found, given.length);
        const sizes = found.map(({ test }) => test.length);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
        for (const label of counts(given).keys()) {
          const own = found.map(({ test }) => counts(valuesAt(given, test)).get(label) ?? 0);
          expect(Math.min(...own)).toBeGreaterThanOrEqual(1);
          expect(Math.max(...own) - Math.min(...own)).toBeLessThanOrEqual(1);
        }
        expect(stratifiedFolds(given, { folds, seed })).toEqual(found);
      }),
    );
  });

  it('of groups have no group in two, and differ by no more rows than a group has', () => {
    fc.assert(
      fc.property(groups, fc.integer({ min: 2, max: 5 }), fc.nat(), (given, folds, seed) => {
        fc.pre(new Set(given).size >= folds);
        const found = groupFolds(given, { folds, seed });
        expectFolds(found, given.length);
        for (const { train, test } of found) {
          const trained = new Set(valuesAt(given, train));
          for (const group of valuesAt(given, test)) expect(trained.has(group)).toBe(false);
        }
        const sizes = found.map(({ test }) => test.length);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(
          Math.max(...counts(given).values()),
        );
        expect(groupFolds(given, { folds, seed })).toEqual(found);
      }),
    );
  });

  it('of groups are what a hand deals', () => {
    const sizes = groupFolds(['a', 'a', 'a', 'b', 'b', 'c', 'd', 'd'], { folds: 2 }).map(
      ({ test }) => test.length,
    );
    expect([...sizes].sort((a, b) => a - b)).toEqual([4, 4]);
  });
});

describe('checkSplit', () => {
  const split = (train: number[], test: number[]): Split => ({
    train: Int32Array.from(train),
    test: Int32Array.from(test),
  });

  it('finds what is wrong', () => {
    expect(() => checkSplit(split([0, 2], [3]), 5)).not.toThrow();
    expect(() => checkSplit(split([], [3]), 5)).toThrow(/no training rows/);
    expect(() => checkSplit(split([1], []), 5, 'Fold 7')).toThrow(/Fold 7 has no test rows/);
    expect(() => checkSplit(split([0, 2], [2, 3]), 5)).toThrow(/row 2 on both sides/);
    expect(() => checkSplit(split([2, 1], [3]), 5)).toThrow(/training row 1 after 2/);
    expect(() => checkSplit(split([1, 1], [3]), 5)).toThrow(/training row 1 after 1/);
    expect(() => checkSplit(split([0], [5]), 5)).toThrow(/test row 5 but there are 5 rows/);
    expect(() => checkSplit(split([-1], [3]), 5)).toThrow(RangeError);
  });
});

describe('unsound input', () => {
  it('is refused', () => {
    for (const rows of [0, 1, 1.5, NaN]) expect(() => randomSplit(rows)).toThrow(/number of rows/);
    for (const testShare of [0, 1, NaN])
      expect(() => randomSplit(9, { testShare })).toThrow(/share of test rows/);
    expect(() => stratifiedSplit(['a', 'a', 'b'])).toThrow(/b has only row 2/);
    expect(() => stratifiedSplit([1, NaN])).toThrow(/Label 1 is NaN/);
    expect(() => groupedSplit([7, 7])).toThrow(/all 2 rows are of 7/);
    expect(() => randomFolds(3, { folds: 4 })).toThrow(/4 folds need as many rows, there are 3/);
    for (const folds of [1, 2.5, 10_001]) expect(() => randomFolds(9, { folds })).toThrow(/number of folds/);
    expect(() => stratifiedFolds([0, 0, 1], { folds: 2 })).toThrow(/1 has 1/);
    expect(() => groupFolds([0, 0, 1], { folds: 3 })).toThrow(
      /3 group folds need as many groups, there are 2/,
    );
    expect(() => groupFolds([1])).toThrow(/number of rows/);
  });
});
