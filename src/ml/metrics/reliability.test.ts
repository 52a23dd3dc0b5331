import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { calibrationError } from './probability.ts';
import { reliabilityCurve } from './reliability.ts';

const probabilities = fc.array(
  fc.tuple(
    fc.constantFrom(0, 1),
    fc.integer({ min: 0, max: 20 }).map((part) => part / 20),
  ),
  { minLength: 1, maxLength: 40 },
);

describe('reliabilityCurve', () => {
  it("is that of scikit-learn's documentation", () => {
    const labels = [0, 0, 0, 0, 1, 1, 1, 1, 1];
    const predicted = [0.1, 0.2, 0.3, 0.4, 0.65, 0.7, 0.8, 0.9, 1];
    const found = reliabilityCurve(labels, predicted, { bins: 3 });
    expect([...found.positiveShares]).toEqual([0, 0.5, 1]);
    found.meanProbabilities.forEach((mean, bin) =>
      expect(mean).toBeCloseTo([0.2, 0.525, 0.85][bin] ?? NaN, 12),
    );
    expect([...found.rows]).toEqual([3, 2, 4]);
    expect([...found.lowerEdges]).toEqual([0, 1 / 3, 2 / 3]);
    expect([...found.upperEdges]).toEqual([1 / 3, 2 / 3, 1]);
  });

  it('makes bins of about equally many rows and keeps equal probabilities together', () => {
    const predicted = [0.1, 0.1, 0.1, 0.1, 0.2, 0.3, 0.4, 0.9];
    const labels = [0, 1, 0, 0, 0, 1, 1, 1];
    const found = reliabilityCurve(labels, predicted, { bins: 4, by: 'count' });
    expect([...found.lowerEdges]).toEqual([0.1, 0.2, 0.4]);
    expect([...found.rows]).toEqual([4, 2, 2]);
    expect([...found.positiveShares]).toEqual([0.25, 0.5, 1]);
  });

  it('has the calibration error as its mean distance from the diagonal', () => {
    fc.assert(
      fc.property(probabilities, fc.integer({ min: 1, max: 12 }), (rows, bins) => {
        const labels = rows.map(([label]) => label);
        const predicted = rows.map(([, p]) => p);
        const found = reliabilityCurve(labels, predicted, { bins });
        const distance = found.rows.reduce((sum, count, bin) => {
          const gap = (found.positiveShares[bin] ?? NaN) - (found.meanProbabilities[bin] ?? NaN);
          return sum + count * Math.abs(gap);
        }, 0);
        expect(distance / rows.length).toBeCloseTo(calibrationError(labels, predicted, bins), 12);
      }),
    );
  });

  it('holds every row once, inside its bin, also by count', () => {
    fc.assert(
      fc.property(probabilities, fc.integer({ min: 1, max: 12 }), (rows, bins) => {
        const labels = rows.map(([label]) => label);
        const weights = rows.map((_, row) => 1 + (row % 3));
        const found = reliabilityCurve(
          labels,
          rows.map(([, p]) => p),
          { bins, by: 'count', weights },
        );
        expect(found.rows.reduce((sum, count) => sum + count, 0)).toBe(rows.length);
        expect(found.weights.reduce((sum, weight) => sum + weight, 0)).toBe(weights.reduce((a, b) => a + b));
        expect(found.rows.length).toBeLessThanOrEqual(bins);
        found.meanProbabilities.forEach((mean, bin) => {
          expect(mean).toBeGreaterThanOrEqual((found.lowerEdges[bin] ?? NaN) - 1e-12);
          expect(mean).toBeLessThanOrEqual((found.upperEdges[bin] ?? NaN) + 1e-12);
        });
      }),
    );
  });

  it('refuses unsound input', () => {
    expect(() => reliabilityCurve([1], [1.5])).toThrow(/Probability 0/);
    expect(() => reliabilityCurve([1], [1], { bins: 0 })).toThrow(/number of bins/);
    expect(() => reliabilityCurve([1], [1], { weights: [0] })).toThrow(/all 0/);
  });
});
