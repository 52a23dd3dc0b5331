import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pimaOf } from '../linear/fixtures/pima.ts';
import { fitLogistic } from '../linear/logistic.ts';
import type { Predictor } from '../linear/predictor.ts';
import { linearPredictor } from '../linear/predictor.ts';
import type { Matrix } from '../matrix.ts';
import { matrixOf } from '../matrix.ts';
import { brier, logLoss } from '../metrics/probability.ts';
import { baselinePredictor, fitClassPrior, fitLastValue, fitMajorityClass, fitMean } from './baseline.ts';

const pima = (name: 'pima-tr' | 'pima-te'): ReturnType<typeof pimaOf> =>
  pimaOf(readFileSync(new URL(`../linear/fixtures/${name}.csv`, import.meta.url), 'utf8'));

function answers(predictor: Predictor, features: Matrix): number[] {
  const output = new Float64Array(features.rows * predictor.outputCount);
  predictor.predict(features.values, features.rows, output);
  return [...output];
}

const three = matrixOf([[1], [null], [3]]);

describe('class baselines', () => {
  it('are measured beside the candidate, who beats them', () => {
    const { features, labels } = pima('pima-tr');
    const test = pima('pima-te');
    const prior = answers(baselinePredictor(fitClassPrior(features, labels)), test.features);
    const majority = answers(baselinePredictor(fitMajorityClass(features, labels)), test.features);
    const candidate = answers(linearPredictor(fitLogistic(features, labels)), test.features);
    // 68 of the 200 training rows are positive, and 109 of the 332 test rows.
    expect(prior[0]).toBeCloseTo(0.34, 12);
    expect(brier(test.labels, majority)).toBeCloseTo(109 / 332, 12);
    expect(logLoss(test.labels, candidate)).toBeLessThan(logLoss(test.labels, prior) - 0.1);
  });

  it('give one share for each of three or more classes, of two the second', () => {
    expect([...fitClassPrior(three, [0, 2, 2], { weights: [2, 1, 1] }).answer]).toEqual([0.5, 0, 0.5]);
    expect([...fitMajorityClass(three, [2, 1, 2]).answer]).toEqual([0, 0, 1]);
    // Of equally frequent classes the first.
    expect([...fitMajorityClass(three, [2, 1, 2], { weights: [1, 2, 1] }).answer]).toEqual([0, 1, 0]);
    expect([...fitClassPrior(three, [0, 0, 0]).answer]).toEqual([0]);
    expect([...fitMajorityClass(three, [0, 1, 1]).answer]).toEqual([1]);
    expect([...fitClassPrior(three, [0, 1, 1], { classCount: 4 }).answer]).toEqual([1 / 3, 2 / 3, 0, 0]);
    const prior = baselinePredictor(fitClassPrior(three, [0, 1, 2]));
    expect([prior.inputCount, prior.outputCount]).toEqual([1, 3]);
    expect(answers(prior, three)).toHaveLength(9);
  });

  it('the prior has the least Brier score of all constant answers', () => {
    const labelsOf = fc.array(fc.constantFrom(0, 1), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(labelsOf, fc.double({ min: 0, max: 1, noNaN: true }), (labels, other) => {
        const features = matrixOf(labels.map(() => [0]));
        const prior = answers(baselinePredictor(fitClassPrior(features, labels)), features);
        expect(brier(labels, prior)).toBeLessThanOrEqual(
          brier(
            labels,
            Array.from(labels, () => other),
          ) + 1e-12,
        );
      }),
    );
  });
});

describe('regression baselines', () => {
  it('give the mean of the targets', () => {
    expect([...fitMean(three, [1, 2, 6]).answer]).toEqual([3]);
    expect([...fitMean(three, [1, 2, 6], { weights: [0, 3, 1] }).answer]).toEqual([3]);
  });

  it('give the last value of a column, or the mean of the targets where it is missing', () => {
    const features = matrixOf([
      [7, 1],
      [8, null],
    ]);
    const model = fitLastValue(features, [10, 20], { column: 1 });
    expect(answers(baselinePredictor(model), features)).toEqual([1, 15]);
    expect(() => fitLastValue(features, [10, 20], { column: 2 })).toThrow(/from 0 to 1, not 2/);
  });

  it('refuse unsound input', () => {
    expect(() => fitMean(three, [1, 2])).toThrow(/3 rows but there are 2 targets/);
    expect(() => fitMean(three, [1, 2, 3], { weights: [0, 0, 0] })).toThrow(/rows with weight/);
    expect(() => fitClassPrior(three, [0, 1, 0.5])).toThrow(/Label 2/);
    const mean = baselinePredictor(fitMean(three, [1, 2, 3]));
    expect(() => mean.predict(new Float32Array(2), 3, new Float64Array(3))).toThrow(/3 rows need 3 inputs/);
  });
});
