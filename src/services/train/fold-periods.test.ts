import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byTime, type Duration, prequential } from '../../define/index.ts';
import { foldPeriods } from './fold-periods.ts';
import { DAY_MS, periodsOf } from './periods.ts';

const days = fc.integer({ min: 1, max: 60 }).map((count): Duration => `${count}d`);

describe('folds in time', () => {
  it('are those of the handbook of fraud detection: each week of validation ends where the model has learnt one more', () => {
    // Trained on 2018-07-25 .. 08-01, tested on 08-08 .. 08-15.
    const periods = periodsOf(byTime(), 7 * DAY_MS, Date.parse('2018-08-22T00:00Z'));
    expect(new Date(periods.trainStart).toISOString()).toBe('2018-07-25T00:00:00.000Z');
    const [newest, next] = foldPeriods(prequential({ folds: 2 }), periods);
    expect(newest).toEqual({
      trainStart: periods.trainStart - 14 * DAY_MS,
      trainEnd: periods.trainEnd - 14 * DAY_MS,
      testStart: periods.trainStart,
      testEnd: periods.trainEnd,
    });
    expect(next?.testEnd).toBe(newest?.testStart);
  });

  it('never see what the model may not: the delay before its test period, and that period', () => {
    fc.assert(
      fc.property(
        fc.record({ train: days, delay: days, test: days }),
        fc.record({ train: days, delay: days, test: days, step: days }, { requiredKeys: [] }),
        fc.integer({ min: 1, max: 20 }),
        (split, own, folds) => {
          const periods = periodsOf(byTime(split), DAY_MS, Date.parse('2024-03-08T13:00Z'));
          const cut = foldPeriods(prequential({ folds, ...own }), periods);
          expect(cut).toHaveLength(folds);
          expect(cut[0]?.testEnd).toBe(periods.trainEnd);
          for (const [index, fold] of cut.entries()) {
            expect(fold.trainStart).toBeLessThan(fold.trainEnd);
            // What a fold is judged by was not known when it was trained.
            expect(fold.trainEnd).toBeLessThanOrEqual(fold.testStart);
            expect(fold.testStart).toBeLessThan(fold.testEnd);
            expect(fold.testEnd).toBeLessThanOrEqual(periods.trainEnd);
            expect(fold.testEnd).toBeLessThan(cut[index - 1]?.testEnd ?? Infinity);
          }
        },
      ),
    );
  });
});
