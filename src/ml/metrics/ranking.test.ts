import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { aucRoc, averagePrecision, precisionAtK, recallAtK } from './ranking.ts';

/** Labels of both classes with scores of few values, so that ties are frequent. */
const scored = fc
  .array(fc.tuple(fc.constantFrom(0, 1), fc.integer({ min: -3, max: 3 })), { minLength: 2, maxLength: 40 })
  .map((rows) => ({ labels: rows.map(([label]) => label), scores: rows.map(([, score]) => score / 4) }))
  .filter(({ labels }) => labels.includes(0) && labels.includes(1));

describe('aucRoc', () => {
  it('is what a hand finds', () => {
    expect(aucRoc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])).toBe(0.75);
    expect(aucRoc([0, 1], [0.5, 0.5])).toBe(0.5);
    expect(aucRoc([1, 0], [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])).toBe(1);
  });

  it('is the share of pairs in the right order', () => {
    fc.assert(
      fc.property(scored, ({ labels, scores }) => {
        let wins = 0;
        let pairs = 0;
        labels.forEach((first, a) =>
          labels.forEach((second, b) => {
            if (first !== 1 || second !== 0) return;
            pairs += 1;
            const difference = (scores[a] ?? 0) - (scores[b] ?? 0);
            wins += difference > 0 ? 1 : difference === 0 ? 0.5 : 0;
          }),
        );
        expect(aucRoc(labels, scores)).toBeCloseTo(wins / pairs, 12);
        expect(
          aucRoc(
            labels,
            scores.map((score) => -score),
          ),
        ).toBeCloseTo(1 - wins / pairs, 12);
      }),
    );
  });

  it('refuses what it cannot judge', () => {
    expect(() => aucRoc([1, 1], [0.1, 0.2])).toThrow(/labels of both classes, all 2 are 1/);
    expect(() => aucRoc([0, 1], [0.1])).toThrow(/2 labels but 1 scores/);
    expect(() => aucRoc([], [])).toThrow(/at least one row/);
    expect(() => aucRoc([0, 1], [0.1, Number.NaN])).toThrow(/Score 1 is NaN/);
    expect(() => aucRoc([0, 3], [0.1, 0.2])).toThrow(/Label 1 must be 0 or 1, not 3/);
  });
});

describe('averagePrecision', () => {
  it('is what a hand finds', () => {
    expect(averagePrecision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])).toBeCloseTo(5 / 6, 12);
    // One threshold for all: precision 2/4 at recall 1.
    expect(averagePrecision([0, 1, 0, 1], [1, 1, 1, 1])).toBe(0.5);
    expect(() => averagePrecision([0, 0], [1, 2])).toThrow(RangeError);
  });

  it('is the sum of precision times the step in recall over all thresholds', () => {
    fc.assert(
      fc.property(scored, ({ labels, scores }) => {
        const positives = labels.filter((label) => label === 1).length;
        let sum = 0;
        let recallBefore = 0;
        for (const threshold of [...new Set(scores)].sort((a, b) => b - a)) {
          const chosen = labels.filter((_, row) => (scores[row] ?? 0) >= threshold);
          const hits = chosen.filter((label) => label === 1).length;
          sum += (hits / chosen.length) * (hits / positives - recallBefore);
          recallBefore = hits / positives;
        }
        expect(averagePrecision(labels, scores)).toBeCloseTo(sum, 12);
      }),
    );
  });
});

describe('precisionAtK', () => {
  it('counts the hits among the best, earlier rows first where scores are equal', () => {
    expect(precisionAtK([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.6], 3)).toBeCloseTo(2 / 3, 12);
    expect(precisionAtK([1, 0], [0.5, 0.5], 1)).toBe(1);
    expect(precisionAtK([0, 1], [0.5, 0.5], 1)).toBe(0);
    expect(precisionAtK([1, 1], [0.5, 0.5], 4)).toBe(0.5);
    expect(() => precisionAtK([1], [0.5], 0)).toThrow(/k must be/);
  });
});

describe('recallAtK', () => {
  it('counts the hits among the best', () => {
    expect(recallAtK([1, 0, 1, 1], [0.9, 0.8, 0.7, 0.6], 3)).toBeCloseTo(2 / 3, 12);
    expect(recallAtK([0, 1], [0.5, 0.5], 1)).toBe(0);
    expect(recallAtK([0, 1], [0.5, 0.5], 9)).toBe(1);
    expect(() => recallAtK([0, 0], [0.5, 0.5], 1)).toThrow(/needs a positive row, all 2 are 0/);
    expect(() => recallAtK([1], [0.5], 1.5)).toThrow(/k must be/);
  });
});

describe('weights of rows', () => {
  it('count a row of weight 2 as that row twice, and one of weight 0 not at all', () => {
    fc.assert(
      fc.property(
        scored,
        fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 40, maxLength: 40 }),
        (given, drawn) => {
          const weights = given.labels.map((_, row) => drawn[row] ?? 0);
          const repeat = <TValue>(values: readonly TValue[]): TValue[] =>
            values.flatMap((value, row) => Array.from({ length: weights[row] ?? 0 }, () => value));
          const [labels, scores] = [repeat(given.labels), repeat(given.scores)];
          fc.pre(labels.includes(0) && labels.includes(1));
          expect(aucRoc(given.labels, given.scores, weights)).toBeCloseTo(aucRoc(labels, scores), 12);
          expect(averagePrecision(given.labels, given.scores, weights)).toBeCloseTo(
            averagePrecision(labels, scores),
            12,
          );
        },
      ),
    );
  });

  it('change nothing when they are all alike', () => {
    const labels = [0, 1, 1, 0, 1];
    const scores = [0.1, 0.4, 0.35, 0.8, 0.8];
    expect(aucRoc(labels, scores, [3, 3, 3, 3, 3])).toBeCloseTo(aucRoc(labels, scores), 15);
    expect(averagePrecision(labels, scores, [3, 3, 3, 3, 3])).toBeCloseTo(
      averagePrecision(labels, scores),
      15,
    );
  });

  it('are refused when they are unsound or leave a class without weight', () => {
    expect(() => aucRoc([0, 1], [0.1, 0.2], [1])).toThrow(/2 rows but 1 weights/);
    expect(() => aucRoc([0, 1], [0.1, 0.2], [1, -1])).toThrow(/Weight 1 must be/);
    expect(() => averagePrecision([0, 1], [0.1, 0.2], [1, 0])).toThrow(/the positives weigh 0/);
  });
});
