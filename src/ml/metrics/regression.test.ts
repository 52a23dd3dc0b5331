import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  meanAbsoluteError,
  meanPoissonDeviance,
  pinballLoss,
  r2,
  rootMeanSquaredError,
} from './regression.ts';

const TARGETS = [3, -0.5, 2, 7];
const PREDICTIONS = [2.5, 0, 2, 8];

describe('regression metrics', () => {
  it("are those of scikit-learn's documentation", () => {
    expect(rootMeanSquaredError(TARGETS, PREDICTIONS)).toBeCloseTo(Math.sqrt(0.375), 12);
    expect(meanAbsoluteError(TARGETS, PREDICTIONS)).toBe(0.5);
    expect(r2(TARGETS, PREDICTIONS)).toBeCloseTo(1 - 1.5 / 29.1875, 12);
    expect(r2([1, 2, 3], [1, 2, 3])).toBe(1);
    expect(r2([1, 2, 3], [2, 2, 2])).toBe(0);
    expect(r2([1, 2, 3], [3, 2, 1])).toBe(-3);
    const targets = [1, 2, 3];
    expect(pinballLoss({ targets, predictions: [0, 2, 3], quantile: 0.1 })).toBeCloseTo(0.03333, 5);
    expect(pinballLoss({ targets, predictions: [1, 2, 4], quantile: 0.1 })).toBeCloseTo(0.3, 12);
    expect(pinballLoss({ targets, predictions: [0, 2, 3], quantile: 0.9 })).toBeCloseTo(0.3, 12);
    expect(pinballLoss({ targets, predictions: [1, 2, 4], quantile: 0.9 })).toBeCloseTo(0.03333, 5);
    expect(meanPoissonDeviance([2, 0, 1, 4], [0.5, 0.5, 2, 2])).toBeCloseTo(1.426, 4);
  });

  it('count a row of weight 2 as that row twice', () => {
    const weights = [1, 2, 0, 1];
    const twice = (values: number[]): number[] =>
      values.flatMap((value, row) => Array(weights[row]).fill(value));
    for (const metric of [rootMeanSquaredError, meanAbsoluteError, r2]) {
      expect(metric(TARGETS, PREDICTIONS, weights)).toBeCloseTo(
        metric(twice(TARGETS), twice(PREDICTIONS)),
        12,
      );
    }
    const counts = [2, 0, 1, 4];
    const rates = [0.5, 0.5, 2, 2];
    expect(meanPoissonDeviance(counts, rates, weights)).toBeCloseTo(
      meanPoissonDeviance(twice(counts), twice(rates)),
      12,
    );
  });

  it('have their optimum where theory says', () => {
    const finite = fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 2, maxLength: 20 });
    fc.assert(
      fc.property(
        finite,
        fc.integer({ min: -50, max: 50 }),
        fc.constantFrom(0.1, 0.5, 0.8),
        (targets, other, quantile) => {
          const constant = (value: number): number[] => targets.map(() => value);
          const mean = targets.reduce((sum, value) => sum + value, 0) / targets.length;
          expect(rootMeanSquaredError(targets, constant(mean))).toBeLessThanOrEqual(
            rootMeanSquaredError(targets, constant(other)) + 1e-9,
          );
          const sorted = [...targets].sort((a, b) => a - b);
          const best = sorted[Math.ceil(quantile * sorted.length) - 1] ?? 0;
          expect(pinballLoss({ targets, predictions: constant(best), quantile })).toBeLessThanOrEqual(
            pinballLoss({ targets, predictions: constant(other), quantile }) + 1e-9,
          );
          const counts = targets.map((target) => Math.abs(target));
          const rate = counts.reduce((sum, value) => sum + value, 0) / counts.length;
          fc.pre(rate > 0);
          expect(meanPoissonDeviance(counts, constant(rate))).toBeLessThanOrEqual(
            meanPoissonDeviance(counts, constant(Math.abs(other) + 0.5)) + 1e-9,
          );
        },
      ),
    );
  });

  it('refuse unsound input', () => {
    expect(() => meanAbsoluteError([1], [1, 2])).toThrow(/1 targets but 2 predictions/);
    expect(() => meanAbsoluteError([], [])).toThrow(/at least one row/);
    expect(() => rootMeanSquaredError([1, NaN], [1, 2])).toThrow(/Target 1/);
    expect(() => rootMeanSquaredError([1, 1], [1, Infinity])).toThrow(/Prediction 1/);
    expect(() => r2([0.1, 0.1, 0.1], [1, 2, 3])).toThrow(/targets that differ, all are 0.1/);
    expect(() => r2([1, 2], [1, 2], [0, 1])).toThrow(/all are 2/);
    expect(() => r2([1, 2], [1, 2], [0, 0])).toThrow(/weights are all 0/);
    expect(() => pinballLoss({ targets: [1], predictions: [1], quantile: 1 })).toThrow(/quantile/);
    expect(() => meanPoissonDeviance([-1], [1])).toThrow(/Target 0/);
    expect(() => meanPoissonDeviance([1], [0])).toThrow(/Prediction 0 must be above 0/);
  });
});
