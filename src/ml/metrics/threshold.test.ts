import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { metricsAtThreshold } from './threshold.ts';

describe('metricsAtThreshold', () => {
  it('is what a hand finds', () => {
    const found = metricsAtThreshold({
      labels: [1, 1, 1, 0, 0, 0, 0],
      scores: [0.9, 0.5, 0.2, 0.8, 0.4, 0.3, 0.1],
      threshold: 0.5,
    });
    expect(found).toEqual({
      truePositives: 2,
      falsePositives: 1,
      trueNegatives: 3,
      falseNegatives: 1,
      precision: 2 / 3,
      recall: 2 / 3,
      falsePositiveRate: 1 / 4,
      f1: 4 / 6,
      accuracy: 5 / 7,
    });
  });

  it('adds up weights', () => {
    const found = metricsAtThreshold({
      labels: [1, 0, 1],
      scores: [1, 1, 0],
      threshold: 0.5,
      weights: [2, 0.5, 3],
    });
    expect(found).toMatchObject({
      truePositives: 2,
      falsePositives: 0.5,
      trueNegatives: 0,
      falseNegatives: 3,
    });
    expect(found.precision).toBe(0.8);
    expect(found.recall).toBe(0.4);
  });

  it('says NaN of a share of nothing', () => {
    const none = metricsAtThreshold({ labels: [0, 0], scores: [0.1, 0.2], threshold: 0.5 });
    expect(none).toMatchObject({ precision: NaN, recall: NaN, f1: NaN, falsePositiveRate: 0, accuracy: 1 });
    expect(metricsAtThreshold({ labels: [1], scores: [1], threshold: 0 }).falsePositiveRate).toBeNaN();
  });

  it('has F1 as the harmonic mean of precision and recall', () => {
    const rows = fc.array(fc.tuple(fc.constantFrom(0, 1), fc.integer({ min: 0, max: 4 })), { minLength: 1 });
    fc.assert(
      fc.property(rows, fc.integer({ min: 0, max: 5 }), (given, threshold) => {
        const found = metricsAtThreshold({
          labels: given.map(([label]) => label),
          scores: given.map(([, score]) => score),
          threshold,
        });
        const { truePositives, falsePositives, trueNegatives, falseNegatives, precision, recall } = found;
        expect(truePositives + falsePositives + trueNegatives + falseNegatives).toBe(given.length);
        fc.pre(truePositives > 0);
        expect(found.f1).toBeCloseTo((2 * precision * recall) / (precision + recall), 12);
      }),
    );
  });

  it('refuses unsound input', () => {
    expect(() => metricsAtThreshold({ labels: [1], scores: [1], threshold: NaN })).toThrow(/threshold/);
    expect(() => metricsAtThreshold({ labels: [1], scores: [1], threshold: 0, weights: [0] })).toThrow(
      /weights are all 0/,
    );
    expect(() => metricsAtThreshold({ labels: [2], scores: [1], threshold: 0 })).toThrow(/Label 0/);
  });
});
