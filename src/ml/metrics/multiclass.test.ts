import { CLASSES_MAX } from '../classes.ts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { logLoss } from './probability.ts';
import { accuracy, confusionMatrix, multiclassLogLoss, multiclassMetrics } from './multiclass.ts';

const CLASSES = 4;
const classified = fc
  .array(fc.tuple(fc.nat(CLASSES - 1), fc.nat(CLASSES - 1)), { minLength: 1, maxLength: 30 })
  .map((rows) => ({
    labels: rows.map(([label]) => label),
    predicted: rows.map(([, predicted]) => predicted),
    classes: CLASSES,
  }));

describe('confusionMatrix', () => {
  it("is that of scikit-learn's documentation", () => {
    const found = confusionMatrix({ labels: [2, 0, 2, 2, 0, 1], predicted: [0, 0, 2, 2, 0, 2], classes: 3 });
    expect([...found.counts]).toEqual([2, 0, 0, 0, 0, 1, 1, 0, 2]);
  });

  it('adds up weights', () => {
    const rows = { labels: [0, 1, 1], predicted: [0, 0, 0], classes: 2, weights: [0.5, 2, 4] };
    expect([...confusionMatrix(rows).counts]).toEqual([0.5, 0, 6, 0]);
  });

  it('refuses unsound input', () => {
    const sound = { labels: [0, 1], predicted: [1, 1], classes: 2 };
    expect(() => confusionMatrix({ ...sound, classes: 1 })).toThrow(/from 2 to 1000, not 1/);
    expect(() => confusionMatrix({ ...sound, classes: CLASSES_MAX + 1 })).toThrow(RangeError);
    expect(() => confusionMatrix({ ...sound, labels: [0, 2] })).toThrow(
      /Label 1 must be a class from 0 to 1/,
    );
    expect(() => confusionMatrix({ ...sound, predicted: [0.5, 1] })).toThrow(/Prediction 0/);
    expect(() => confusionMatrix({ ...sound, predicted: [1] })).toThrow(/2 labels but 1 predictions/);
    expect(() => confusionMatrix({ ...sound, labels: [], predicted: [] })).toThrow(/at least one row/);
  });
});

describe('multiclassMetrics', () => {
  it("is that of scikit-learn's documentation", () => {
    const found = multiclassMetrics({
      labels: [0, 1, 2, 0, 1, 2],
      predicted: [0, 2, 1, 0, 0, 1],
      classes: 3,
    });
    expect(found.macroF1).toBeCloseTo(0.2666666, 6);
    expect(found.weightedF1).toBeCloseTo(0.2666666, 6);
    expect(found.accuracy).toBeCloseTo(1 / 3, 12);
    expect(found.byClass.map(({ f1 }) => f1)).toEqual([0.8, 0, 0]);
    expect(found.byClass[0]).toEqual({ precision: 2 / 3, recall: 1, f1: 0.8, support: 2 });
  });

  it('leaves out of the macro mean what neither occurs nor is predicted', () => {
    const rows = { labels: [0, 0, 1], predicted: [0, 0, 1] };
    expect(multiclassMetrics({ ...rows, classes: 9 }).macroF1).toBe(1);
  });

  it('equals the definition', () => {
    fc.assert(
      fc.property(classified, (rows) => {
        const { labels, predicted } = rows;
        const found = multiclassMetrics(rows);
        const of = [0, 1, 2, 3].map((label) => {
          const hits = labels.filter((is, row) => is === label && predicted[row] === label).length;
          const support = labels.filter((is) => is === label).length;
          const chosen = predicted.filter((is) => is === label).length;
          return { f1: support + chosen === 0 ? 0 : (2 * hits) / (support + chosen), support, chosen };
        });
        const seen = of.filter(({ support, chosen }) => support + chosen > 0);
        expect(found.macroF1).toBeCloseTo(seen.reduce((sum, { f1 }) => sum + f1, 0) / seen.length, 12);
        expect(found.weightedF1).toBeCloseTo(
          of.reduce((sum, { f1, support }) => sum + f1 * support, 0) / labels.length,
          12,
        );
        expect(found.accuracy).toBeCloseTo(
          labels.filter((label, row) => label === predicted[row]).length / labels.length,
          12,
        );
      }),
    );
  });
});

describe('accuracy', () => {
  it('is the share of right predictions, as of the matrix', () => {
    expect(accuracy([0, 1, 2, 3], [0, 2, 1, 3])).toBe(0.5);
    expect(accuracy([0, 1, 2], [0, 1, 1], [1, 1, 6])).toBe(0.25);
    fc.assert(
      fc.property(classified, (rows) => {
        expect(accuracy(rows.labels, rows.predicted)).toBeCloseTo(multiclassMetrics(rows).accuracy, 12);
      }),
    );
    expect(() => accuracy([], [])).toThrow(/at least one row/);
    expect(() => accuracy([1], [1, 2])).toThrow(/1 labels but 2 predictions/);
    expect(() => accuracy([1, 2], [1, NaN])).toThrow(/Prediction 1 is NaN/);
    expect(() => accuracy([NaN], [1])).toThrow(/Label 0 is NaN/);
  });
});

describe('multiclassLogLoss', () => {
  it("is that of scikit-learn's documentation", () => {
    const probabilities = [0.1, 0.9, 0.9, 0.1, 0.8, 0.2, 0.35, 0.65];
    expect(multiclassLogLoss({ labels: [1, 0, 0, 1], probabilities, classes: 2 })).toBeCloseTo(0.21616, 5);
  });

  it('of two classes is the log loss', () => {
    const interior = fc.integer({ min: 1, max: 999 }).map((part) => part / 1000);
    const rows = fc.array(fc.tuple(fc.constantFrom(0, 1), interior), { minLength: 1 });
    fc.assert(
      fc.property(rows, (given) => {
        const labels = given.map(([label]) => label);
        const binary = logLoss(
          labels,
          given.map(([, p]) => p),
        );
        const probabilities = given.flatMap(([, p]) => [1 - p, p]);
        const weights = labels.map(() => 2);
        expect(multiclassLogLoss({ labels, probabilities, classes: 2, weights })).toBeCloseTo(binary, 9);
      }),
    );
  });

  it('refuses unsound input', () => {
    const sound = { labels: [1], probabilities: [0.5, 0.5], classes: 2 };
    expect(() => multiclassLogLoss({ ...sound, probabilities: [0.5] })).toThrow(
      /must have 2 probabilities, not 1/,
    );
    expect(() => multiclassLogLoss({ ...sound, probabilities: [0.5, 0.6] })).toThrow(
      /row 0 must sum up to 1/,
    );
    expect(() => multiclassLogLoss({ ...sound, probabilities: [-0.5, 1.5] })).toThrow(
      /class 0 in row 0 is -0.5/,
    );
  });
});
