import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Matrix } from '../matrix.ts';
import { matrixOf } from '../matrix.ts';
import { aucRoc } from '../metrics/ranking.ts';
import { encodeLogistic } from '../onnx/encode-logistic.ts';
import { loadModel } from '../onnx/load-model.ts';
import { SeededRandom } from '../random.ts';
import type { LogisticModel } from './logistic.ts';
import { fitLogistic, rawCoefficients } from './logistic.ts';

function pima(name: string): { features: Matrix; labels: number[] } {
  const text = readFileSync(new URL(`./fixtures/${name}.csv`, import.meta.url), 'utf8');
  const rows = text
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(','));
  return {
    features: matrixOf(rows.map((row) => row.slice(0, 7).map(Number))),
    labels: rows.map((row) => (row[7] === 'Yes' ? 1 : 0)),
  };
}

function predict(model: LogisticModel, features: Matrix): Float64Array {
  const output = new Float64Array(features.rows);
  loadModel(encodeLogistic(model)).predict(features.values, features.rows, output);
  return output;
}

/** Noisy rows of two columns with a known tendency. */
function noisy(rows: number, seed: number): { features: Matrix; labels: number[] } {
  const random = new SeededRandom(seed);
  const data = Array.from({ length: rows }, () => [random.normal() * 3 + 10, random.normal()] as const);
  return {
    features: matrixOf(data.map((row) => [...row])),
    labels: data.map(([a, b]) => (random.uniform() < 1 / (1 + Math.exp(10 - a - b)) ? 1 : 0)),
  };
}

describe('logistic regression on Pima.tr and Pima.te', () => {
  const { features, labels } = pima('pima-tr');
  const test = pima('pima-te');
  const model = fitLogistic(features, labels, { C: Number.POSITIVE_INFINITY });

  it('gives the published coefficients without a penalty', () => {
    const published = [0.1031834, 0.03211682, -0.004767542, -0.001916632, 0.08362391, 1.82041, 0.04118353];
    const raw = rawCoefficients(model);
    expect(Math.abs(raw.intercept / -9.773062 - 1)).toBeLessThan(1e-6);
    published.forEach((coefficient, column) => {
      expect(Math.abs((raw.coefficients[column] ?? 0) / coefficient - 1)).toBeLessThan(3e-6);
    });
  });

  it('makes the known errors on the test rows', () => {
    const probabilities = predict(model, test.features);
    const errors = test.labels.filter(
      (label, row) => (probabilities[row] ?? 0) > 0.5 !== (label === 1),
    ).length;
    expect([errors, test.labels.length]).toEqual([66, 332]);
    expect(aucRoc(test.labels, probabilities)).toBeCloseTo(0.86588, 5);
  });
});

describe('fitLogistic', () => {
  it('ends where the gradient of the penalised objective vanishes', () => {
    fc.assert(
      fc.property(fc.nat(), fc.constantFrom(0.01, 1, 100), (seed, C) => {
        const { features, labels } = noisy(60, seed);
        fc.pre(labels.includes(0) && labels.includes(1));
        const model = fitLogistic(features, labels, { C });
        const probabilities = predict(model, features);
        const residuals = labels.map((label, row) => (probabilities[row] ?? 0) - label);
        expect(Math.abs(residuals.reduce((sum, residual) => sum + residual, 0))).toBeLessThan(1e-6);
        model.coefficients.forEach((coefficient, column) => {
          const standardised = (row: number): number =>
            ((features.values[row * 2 + column] ?? 0) - (model.means[column] ?? 0)) /
            (model.scales[column] ?? 1);
          const gradient = residuals.reduce((sum, residual, row) => sum + residual * standardised(row), 0);
          expect(Math.abs(coefficient / C + gradient)).toBeLessThan(1e-6);
        });
      }),
      { numRuns: 30 },
    );
  });

  it('takes a row of weight 2 as the row twice, and one of weight 0 as absent', () => {
    const { features, labels } = noisy(80, 5);
    const weights = labels.map((_, row) => row % 3);
    const repeated = weights.flatMap((weight, row) => Array.from({ length: weight }, () => row));
    const copy = matrixOf(repeated.map((row) => [...features.values.subarray(row * 2, row * 2 + 2)]));
    const weighted = fitLogistic(features, labels, { weights });
    const plain = fitLogistic(
      copy,
      repeated.map((row) => labels[row] ?? 0),
    );
    expect(weighted.intercept).toBeCloseTo(plain.intercept, 9);
    weighted.coefficients.forEach((c, column) => expect(c).toBeCloseTo(plain.coefficients[column] ?? 0, 9));
  });

  it('takes a missing value as the mean of its column', () => {
    const withMissing = matrixOf([
      [1, 5],
      [null, 1],
      [3, 2],
      [null, 4],
      [5, 3],
      [3, null],
    ]);
    const filled = matrixOf([
      [1, 5],
      [3, 1],
      [3, 2],
      [3, 4],
      [5, 3],
      [3, 3],
    ]);
    const labels = [0, 1, 1, 0, 1, 0];
    const model = fitLogistic(withMissing, labels);
    expect(model.coefficients).toEqual(fitLogistic(filled, labels).coefficients);
    expect(predict(model, withMissing)).toEqual(predict(model, filled));
  });

  it('gives a constant or empty column the coefficient 0, with and without a penalty', () => {
    for (const C of [1, Number.POSITIVE_INFINITY]) {
      const features = matrixOf([0, 1, 2, 3, 4, 5].map((value) => [value, 0.1, null, -7e6]));
      const model = fitLogistic(features, [0, 1, 0, 1, 0, 1], { C });
      expect([...model.coefficients.subarray(1)]).toEqual([0, 0, 0]);
      expect([...model.scales.subarray(1)]).toEqual([1, 1, 1]);
      expect(model.coefficients[0]).toBeGreaterThan(0);
    }
  });

  it('is not thrown off by the scale of the columns', () => {
    const { features, labels } = noisy(200, 9);
    const scaled = {
      ...features,
      values: features.values.map((value, index) => (index % 2 ? value * 2 ** 40 : value)),
    };
    const plain = predict(fitLogistic(features, labels), features);
    predict(fitLogistic(scaled, labels), scaled).forEach((p, row) =>
      expect(p).toBeCloseTo(plain[row] ?? 0, 9),
    );
  });

  it('needs a penalty where the columns separate the classes, and says so', () => {
    const features = matrixOf([[1], [2], [3], [4]]);
    const labels = [0, 0, 1, 1];
    const unpenalised = { C: Number.POSITIVE_INFINITY };
    expect(() => fitLogistic(features, labels, unpenalised)).toThrow(/separate the classes/);
    expect(fitLogistic(features, labels, { C: 1e4 }).coefficients[0]).toBeGreaterThan(1);
    const quasi = matrixOf([
      [1, 2],
      [1, 0],
      [1, 1],
      [0, 2],
      [0, 0],
      [0, 1],
    ]);
    expect(() => fitLogistic(quasi, [1, 1, 1, 0, 1, 0], unpenalised)).toThrow(/no unique finite solution/);
  });

  it('says that dependent columns have no unique solution without a penalty', () => {
    const features = matrixOf([
      [1, 2],
      [2, 4],
      [3, 6],
      [4, 8],
    ]);
    expect(() => fitLogistic(features, [0, 1, 0, 1], { C: Number.POSITIVE_INFINITY })).toThrow(
      /linear combinations/,
    );
    const [first, second] = fitLogistic(features, [0, 1, 0, 1]).coefficients;
    expect(first).toBeCloseTo(second ?? 0, 9);
  });

  it('says when it did not converge', () => {
    const { features, labels } = noisy(200, 2);
    expect(() => fitLogistic(features, labels, { iterationsMax: 1 })).toThrow(
      /did not converge: after 1 Newton step/,
    );
  });

  it('refuses unsound input', () => {
    const features = matrixOf([[1], [2]]);
    expect(() => fitLogistic(features, [1, 1])).toThrow(/both classes/);
    expect(() => fitLogistic(features, [0, 2])).toThrow(/Label 1 of the training must be 0 or 1, not 2/);
    expect(() => fitLogistic(features, [0])).toThrow(/2 rows but there are 1 labels/);
    expect(() => fitLogistic(features, [0, 1], { C: 0 })).toThrow(/C must be/);
    expect(() => fitLogistic(features, [0, 1], { weights: [1, -1] })).toThrow(/Weight 1/);
    expect(() => fitLogistic(features, [0, 1], { weights: [0, 1] })).toThrow(/both classes/);
    expect(() => fitLogistic(matrixOf([[1], [Number.POSITIVE_INFINITY]]), [0, 1])).toThrow(
      /Row 1 has Infinity/,
    );
  });
});
