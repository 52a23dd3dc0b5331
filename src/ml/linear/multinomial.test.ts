import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Matrix } from '../matrix.ts';
import { matrixOf } from '../matrix.ts';
import { SeededRandom } from '../random.ts';
import { partColumn, pimaOf } from './fixtures/pima.ts';
import { fitLogistic, rawCoefficients } from './logistic.ts';
import type { MultinomialModel, MultinomialOptions } from './multinomial.ts';
import { fitMultinomial } from './multinomial.ts';
import { linearPredictor } from './predictor.ts';

const pima = (name: 'pima-tr'): ReturnType<typeof pimaOf> =>
  pimaOf(readFileSync(new URL(`./fixtures/${name}.csv`, import.meta.url), 'utf8'));

const unpenalised = { C: Number.POSITIVE_INFINITY };
const SOLVERS = ['newton', 'lbfgs'] as const;

/** Rows of three columns, one of them sometimes missing, and a class that leans on them. */
function noisy(rows: number, seed: number): { features: Matrix; labels: number[] } {
  const random = new SeededRandom(seed);
  const data = Array.from({ length: rows }, () => [
    random.normal() * 3 + 10,
    random.uniform() < 0.1 ? null : random.normal(),
    random.normal() * 0.01,
  ]);
  const labels = data.map(([a, b]) => {
    const margins = [random.normal() * 2, ((a ?? 0) - 10) / 3, (b ?? 0) + random.normal()];
    return margins.indexOf(Math.max(...margins));
  });
  return { features: matrixOf(data), labels };
}

/** Largest component of the gradient of 0.5 ||w||^2 / C + sum(weight * logloss), from the predictions. */
function gradientOf(
  model: MultinomialModel,
  data: { features: Matrix; labels: number[]; weights: number[] },
  C: number,
): number {
  const { features, labels, weights } = data;
  const { columns, rows, values } = features;
  const probabilities = new Float64Array(rows * model.classCount);
  linearPredictor(model).predict(values, rows, probabilities);
  let largest = 0;
  for (let k = 0; k < model.classCount; k += 1) {
    const residual = (row: number): number =>
      (weights[row] ?? 0) * ((probabilities[row * model.classCount + k] ?? 0) - (labels[row] === k ? 1 : 0));
    for (let column = -1; column < columns; column += 1) {
      let sum = column < 0 ? 0 : (model.coefficients[k * columns + column] ?? 0) / C;
      for (let row = 0; row < rows; row += 1) {
        const value = values[row * columns + column] ?? Number.NaN;
        const standardised = (value - (model.means[column] ?? 0)) / (model.scales[column] ?? 1);
        sum += residual(row) * (column < 0 ? 1 : Number.isNaN(standardised) ? 0 : standardised);
      }
      largest = Math.max(largest, Math.abs(sum));
    }
  }
  return largest;
}

describe('fitMultinomial on Pima.tr', () => {
  const { features, labels } = pima('pima-tr');

  it.each(SOLVERS)('gives the published binary coefficients without a penalty, by %s', (solver) => {
    const model = fitMultinomial(features, labels, { ...unpenalised, solver });
    const columns = features.columns;
    const binary = rawCoefficients({
      kind: 'logistic',
      means: model.means,
      scales: model.scales,
      coefficients: Float64Array.from(
        { length: columns },
        (_, column) => (model.coefficients[columns + column] ?? 0) - (model.coefficients[column] ?? 0),
      ),
      intercept: (model.intercepts[1] ?? 0) - (model.intercepts[0] ?? 0),
      iterations: 0,
    });
    const published = [0.1031834, 0.03211682, -0.004767542, -0.001916632, 0.08362391, 1.82041, 0.04118353];
    expect(Math.abs(binary.intercept / -9.773062 - 1)).toBeLessThan(1e-6);
    published.forEach((coefficient, column) => {
      expect(Math.abs((binary.coefficients[column] ?? 0) / coefficient - 1)).toBeLessThan(3e-6);
    });
  });

  it.each(SOLVERS)('gives the coefficients of scikit-learn 1.9.1 for three classes, by %s', (solver) => {
    // Pregnancies up to 1, up to 4, or more, from the other columns: LogisticRegression(C=0.5, tol=1e-12,
    // solver='newton-cg') on StandardScaler's columns, intercepts centred.
    const { rest, taken } = partColumn(features, 0);
    const model = fitMultinomial(
      rest,
      taken.map((value) => (value <= 1 ? 0 : value <= 4 ? 1 : 2)),
      { C: 0.5, solver },
    );
    const expected = [
      [0.056820056121, -0.082516630598, 0.06956921891, -0.03995466202, 0.13674471503, -0.558608615991],
      [-0.051379599468, 0.068954837494, -0.264404253514, -0.02012047117, 0.0836055308, -0.318968081642],
      [-0.005440456653, 0.013561793104, 0.194835034604, 0.06007513319, -0.22035024583, 0.877576697633],
    ].flat();
    expected.forEach((value, index) => expect(model.coefficients[index]).toBeCloseTo(value, 8));
    [0.141184792003, 0.079942029166, -0.221126821169].forEach((value, k) =>
      expect(model.intercepts[k]).toBeCloseTo(value, 8),
    );
  });
});

describe('fitMultinomial', () => {
  it('ends where the gradient is 1e-8 of the one at the start, with and without a penalty', () => {
    const strengths = fc.constantFrom(0.01, 1, 100, Number.POSITIVE_INFINITY);
    fc.assert(
      fc.property(fc.nat(), strengths, fc.constantFrom(...SOLVERS), (seed, C, solver) => {
        const data = noisy(120, seed);
        fc.pre([0, 1, 2].every((label) => data.labels.includes(label)));
        const weights = data.labels.map((_, row) => 0.5 + (row % 3));
        const model = fitMultinomial(data.features, data.labels, { C, solver, weights });
        const start: MultinomialModel = {
          ...model,
          coefficients: new Float64Array(9),
          intercepts: Float64Array.from([0, 1, 2], (label) =>
            Math.log(
              weights.reduce((sum, weight, row) => sum + (data.labels[row] === label ? weight : 0), 0),
            ),
          ),
        };
        const goal = 1.001e-8 * gradientOf(start, { ...data, weights }, C);
        expect(gradientOf(model, { ...data, weights }, C)).toBeLessThan(goal);
      }),
      { numRuns: 40 },
    );
  });

  it('with two classes is the binary model of half the strength', () => {
    const { features, labels } = noisy(200, 4);
    const binary = labels.map((label) => Math.min(label, 1));
    const two = fitMultinomial(features, binary, { C: 2 });
    const one = fitLogistic(features, binary, { C: 4 });
    one.coefficients.forEach((coefficient, column) => {
      expect(two.coefficients[3 + column]).toBeCloseTo(coefficient / 2, 8);
      expect(two.coefficients[column]).toBeCloseTo(-coefficient / 2, 8);
    });
    expect((two.intercepts[1] ?? 0) - (two.intercepts[0] ?? 0)).toBeCloseTo(one.intercept, 8);
  });

  it('takes a row of weight 2 as the row twice, and one of weight 0 as absent', () => {
    const { features, labels } = noisy(150, 5);
    const weights = labels.map((_, row) => row % 3);
    const repeated = weights.flatMap((weight, row) => Array.from({ length: weight }, () => row));
    const copy: Matrix = {
      rows: repeated.length,
      columns: 3,
      values: Float32Array.from(
        repeated.flatMap((row) => [...features.values.subarray(row * 3, row * 3 + 3)]),
      ),
    };
    const plain = fitMultinomial(
      copy,
      repeated.map((row) => labels[row] ?? 0),
    );
    const weighted = fitMultinomial(features, labels, { weights });
    weighted.coefficients.forEach((c, index) => expect(c).toBeCloseTo(plain.coefficients[index] ?? 0, 9));
  });

  it.each(SOLVERS)('needs a penalty where the columns separate a class, and says so, by %s', (solver) => {
    const features = matrixOf([[1], [2], [3], [4], [5], [3.5]]);
    const separated = (options: MultinomialOptions): MultinomialModel =>
      fitMultinomial(features, [0, 0, 1, 2, 1, 2], { ...options, solver });
    expect(() => separated(unpenalised)).toThrow(/separate the classes/);
    expect(separated({ C: 1e4 }).coefficients[0]).toBeLessThan(-1);
    // Overlapping in one column and quasi-separated by another.
    const quasi = matrixOf([0, 1, 2, 3, 4, 5, 6, 7].map((row) => [row > 3 ? 1 : 0, row % 4]));
    expect(() => fitMultinomial(quasi, [0, 0, 0, 0, 0, 1, 0, 1], { ...unpenalised, solver })).toThrow(
      /no unique finite solution/,
    );
  });

  it('takes many columns and classes, where L-BFGS agrees with Newton', () => {
    const random = new SeededRandom(1);
    const features = matrixOf(
      Array.from({ length: 300 }, () => Array.from({ length: 60 }, () => random.normal())),
    );
    const labels = Array.from({ length: 300 }, (_, row) => row % 9);
    const lbfgs = fitMultinomial(features, labels);
    const newton = fitMultinomial(features, labels, { solver: 'newton' });
    expect(lbfgs.iterations).toBeGreaterThan(newton.iterations);
    lbfgs.coefficients.forEach((c, index) => expect(c).toBeCloseTo(newton.coefficients[index] ?? 0, 7));
  });

  it('gives constant and empty columns the coefficient 0', () => {
    const features = matrixOf([0, 1, 2, 3, 4, 5, 6, 7, 8].map((value) => [value % 4, 0.1, null]));
    for (const solver of SOLVERS) {
      const model = fitMultinomial(features, [0, 1, 2, 2, 1, 0, 2, 0, 1], { ...unpenalised, solver });
      for (const index of [1, 2, 4, 5, 7, 8]) expect(model.coefficients[index]).toBeCloseTo(0, 12);
    }
  });

  it('says that dependent columns have no unique solution without a penalty, and when it did not converge', () => {
    const features = matrixOf([1, 2, 3, 4, 5, 6].map((value) => [value, 2 * value]));
    expect(() => fitMultinomial(features, [0, 1, 2, 0, 1, 2], unpenalised)).toThrow(/linear combinations/);
    for (const solver of SOLVERS) {
      expect(() => fitMultinomial(features, [0, 1, 2, 0, 1, 1], { iterationsMax: 0, solver })).toThrow(
        /did not converge: after 0 steps/,
      );
    }
  });

  it('refuses unsound input', () => {
    const features = matrixOf([[1], [2], [3]]);
    expect(() => fitMultinomial(features, [0, 1])).toThrow(/3 rows but there are 2 labels/);
    expect(() => fitMultinomial(features, [0, 1, 1.5])).toThrow(
      /Label 2 must be a whole number from 0 to 999/,
    );
    expect(() => fitMultinomial(features, [0, 1, 2], { classCount: 2 })).toThrow(/Label 2 .* 0 to 1, not 2/);
    expect(() => fitMultinomial(features, [0, 2, 2])).toThrow(/every class with weight; 1 has none/);
    expect(() => fitMultinomial(features, [0, 1, 1], { C: -1 })).toThrow(/C must be/);
    expect(() => fitMultinomial(features, [0, 1, 1], { weights: [0, 0, 0] })).toThrow(/rows with weight/);
    expect(() => fitMultinomial(features, [0, 1, 1], { classCount: 1 })).toThrow(/from 2 to 1000/);
  });
});
