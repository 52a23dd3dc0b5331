import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { precisionRecallCurve, rocCurve } from './curves.ts';
import { aucRoc, averagePrecision } from './ranking.ts';

const LABELS = [0, 0, 1, 1];
const SCORES = [0.1, 0.4, 0.35, 0.8];

const scored = fc
  .array(fc.tuple(fc.constantFrom(0, 1), fc.integer({ min: -3, max: 3 }), fc.integer({ min: 0, max: 4 })), {
    minLength: 2,
    maxLength: 40,
  })
  .filter((rows) =>
    [0, 1].every((wanted) => rows.some(([label, , weight]) => label === wanted && weight > 0)),
  )
  .map((rows) => ({
    labels: rows.map(([label]) => label),
    scores: rows.map(([, score]) => score),
    weights: rows.map(([, , weight]) => weight / 2),
  }));

describe('rocCurve', () => {
  it("is that of scikit-learn's documentation", () => {
    const found = rocCurve(LABELS, SCORES);
    expect([...found.falsePositiveRates]).toEqual([0, 0, 0.5, 0.5, 1]);
    expect([...found.truePositiveRates]).toEqual([0, 0.5, 0.5, 1, 1]);
    expect([...found.thresholds]).toEqual([Infinity, 0.8, 0.4, 0.35, 0.1]);
  });

  it('rises from (0, 0) to (1, 1), and its area is the AUC', () => {
    fc.assert(
      fc.property(scored, ({ labels, scores, weights }) => {
        const { falsePositiveRates: x, truePositiveRates: y } = rocCurve(labels, scores, weights);
        let area = 0;
        for (let point = 1; point < x.length; point += 1) {
          const width = (x[point] ?? NaN) - (x[point - 1] ?? NaN);
          expect(width).toBeGreaterThanOrEqual(0);
          expect(y[point]).toBeGreaterThanOrEqual(y[point - 1] ?? NaN);
          area += (width * ((y[point] ?? NaN) + (y[point - 1] ?? NaN))) / 2;
        }
        expect([x[0], y[0], x.at(-1), y.at(-1)]).toEqual([0, 0, 1, 1]);
        expect(area).toBeCloseTo(aucRoc(labels, scores, weights), 12);
      }),
    );
  });

  it('refuses one class', () => {
    expect(() => rocCurve([1, 1], [1, 2])).toThrow(/A ROC curve needs labels of both classes/);
  });
});

describe('precisionRecallCurve', () => {
  it("is that of scikit-learn's documentation, backwards", () => {
    const found = precisionRecallCurve(LABELS, SCORES);
    expect([...found.precisions]).toEqual([1, 1, 0.5, 2 / 3, 0.5]);
    expect([...found.recalls]).toEqual([0, 0.5, 0.5, 1, 1]);
    expect([...found.thresholds]).toEqual([Infinity, 0.8, 0.4, 0.35, 0.1]);
  });

  it('has the average precision as the sum of its steps', () => {
    fc.assert(
      fc.property(scored, ({ labels, scores, weights }) => {
        const { precisions, recalls } = precisionRecallCurve(labels, scores, weights);
        let sum = 0;
        for (let point = 1; point < recalls.length; point += 1) {
          sum += (precisions[point] ?? NaN) * ((recalls[point] ?? NaN) - (recalls[point - 1] ?? NaN));
        }
        expect(sum).toBeCloseTo(averagePrecision(labels, scores, weights), 12);
      }),
    );
  });
});
