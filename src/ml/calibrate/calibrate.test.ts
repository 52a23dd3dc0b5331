import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { calibrationError, logLoss } from '../metrics/probability.ts';
import { aucRoc } from '../metrics/ranking.ts';
import { SeededRandom } from '../random.ts';
import type { Calibration } from './calibration.ts';
import { calibrate } from './calibration.ts';
import { fitIsotonic } from './isotonic.ts';
import { fitPlatt } from './platt.ts';

const FITS = [
  ['platt', fitPlatt],
  ['isotonic', fitIsotonic],
] as const;

const sigmoid = (margin: number): number => 1 / (1 + Math.exp(-margin));

/** Scores of a model twice too sure of itself and shifted, with the outcomes that came. */
function overconfident(rows: number, seed: number): { scores: number[]; labels: number[] } {
  const random = new SeededRandom(seed);
  const margins = Array.from({ length: rows }, () => random.normal() * 1.5 - 0.5);
  return {
    scores: margins.map((margin) => sigmoid(2 * margin + 1)),
    labels: margins.map((margin) => (random.uniform() < sigmoid(margin) ? 1 : 0)),
  };
}

const rowsOf = fc.array(
  fc.record({
    score: fc.oneof(fc.integer({ min: -3, max: 3 }), fc.double({ noNaN: true, noDefaultInfinity: true })),
    label: fc.constantFrom(0, 1),
    weight: fc.constantFrom(0.5, 1, 3),
  }),
  { minLength: 1, maxLength: 30 },
);

describe.each(FITS)('%s calibration', (kind, fit) => {
  it('brings the probabilities near the shares that come true, on rows of their own', () => {
    const heldOut = overconfident(5000, 1);
    const later = overconfident(5000, 2);
    // Platt's curve is logistic in the margin; isotonic regression does not mind the scale.
    const margins = (scores: number[]): number[] => scores.map((score) => Math.log(score / (1 - score)));
    const scaled = kind === 'platt' ? margins : (scores: number[]): number[] => scores;
    const calibrated = calibrate(fit(scaled(heldOut.scores), heldOut.labels), scaled(later.scores));
    expect(calibrationError(later.labels, later.scores)).toBeGreaterThan(0.12);
    expect(calibrationError(later.labels, calibrated)).toBeLessThan(0.025);
    expect(logLoss(later.labels, calibrated)).toBeLessThan(logLoss(later.labels, later.scores) - 0.07);
    expect(aucRoc(later.labels, calibrated)).toBeCloseTo(aucRoc(later.labels, later.scores), 2);
  });

  it('never falls and stays in [0, 1], whatever it was fitted on', () => {
    const anyScores = fc.array(fc.double({ noNaN: true }), { maxLength: 40 });
    fc.assert(
      fc.property(rowsOf, anyScores, (rows, others) => {
        const fitted = fit(
          rows.map((row) => row.score),
          rows.map((row) => row.label),
          { weights: rows.map((row) => row.weight) },
        );
        const scores = [...others, ...rows.map((row) => row.score)].sort((a, b) => a - b);
        calibrate(fitted, scores).reduce((before, here) => {
          expect(here).toBeGreaterThanOrEqual(before);
          expect(here).toBeLessThanOrEqual(1);
          return here;
        }, 0);
      }),
      { numRuns: 400 },
    );
  });

  it('takes a row of weight 2 as the row twice, and one of weight 0 as absent', () => {
    const { scores, labels } = overconfident(60, 3);
    const weights = scores.map((_, row) => row % 3);
    const repeated = weights.flatMap((weight, row) => Array.from({ length: weight }, () => row));
    const weighted = calibrate(fit(scores, labels, { weights }), scores);
    const plain = calibrate(
      fit(
        repeated.map((row) => scores[row] ?? 0),
        repeated.map((row) => labels[row] ?? 0),
      ),
      scores,
    );
    weighted.forEach((p, row) => expect(p).toBeCloseTo(plain[row] ?? 0, 9));
  });

  it('refuses unsound input', () => {
    expect(() => fit([], [])).toThrow(/at least one row/);
    expect(() => fit([0.5], [0, 1])).toThrow(/2 labels but 1 scores/);
    expect(() => fit([0.5, Number.NaN], [0, 1])).toThrow(/Score 1 is NaN/);
    expect(() => fit([0.5, Number.POSITIVE_INFINITY], [0, 1])).toThrow(/Score 1 must be a finite number/);
    expect(() => fit([0.5, 0.6], [0, 1], { weights: [0, 0] })).toThrow(/rows with weight/);
    expect(() => calibrate(fit([0.5, 0.6], [0, 1]), [0.1, Number.NaN])).toThrow(/Score 1 is NaN/);
  });
});

describe('fitPlatt', () => {
  it('ends where the smoothed targets balance', () => {
    const { scores, labels } = overconfident(300, 4);
    const curve = fitPlatt(scores, labels);
    const positive = labels.filter((label) => label === 1).length;
    const targets = labels.map((label) =>
      label === 1 ? (positive + 1) / (positive + 2) : 1 / (labels.length - positive + 2),
    );
    const residuals = [...calibrate(curve, scores)].map((p, row) => p - (targets[row] ?? 0));
    expect(Math.abs(residuals.reduce((sum, residual) => sum + residual, 0))).toBeLessThan(1e-8);
    const product = residuals.reduce((sum, residual, row) => sum + residual * (scores[row] ?? 0), 0);
    expect(Math.abs(product)).toBeLessThan(1e-8);
  });

  it('stays finite where the scores separate the classes: two rows give the smoothed targets themselves', () => {
    const [negative, positive] = calibrate(fitPlatt([-7, 9], [0, 1]), [-7, 9]);
    expect(negative).toBeCloseTo(1 / 3, 12);
    expect(positive).toBeCloseTo(2 / 3, 12);
  });

  it('does not mind the scale of the scores', () => {
    const { scores, labels } = overconfident(200, 5);
    const plain = calibrate(fitPlatt(scores, labels), scores);
    const moved = scores.map((score) => 1e-9 * score + 7);
    calibrate(fitPlatt(moved, labels), moved).forEach((p, row) => expect(p).toBeCloseTo(plain[row] ?? 0, 5));
  });

  it('is level where the scores are equal or rank backwards', () => {
    const level: Calibration = fitPlatt([3, 3, 3], [0, 1, 1]);
    expect(level.slope).toBe(0);
    // Targets 1 / 3, 3 / 4 and 3 / 4.
    expect(calibrate(level, [3, Number.POSITIVE_INFINITY])[1]).toBeCloseTo(11 / 18, 12);
    expect(fitPlatt([1, 2, 3, 4], [1, 1, 0, 0]).slope).toBe(0);
  });
});

describe('fitIsotonic', () => {
  it('pools violators, merges ties and interpolates, as worked out by hand and by scikit-learn 1.9.1', () => {
    // IsotonicRegression().fit(scores, labels, sample_weight=weights): 1 | 2 2 3 4 | 5.
    const curve = fitIsotonic([5, 1, 2, 3, 2, 4], [1, 0, 1, 1, 0, 0], { weights: [1, 1, 1, 1, 1, 3] });
    expect([...curve.scores]).toEqual([1, 2, 4, 5]);
    expect([...curve.probabilities]).toEqual([0, 1 / 3, 1 / 3, 1]);
    const asked = calibrate(curve, [0, 1, 1.5, 2, 3, 4.5, 5, 9]);
    [0, 0, 1 / 6, 1 / 3, 1 / 3, 2 / 3, 1, 1].forEach((p, row) => expect(asked[row]).toBeCloseTo(p, 12));
  });

  it('is the best rising curve: its residuals meet the conditions of the least squares', () => {
    fc.assert(
      fc.property(rowsOf, (rows) => {
        const scores = rows.map((row) => row.score);
        const curve = fitIsotonic(
          scores,
          rows.map((row) => row.label),
          { weights: rows.map((row) => row.weight) },
        );
        const fitted = calibrate(curve, scores);
        const residual = (row: number): number =>
          (rows[row]?.weight ?? 0) * ((rows[row]?.label ?? 0) - (fitted[row] ?? 0));
        const order = scores.map((_, row) => row);
        // Raising all above a score must not help: the sums from the top are at most 0, in all exactly 0.
        for (const from of scores) {
          const above = order.filter((row) => (scores[row] ?? 0) >= from);
          expect(above.reduce((sum, row) => sum + residual(row), 0)).toBeLessThan(1e-9);
        }
        expect(order.reduce((sum, row) => sum + residual(row) * (1 + (fitted[row] ?? 0)), 0)).toBeCloseTo(
          0,
          9,
        );
      }),
      { numRuns: 200 },
    );
  });
});
