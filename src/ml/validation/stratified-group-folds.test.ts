import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../random.ts';
import { groupFolds } from './folds.ts';
import { checkSplit, type Split } from './split.ts';
import { stratifiedGroupFolds } from './stratified-group-folds.ts';

/** Patients with up to five rows, each of them ill in some of his own. */
const patients = fc
  .array(fc.array(fc.nat(1), { minLength: 1, maxLength: 5 }), { minLength: 6, maxLength: 40 })
  .map((rowsOf) => {
    // Two who are ill, and two who are not, at least, so that two folds are possible.
    const all = [[1, 0], [0], [1], [0, 0], ...rowsOf];
    return {
      labels: all.flat(),
      groups: all.flatMap((rows, patient) => rows.map(() => patient)),
    };
  });

describe('stratifiedGroupFolds', () => {
  it('test every row once, and no group beside rows of its own', () => {
    fc.assert(
      fc.property(patients, fc.nat(), (given, seed) => {
        const folds = stratifiedGroupFolds(given, { folds: 2, seed });
        const tested = folds.flatMap(({ test }) => [...test]).sort((a, b) => a - b);
        expect(tested).toEqual(given.labels.map((_, row) => row));
        for (const split of folds) {
          checkSplit(split, given.labels.length);
          const learnt = new Set(Array.from(split.train, (row) => given.groups[row]));
          for (const row of split.test) expect(learnt.has(given.groups[row])).toBe(false);
        }
        expect(stratifiedGroupFolds(given, { folds: 2, seed })).toEqual(folds);
      }),
    );
  });

  it('of single rows differ by at most one row of each label', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 6 }),
        fc.integer({ min: 6, max: 60 }),
        fc.integer({ min: 6, max: 60 }),
        (folds, zeros, ones) => {
          const labels = [...Array<number>(zeros).fill(0), ...Array<number>(ones).fill(1)];
          const made = stratifiedGroupFolds({ labels, groups: labels.map((_, row) => row) }, { folds });
          for (const label of [0, 1]) {
            const counts = made.map(
              ({ test }) => Array.from(test, (row) => labels[row]).filter((own) => own === label).length,
            );
            expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
          }
        },
      ),
    );
  });

  it('spread a rare label more evenly than folds that do not look at it', () => {
    const random = new SeededRandom(3);
    const [labels, groups]: [number[], number[]] = [[], []];
    for (let patient = 0; patient < 200; patient += 1) {
      const [isIll, rows] = [random.uniform() < 0.1, 1 + random.integer(6)];
      for (let row = 0; row < rows; row += 1) {
        labels.push(isIll ? 1 : 0);
        groups.push(patient);
      }
    }
    const spreadOf = (folds: readonly Split[]): number => {
      const shares = folds.map(({ test }) => test.filter((row) => labels[row] === 1).length / test.length);
      return Math.max(...shares) - Math.min(...shares);
    };
    const spreads = [1, 2, 3, 4, 5].map((seed) => ({
      blind: spreadOf(groupFolds(groups, { folds: 5, seed })),
      stratified: spreadOf(stratifiedGroupFolds({ labels, groups }, { folds: 5, seed })),
    }));
    for (const { blind, stratified } of spreads) expect(stratified).toBeLessThan(blind);
    expect(Math.max(...spreads.map(({ stratified }) => stratified))).toBeLessThan(0.03);
  });

  it('are refused where a label is in too few groups', () => {
    const groups = ['a', 'a', 'b', 'b', 'c', 'd'];
    expect(() => stratifiedGroupFolds({ labels: [1, 1, 1, 0, 0, 0], groups }, { folds: 3 })).toThrow(
      new RangeError('3 stratified folds need as many groups with each label, 1 is in 2'),
    );
    expect(() => stratifiedGroupFolds({ labels: [1, 0], groups }, { folds: 2 })).toThrow(RangeError);
    expect(() => stratifiedGroupFolds({ labels: [1, 0], groups: ['a', 'b'] }, { folds: 1 })).toThrow(
      RangeError,
    );
  });
});
