import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { brier, calibrationError, logLoss } from './probability.ts';

const probabilities = fc.array(fc.tuple(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true })), {
  minLength: 1,
  maxLength: 30,
});

describe('logLoss', () => {
  it('is what a hand finds', () => {
    expect(logLoss([1, 0], [0.8, 0.4])).toBeCloseTo(-(Math.log(0.8) + Math.log(0.6)) / 2, 12);
    expect(logLoss([1, 0], [1, 0])).toBeCloseTo(0, 12);
    expect(logLoss([1], [0])).toBeCloseTo(-Math.log(1e-15), 9);
    expect(logLoss([1, 1], [0.5, 0.5])).toBeCloseTo(Math.LN2, 12);
  });

  it('is finite for all probabilities and refuses other numbers', () => {
    fc.assert(
      fc.property(probabilities, (rows) => {
        const loss = logLoss(
          rows.map(([label]) => label),
          rows.map(([, p]) => p),
        );
        expect(Number.isFinite(loss) && loss >= 0).toBe(true);
      }),
    );
    expect(() => logLoss([1], [1.1])).toThrow(/Probability 0 is 1.1, not in \[0, 1\]/);
    expect(() => logLoss([1], [Number.NaN])).toThrow(RangeError);
  });
});

describe('brier', () => {
  it('is the mean squared difference', () => {
    expect(brier([1, 0, 1], [0.7, 0.2, 1])).toBeCloseTo((0.09 + 0.04) / 3, 12);
    expect(() => brier([], [])).toThrow(RangeError);
  });
});

describe('calibrationError', () => {
  it('is what a hand finds', () => {
    // Bin 1 of 2: mean 0.2, share 0.5. Bin 2: mean 0.9, share 1.
    expect(calibrationError([0, 1, 1], [0.1, 0.3, 0.9], 2)).toBeCloseTo((2 / 3) * 0.3 + (1 / 3) * 0.1, 12);
    expect(calibrationError([1, 0], [1, 0])).toBe(0);
    expect(calibrationError([0], [1])).toBe(1);
    expect(() => calibrationError([1], [1], 0)).toThrow(/number of bins/);
  });

  it('equals the sum over the bins, weighted by their sizes', () => {
    fc.assert(
      fc.property(probabilities, fc.integer({ min: 1, max: 12 }), (rows, bins) => {
        let expected = 0;
        for (let bin = 0; bin < bins; bin += 1) {
          const inside = rows.filter(([, p]) => Math.min(bins - 1, Math.floor(p * bins)) === bin);
          if (inside.length === 0) continue;
          const share = inside.reduce((sum, [label]) => sum + label, 0) / inside.length;
          const mean = inside.reduce((sum, [, p]) => sum + p, 0) / inside.length;
          expected += (inside.length / rows.length) * Math.abs(share - mean);
        }
        const found = calibrationError(
          rows.map(([label]) => label),
          rows.map(([, p]) => p),
          bins,
        );
        expect(found).toBeCloseTo(expected, 12);
      }),
    );
  });
});

describe('weights of rows', () => {
  it('count a row of weight 2 as that row twice', () => {
    const labels = [1, 0, 1];
    const given = [0.9, 0.2, 0.4];
    const weights = [2, 1, 0];
    expect(logLoss(labels, given, weights)).toBeCloseTo(logLoss([1, 1, 0], [0.9, 0.9, 0.2]), 12);
    expect(brier(labels, given, weights)).toBeCloseTo(brier([1, 1, 0], [0.9, 0.9, 0.2]), 12);
    expect(() => brier(labels, given, [0, 0, 0])).toThrow(/3 weights are all 0/);
    expect(() => logLoss(labels, given, [1, 1])).toThrow(/3 rows but 2 weights/);
    expect(() => logLoss(labels, given, [1e308, 1e308, 1])).toThrow(/must be finite/);
  });

  it("of scikit-learn's documentation: a Brier score of 0.0375", () => {
    expect(brier([0, 1, 1, 0], [0.1, 0.9, 0.8, 0.3])).toBeCloseTo(0.0375, 12);
  });
});
