import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Matrix } from '../matrix.ts';
import { matrixOf } from '../matrix.ts';
import { SeededRandom } from '../random.ts';
import { elasticNetPath, fitElasticNet } from './elastic-net.ts';
import { partColumn, pimaOf } from './fixtures/pima.ts';
import { linearPredictor } from './predictor.ts';
import type { RegressionModel } from './regression-model.ts';
import { fitRidge } from './ridge.ts';

const pima = (name: 'pima-tr'): ReturnType<typeof pimaOf> =>
  pimaOf(readFileSync(new URL(`./fixtures/${name}.csv`, import.meta.url), 'utf8'));

interface Data {
  features: Matrix;
  targets: number[];
  weights: number[];
}

/** Correlated columns, some values missing; the target leans on the first two. */
function noisy(rows: number, columns: number, seed: number): Data {
  const random = new SeededRandom(seed);
  const data = Array.from({ length: rows }, () => {
    const shared = random.normal();
    return Array.from({ length: columns }, () =>
      random.uniform() < 0.05 ? null : shared + random.normal() + 5,
    );
  });
  return {
    features: matrixOf(data),
    targets: data.map(([a, b]) => 100 + 2 * (a ?? 5) - (b ?? 5) + random.normal()),
    weights: data.map((_, row) => 0.5 + (row % 3)),
  };
}

/** X'W(y - estimate) on the standardised columns, and the sum of W(y - estimate) at the end. */
function descentOf(model: RegressionModel, data: Data): number[] {
  const { rows, columns, values } = data.features;
  const estimates = new Float64Array(rows);
  linearPredictor(model).predict(values, rows, estimates);
  const sums = Array.from({ length: columns + 1 }, () => 0);
  for (let row = 0; row < rows; row += 1) {
    const residual = (data.weights[row] ?? 0) * ((data.targets[row] ?? 0) - (estimates[row] ?? 0));
    for (let column = 0; column < columns; column += 1) {
      const value = values[row * columns + column] ?? 0;
      const standardised = (value - (model.means[column] ?? 0)) / (model.scales[column] ?? 1);
      if (!Number.isNaN(standardised)) sums[column] = (sums[column] ?? 0) + residual * standardised;
    }
    sums[columns] = (sums[columns] ?? 0) + residual;
  }
  return sums;
}

/** The largest component at coefficients of 0: what a tolerance is relative to. */
function startOf(model: RegressionModel, data: Data): number {
  const start = { ...model, coefficients: new Float64Array(model.coefficients.length) };
  return Math.max(...descentOf(start, data).map(Math.abs));
}

const { rest, taken } = partColumn(pima('pima-tr').features, 4);

describe('fitRidge', () => {
  it('gives the coefficients of scikit-learn 1.9.1 for bmi of Pima.tr', () => {
    // Ridge(alpha=3, solver='svd') on StandardScaler's columns.
    const model = fitRidge(rest, taken, { alpha: 3 });
    [0.140981744758, 0.465707140097, 0.53688312243, 3.775950133571, 0.769165159656, -0.535948209881].forEach(
      (value, column) => expect(model.coefficients[column]).toBeCloseTo(value, 10),
    );
    expect(model.intercept).toBeCloseTo(32.31000002861023, 10);
  });

  it('solves the normal equations, also with more columns than rows, weights and missing values', () => {
    const shapes = fc.constantFrom([40, 6], [12, 30], [20, 20], [1, 3]);
    fc.assert(
      fc.property(fc.nat(), shapes, fc.constantFrom(1e-6, 1, 1e6), (seed, [rows = 0, columns = 0], alpha) => {
        const data = noisy(rows, columns, seed);
        const model = fitRidge(data.features, data.targets, { alpha, weights: data.weights });
        const descent = descentOf(model, data);
        // What rounding leaves in sums of targets of about 100.
        const goal = 1e-8 * startOf(model, data) + 1e-10;
        expect(Math.abs(descent[columns] ?? 1)).toBeLessThan(goal);
        model.coefficients.forEach((coefficient, column) => {
          expect(Math.abs((descent[column] ?? 0) - alpha * coefficient)).toBeLessThan(goal);
        });
      }),
      { numRuns: 60 },
    );
  });

  it('finds an exact line without a penalty, whatever the offsets', () => {
    const features = matrixOf([0, 1, 2, 3, 4].map((value) => [value + 1e6, value * value, 7]));
    const targets = [0, 1, 2, 3, 4].map((value) => 1e9 + 3 * value - 0.5 * value * value);
    const model = fitRidge(features, targets, { alpha: 0 });
    expect((model.coefficients[0] ?? 0) / (model.scales[0] ?? 0)).toBeCloseTo(3, 5);
    expect((model.coefficients[1] ?? 0) / (model.scales[1] ?? 0)).toBeCloseTo(-0.5, 5);
    expect(model.coefficients[2]).toBe(0);
  });

  it('needs a penalty where columns depend on each other, and says so', () => {
    const wide = noisy(5, 8, 1);
    expect(() => fitRidge(wide.features, wide.targets, { alpha: 0 })).toThrow(/linear combinations/);
    const twice = matrixOf([1, 2, 4].map((value) => [value, 2 * value]));
    expect(() => fitRidge(twice, [1, 2, 3], { alpha: 0 })).toThrow(/alpha above 0/);
    const [first, second] = fitRidge(twice, [1, 2, 3], { alpha: 1e-3 }).coefficients;
    expect(first).toBeCloseTo(second ?? 0, 9);
  });

  it('takes a row of weight 2 as the row twice, and a missing value as the mean', () => {
    const features = matrixOf([[1], [2], [4], [null]]);
    const weighted = fitRidge(features, [1, 3, 2, 5], { weights: [2, 1, 1, 0] });
    const repeated = fitRidge(matrixOf([[1], [1], [2], [4]]), [1, 1, 3, 2]);
    expect(weighted.coefficients[0]).toBeCloseTo(repeated.coefficients[0] ?? 0, 12);
    expect(weighted.intercept).toBeCloseTo(repeated.intercept, 12);
    const output = new Float64Array(1);
    linearPredictor(weighted).predict(Float32Array.of(Number.NaN), 1, output);
    expect(output[0]).toBe(weighted.intercept);
  });

  it('gives equal targets the coefficients 0', () => {
    const { features } = noisy(30, 4, 3);
    expect([
      ...fitRidge(
        features,
        Array.from({ length: 30 }, () => 0.1),
      ).coefficients,
    ]).toEqual([0, 0, 0, 0]);
  });

  it('refuses unsound input', () => {
    const features = matrixOf([[1], [2]]);
    expect(() => fitRidge(features, [1])).toThrow(/2 rows but there are 1 targets/);
    expect(() => fitRidge(features, [1, Number.NaN])).toThrow(/Target 1 must be a finite number, not NaN/);
    expect(() => fitRidge(features, [1, 2], { alpha: -1 })).toThrow(/alpha must be/);
    expect(() => fitRidge(features, [1, 2], { weights: [0, 0] })).toThrow(/rows with weight/);
    expect(() => fitRidge(matrixOf([[1], [Number.NEGATIVE_INFINITY]]), [1, 2])).toThrow(
      /Row 1 has -Infinity/,
    );
  });
});

describe('fitElasticNet', () => {
  it('gives the coefficients of scikit-learn 1.9.1 for bmi of Pima.tr', () => {
    // ElasticNet(alpha=0.7, l1_ratio=0.6) and Lasso(alpha=0.7), tol=1e-14, on StandardScaler's columns.
    const half = fitElasticNet(rest, taken, { alpha: 0.7, l1Ratio: 0.6 });
    [0, 0.180320003004, 0.227028297625, 2.714294364921, 0.379730276122, 0].forEach((value, column) =>
      expect(half.coefficients[column]).toBeCloseTo(value, 8),
    );
    const lasso = fitElasticNet(rest, taken, { alpha: 0.7, l1Ratio: 1 });
    [0, 0, 0, 3.315713263974, 0.148863972104, 0].forEach((value, column) =>
      expect(lasso.coefficients[column]).toBeCloseTo(value, 8),
    );
    // With weights 1, 2, 3, 1, ... and columns standardised by them.
    const weights = taken.map((_, row) => 1 + (row % 3));
    const weighted = fitElasticNet(rest, taken, { alpha: 0.7, l1Ratio: 0.6, weights });
    [0, 0.254225475649, 0.073903832043, 2.845052650564, 0.343883585284, 0].forEach((value, column) =>
      expect(weighted.coefficients[column]).toBeCloseTo(value, 8),
    );
    expect(weighted.intercept).toBeCloseTo(32.19699252518197, 8);
  });

  it('fulfils the conditions of Karush, Kuhn and Tucker to 1e-8 of the gradient at 0', () => {
    const shapes = fc.constantFrom([40, 6], [15, 40], [60, 25]);
    const penalties = fc.record({
      share: fc.constantFrom(1e-4, 0.01, 0.3, 1.1),
      l1Ratio: fc.constantFrom(0, 0.1, 0.5, 1),
    });
    fc.assert(
      fc.property(fc.nat(), shapes, penalties, (seed, [rows = 0, columns = 0], { share, l1Ratio }) => {
        const data = noisy(rows, columns, seed);
        const total = data.weights.reduce((sum, weight) => sum + weight, 0);
        const start = startOf(fitElasticNet(data.features, data.targets, data), data) / total;
        const alpha = share * start;
        const model = fitElasticNet(data.features, data.targets, { alpha, l1Ratio, weights: data.weights });
        const descent = descentOf(model, data);
        const goal = 1.001e-8 * start + 1e-12;
        expect(Math.abs(descent[columns] ?? 1) / total).toBeLessThan(goal);
        model.coefficients.forEach((coefficient, column) => {
          const slope = (descent[column] ?? 0) / total - alpha * (1 - l1Ratio) * coefficient;
          const l1 = alpha * l1Ratio;
          const violation =
            coefficient === 0 ? Math.abs(slope) - l1 : Math.abs(slope - l1 * Math.sign(coefficient));
          expect(violation).toBeLessThan(goal);
        });
        if (share > 1 && l1Ratio === 1) expect(model.coefficients.every((c) => c === 0)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it('is ridge regression at l1Ratio 0', () => {
    for (const [rows, columns] of [
      [60, 8],
      [15, 40],
    ] as const) {
      const { features, targets, weights } = noisy(rows, columns, 7);
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      const net = fitElasticNet(features, targets, { alpha: 0.02, l1Ratio: 0, weights });
      const ridge = fitRidge(features, targets, { alpha: 0.02 * total, weights });
      net.coefficients.forEach((c, column) => expect(c).toBeCloseTo(ridge.coefficients[column] ?? 0, 6));
      expect(net.intercept).toBe(ridge.intercept);
    }
  });

  it('converges where columns are nearly equal', () => {
    const random = new SeededRandom(3);
    const data = Array.from({ length: 100 }, () => {
      const base = random.normal();
      return Array.from({ length: 12 }, () => base + 1e-3 * random.normal());
    });
    const targets = data.map(([a, b]) => 500 * ((a ?? 0) - (b ?? 0)) + random.normal());
    const model = fitElasticNet(matrixOf(data), targets, { alpha: 1e-6, l1Ratio: 0.9, iterationsMax: 50 });
    expect(model.coefficients[0]).toBeGreaterThan(100);
    expect(model.coefficients[1]).toBeLessThan(-100);
  });

  it('walks a path whose steps are the models fitted apart', () => {
    const { features, targets } = noisy(60, 10, 11);
    const path = elasticNetPath(features, targets, { l1Ratio: 0.7, length: 12 });
    expect(path).toHaveLength(12);
    expect(path[0]?.model.coefficients.every((c) => Math.abs(c) < 1e-9)).toBe(true);
    expect((path[11]?.alpha ?? 0) / (path[0]?.alpha ?? 1)).toBeCloseTo(1e-3, 12);
    for (const { alpha, model } of path) {
      const apart = fitElasticNet(features, targets, { alpha, l1Ratio: 0.7 });
      model.coefficients.forEach((c, column) => expect(c).toBeCloseTo(apart.coefficients[column] ?? 0, 6));
    }
    const given = elasticNetPath(features, targets, { alphas: [0.5, 0.1], l1Ratio: 0 });
    expect(given.map((step) => step.alpha)).toEqual([0.5, 0.1]);
  });

  it('refuses unsound options, and says when it did not converge', () => {
    const { features, targets } = noisy(30, 4, 2);
    expect(() => fitElasticNet(features, targets, { alpha: 0 })).toThrow(/fitRidge with alpha 0/);
    expect(() => fitElasticNet(features, targets, { l1Ratio: 1.5 })).toThrow(/l1Ratio must be/);
    expect(() => fitElasticNet(features, targets, { alpha: 0.01, iterationsMax: 0 })).toThrow(
      /did not converge: after 0 passes/,
    );
    expect(() => elasticNetPath(features, targets, { alphas: [1, 1] })).toThrow(/Strength 1 of the path/);
    expect(() => elasticNetPath(features, targets, { l1Ratio: 0 })).toThrow(/needs its alphas/);
    expect(() => elasticNetPath(features, targets, { alphaRatio: 1 })).toThrow(/alphaRatio/);
    expect(() =>
      elasticNetPath(
        features,
        Array.from(targets, () => 1 / 3),
      ),
    ).toThrow(/No column is related/);
  });
});
