import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Matrix } from '../matrix.ts';
import { matrixOf } from '../matrix.ts';
import { SeededRandom } from '../random.ts';
import { pimaOf } from './fixtures/pima.ts';
import { fitLogisticElasticNet, logisticElasticNetPath } from './logistic-elastic-net.ts';
import type { LogisticModel } from './logistic.ts';
import { fitLogistic } from './logistic.ts';
import { linearPredictor } from './predictor.ts';

const pima = (name: 'pima-tr'): ReturnType<typeof pimaOf> =>
  pimaOf(readFileSync(new URL(`./fixtures/${name}.csv`, import.meta.url), 'utf8'));

interface Data {
  features: Matrix;
  labels: number[];
  weights: number[];
}

function noisy(rows: number, columns: number, seed: number): Data {
  const random = new SeededRandom(seed);
  const data = Array.from({ length: rows }, () => {
    const shared = random.normal();
    return Array.from({ length: columns }, () => (random.uniform() < 0.05 ? null : shared + random.normal()));
  });
  return {
    features: matrixOf(data),
    labels: data.map(([a, b]) => (random.uniform() < 1 / (1 + Math.exp((b ?? 0) - 2 * (a ?? 0))) ? 1 : 0)),
    weights: data.map((_, row) => 0.5 + (row % 3)),
  };
}

/** The gradient of the mean loss on the standardised columns, and of the intercept at the end. */
function gradientOf(model: LogisticModel, data: Data): number[] {
  const { rows, columns, values } = data.features;
  const probabilities = new Float64Array(rows);
  linearPredictor(model).predict(values, rows, probabilities);
  const total = data.weights.reduce((sum, weight) => sum + weight, 0);
  const sums = Array.from({ length: columns + 1 }, () => 0);
  for (let row = 0; row < rows; row += 1) {
    const residual =
      ((data.weights[row] ?? 0) / total) * ((probabilities[row] ?? 0) - (data.labels[row] ?? 0));
    for (let column = 0; column < columns; column += 1) {
      const value = values[row * columns + column] ?? 0;
      const standardised = (value - (model.means[column] ?? 0)) / (model.scales[column] ?? 1);
      if (!Number.isNaN(standardised)) sums[column] = (sums[column] ?? 0) + residual * standardised;
    }
    sums[columns] = (sums[columns] ?? 0) + residual;
  }
  return sums;
}

describe('fitLogisticElasticNet', () => {
  it('gives the coefficients of scikit-learn 1.9.1 on Pima.tr', () => {
    // LogisticRegression(penalty='elasticnet', l1_ratio=0.5, C=1 / (0.05 * 200), solver='saga', tol=1e-13).
    const { features, labels } = pima('pima-tr');
    const model = fitLogisticElasticNet(features, labels, { alpha: 0.05 });
    [0.196614662459, 0.712973917877, 0, 0, 0.295419519019, 0.291547216771, 0.3255251194].forEach(
      (value, column) => expect(model.coefficients[column]).toBeCloseTo(value, 8),
    );
    expect(model.intercept).toBeCloseTo(-0.81720934525, 8);
    expect([model.coefficients[2], model.coefficients[3]]).toEqual([0, 0]);
  });

  it('fulfils the conditions of Karush, Kuhn and Tucker to 1e-8 of the gradient at 0', () => {
    const shapes = fc.constantFrom([60, 6], [25, 40]);
    const penalties = fc.record({
      share: fc.constantFrom(1e-3, 0.01, 0.3, 1.1),
      l1Ratio: fc.constantFrom(0, 0.5, 1),
    });
    fc.assert(
      fc.property(fc.nat(), shapes, penalties, (seed, [rows = 0, columns = 0], { share, l1Ratio }) => {
        const data = noisy(rows, columns, seed);
        fc.pre(data.labels.includes(0) && data.labels.includes(1));
        const { features, labels, weights } = data;
        const null_ = fitLogisticElasticNet(features, labels, { alpha: 1e6, l1Ratio: 1, weights });
        expect(null_.coefficients.every((c) => c === 0)).toBe(true);
        const steepest = Math.max(...gradientOf(null_, data).map(Math.abs));
        const alpha = share * steepest;
        const model = fitLogisticElasticNet(features, labels, { alpha, l1Ratio, weights });
        const gradient = gradientOf(model, data);
        const goal = 1.001e-8 * steepest + 1e-13;
        expect(Math.abs(gradient[columns] ?? 1)).toBeLessThan(goal);
        model.coefficients.forEach((coefficient, column) => {
          const slope = (gradient[column] ?? 0) + alpha * (1 - l1Ratio) * coefficient;
          const l1 = alpha * l1Ratio;
          const violation =
            coefficient === 0 ? Math.abs(slope) - l1 : Math.abs(slope + l1 * Math.sign(coefficient));
          expect(violation).toBeLessThan(goal);
        });
      }),
      { numRuns: 60 },
    );
  });

  it('is the ridge logistic regression at l1Ratio 0', () => {
    const { features, labels, weights } = noisy(120, 5, 3);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const net = fitLogisticElasticNet(features, labels, { alpha: 0.01, l1Ratio: 0, weights });
    const ridge = fitLogistic(features, labels, { C: 1 / (0.01 * total), weights });
    net.coefficients.forEach((c, column) => expect(c).toBeCloseTo(ridge.coefficients[column] ?? 0, 7));
    expect(net.intercept).toBeCloseTo(ridge.intercept, 7);
  });

  it('walks a path whose steps are the models fitted apart, also where the columns separate the classes', () => {
    const features = matrixOf([1, 2, 3, 4, 5, 6].map((value) => [value, value % 2]));
    const labels = [0, 0, 0, 1, 1, 1];
    const path = logisticElasticNetPath(features, labels, { l1Ratio: 1, length: 6 });
    expect(path).toHaveLength(6);
    for (const { alpha, model } of path) {
      const apart = fitLogisticElasticNet(features, labels, { alpha, l1Ratio: 1 });
      // The objective is flat out there: a gradient of 1e-8 leaves the coefficients 6 digits.
      model.coefficients.forEach((c, column) => expect(c).toBeCloseTo(apart.coefficients[column] ?? 0, 4));
    }
    expect(path[0]?.model.coefficients.every((c) => Math.abs(c) < 1e-7)).toBe(true);
    expect(path[5]?.model.coefficients[0]).toBeGreaterThan(3);
  });

  it('refuses unsound input', () => {
    const features = matrixOf([[1], [2]]);
    expect(() => fitLogisticElasticNet(features, [1, 1])).toThrow(/both classes/);
    expect(() => fitLogisticElasticNet(features, [0, 1], { alpha: 0 })).toThrow(
      /fitLogistic with C Infinity/,
    );
    expect(() => fitLogisticElasticNet(features, [0, 1], { l1Ratio: -1 })).toThrow(/l1Ratio/);
  });
});
