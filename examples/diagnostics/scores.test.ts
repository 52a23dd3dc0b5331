import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { aucRoc, aucWithin, logLoss, type Scored } from './scores.ts';

const scored = (...pairs: [score: number, isPositive: boolean][]): Scored[] =>
  pairs.map(([score, isPositive]) => ({ score, isPositive }));

describe('aucRoc', () => {
  it('is the share of pairs of a positive and a negative in the right order, ties half', () => {
    const some = fc.array(
      fc.record({
        score: fc.integer({ min: 0, max: 20 }).map((value) => value / 20),
        isPositive: fc.boolean(),
      }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(some, (rows) => {
        let [pairs, right] = [0, 0];
        for (const positive of rows.filter(({ isPositive }) => isPositive)) {
          for (const negative of rows.filter(({ isPositive }) => !isPositive)) {
            pairs += 1;
            if (positive.score > negative.score) right += 1;
            else if (positive.score === negative.score) right += 0.5;
          }
        }
        if (pairs === 0) expect(aucRoc(rows)).toBe(null);
        else expect(aucRoc(rows)).toBeCloseTo(right / pairs, 12);
      }),
    );
  });
});

describe('aucWithin', () => {
  it('counts pairs of one group alone', () => {
    const rows = [
      { group: 1, score: 0.1, isPositive: false },
      { group: 1, score: 0.2, isPositive: true },
      { group: 2, score: 0.8, isPositive: false },
      { group: 2, score: 0.9, isPositive: true },
      { group: 2, score: 0.7, isPositive: true },
      { group: 3, score: 0.5, isPositive: true },
    ];
    expect(aucWithin(rows)).toBeCloseTo(2 / 3, 12);
    expect(aucWithin(rows.slice(5))).toBe(null);
    const one = rows.map((row) => ({ ...row, group: 0 }));
    expect(aucWithin(one)).toBe(aucRoc(one));
  });
});

describe('logLoss', () => {
  it('is the mean of what the truth was given, and finite where that was nothing', () => {
    expect(logLoss([])).toBe(null);
    expect(logLoss(scored([0.8, true], [0.5, false]))).toBeCloseTo((-Math.log(0.8) - Math.log(0.5)) / 2, 12);
    expect(logLoss(scored([0, true]))).toBeCloseTo(-Math.log(1e-6), 12);
    expect(logLoss(scored([1, true]))).toBeLessThan(1e-5);
  });
});
