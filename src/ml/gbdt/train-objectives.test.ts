import { describe, expect, it } from 'vitest';
import type { Matrix } from '../matrix.ts';
import { matrix, matrixOf } from '../matrix.ts';
import { aucRoc } from '../metrics/ranking.ts';
import { SeededRandom } from '../random.ts';
import type { TreesOptions } from './options.ts';
import { predictTrees } from './predict.ts';
import { fitTrees } from './train.ts';

interface Data {
  readonly features: Matrix;
  /** What the mean of the label depends on. */
  readonly signal: Float64Array;
  readonly noise: Float64Array;
}

/** Three columns, the first two of which matter, one by a step and one by a curve; some values are missing. */
function simulate(rows: number, seed: number): Data {
  const random = new SeededRandom(seed);
  const values = new Float32Array(rows * 3);
  const signal = new Float64Array(rows);
  const noise = new Float64Array(rows);
  for (let row = 0; row < rows; row += 1) {
    const [a, b] = [random.normal(), random.normal()];
    signal[row] = (a > 0.3 ? 1 : -1) + Math.sin(2 * b);
    noise[row] = random.uniform();
    values.set([a, b, random.uniform() < 0.1 ? Number.NaN : random.normal()], row * 3);
  }
  return { features: matrix(rows, 3, values), signal, noise };
}

function meanOf(values: ArrayLike<number>): number {
  return Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;
}

/** Labels of each objective. */
const LABELS = {
  binary: ({ signal, noise }: Data) =>
    signal.map((s, row) => ((noise[row] ?? 0) < 1 / (1 + Math.exp(-2 * s)) ? 1 : 0)),
  multiclass: ({ signal, noise }: Data) =>
    signal.map((s, row) => ((noise[row] ?? 0) < 0.1 ? 0 : s < -0.7 ? 0 : s < 0.7 ? 1 : 2)),
  squaredError: ({ signal, noise }: Data) => signal.map((s, row) => 100 + 10 * s + 4 * (noise[row] ?? 0)),
  quantile: ({ signal, noise }: Data) => signal.map((s, row) => 10 * s * (noise[row] ?? 0)),
  poisson: ({ signal, noise }: Data) =>
    signal.map((s, row) => {
      // The inverse of the distribution function.
      const rate = Math.exp(s);
      let count = 0;
      let mass = Math.exp(-rate);
      for (let below = mass; below < (noise[row] ?? 0) && count < 50; below += mass) {
        count += 1;
        mass *= rate / count;
      }
      return count;
    }),
  lambdaRank: ({ signal, noise }: Data) =>
    signal.map((s, row) => Math.min(4, Math.max(0, Math.round(s + 2 * (noise[row] ?? 0))))),
} as const;

type Name = keyof typeof LABELS;
const NAMES = Object.keys(LABELS) as Name[];

function setOf(name: Name, data: Data): { features: Matrix; labels: Float64Array; groups?: number[] } {
  const labels = LABELS[name](data);
  const groups =
    name === 'lambdaRank' ? { groups: Array.from({ length: labels.length / 10 }, () => 10) } : {};
  return { features: data.features, labels, ...groups };
}

describe.each(NAMES)('fitTrees for %s', (objective) => {
  const { features, labels, ...groups } = setOf(objective, simulate(1200, 1));
  const validation = setOf(objective, simulate(600, 2));

  it('lowers the loss of rows it has not seen, stops early and keeps the best rounds', () => {
    const training: number[] = [];
    const judged: number[] = [];
    const model = fitTrees(features, labels, {
      objective,
      ...groups,
      validation,
      rounds: 200,
      learningRate: 0.3,
      patience: 5,
      onRound: ({ trainingLoss, validationLoss = Number.NaN }) => {
        training.push(trainingLoss);
        judged.push(validationLoss);
      },
    });
    const best = Math.min(...judged);
    expect(judged.length).toBeLessThan(200);
    expect(judged).toHaveLength(judged.indexOf(best) + 6);
    expect(model.offsets).toHaveLength((judged.indexOf(best) + 1) * model.outputs + 1);
    expect(best).toBeLessThan((judged[0] ?? 0) * 0.98);
    expect(training.at(-1)).toBeLessThan(training[0] ?? 0);
  });

  const shapes: readonly TreesOptions[] = [
    {},
    { growth: 'leaf', maxLeaves: 8, rowSample: 0.6, columnSample: 0.7, columnSampleByNode: 0.7, seed: 4 },
    { alpha: 0.5, minRows: 20, binsMax: 16, lambda: 0.1 },
  ];

  it.each(shapes)('grows the same trees with and without WebAssembly: %o', (shape) => {
    const given = { objective, ...groups, rounds: 8, ...shape };
    const plain = fitTrees(features, labels, { ...given, kernel: 'plain' });
    expect(fitTrees(features, labels, given)).toEqual(plain);
    expect(plain.left.some((left) => left >= 0)).toBe(true);
  });

  it('is not changed by rows without weight', () => {
    const extra = setOf(objective, simulate(100, 9));
    const both = matrix(1300, 3, Float32Array.from([...features.values, ...extra.features.values]));
    const weights = [...labels.map(() => 1), ...extra.labels.map(() => 0)];
    const model = fitTrees(both, [...labels, ...extra.labels], {
      objective,
      rounds: 5,
      weights,
      ...(groups.groups === undefined ? {} : { groups: [...groups.groups, ...(extra.groups ?? [])] }),
    });
    expect(model).toEqual(fitTrees(features, labels, { objective, ...groups, rounds: 5 }));
  });

  it('covers every node with the weight of the rows that reach it', () => {
    const weights = labels.map((_, row) => (row % 3) + 0.5);
    for (const rowSample of [1, 0.5]) {
      const model = fitTrees(features, labels, { objective, ...groups, rounds: 2, weights, rowSample });
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      for (const root of model.offsets.subarray(0, -1)) expect(model.cover[root]).toBeCloseTo(total, 6);
      const cover = new Float64Array(model.left.length);
      for (let row = 0; row < features.rows; row += 1) {
        for (let node = model.offsets[1] ?? 0; node >= 0;) {
          cover[node] = (cover[node] ?? 0) + (weights[row] ?? 0);
          const value = features.values[row * 3 + (model.feature[node] ?? 0)] ?? 0;
          const left = Number.isNaN(value)
            ? model.missingLeft[node] === 1
            : value <= (model.threshold[node] ?? 0);
          node = (left ? model.left[node] : model.right[node]) ?? -1;
        }
      }
      for (let node = model.offsets[1] ?? 0; node < (model.offsets[2] ?? 0); node += 1) {
        expect(model.cover[node]).toBeCloseTo(cover[node] ?? 0, 6);
      }
    }
  });
});

describe('fitTrees, what is learnt', () => {
  const training = simulate(3000, 3);
  const test = simulate(2000, 4);

  it('classes: probabilities that add up to 1 and name the class', () => {
    const model = fitTrees(training.features, LABELS.multiclass(training), { objective: 'multiclass' });
    const labels = LABELS.multiclass(test);
    const answers = predictTrees(model, test.features);
    let right = 0;
    labels.forEach((label, row) => {
      const own = answers.subarray(row * 3, row * 3 + 3);
      expect(own.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 12);
      if (own.indexOf(Math.max(...own)) === label) right += 1;
    });
    expect(model.outputs).toBe(3);
    expect(right / labels.length).toBeGreaterThan(0.85);
  });

  it('two classes as the binary objective does', () => {
    const labels = LABELS.binary(training);
    const two = predictTrees(
      fitTrees(training.features, labels, { objective: 'multiclass' }),
      test.features,
    ).filter((_, at) => at % 2 === 1);
    const one = predictTrees(fitTrees(training.features, labels), test.features);
    const truth = LABELS.binary(test);
    expect(Math.abs(aucRoc(truth, two) - aucRoc(truth, one))).toBeLessThan(0.01);
  });

  it('means, by their square error', () => {
    const model = fitTrees(training.features, LABELS.squaredError(training), { objective: 'squaredError' });
    const answers = predictTrees(model, test.features);
    const error = meanOf(LABELS.squaredError(test).map((label, row) => (label - (answers[row] ?? 0)) ** 2));
    // The labels' own variance is 150, that of the noise alone 16 / 12.
    expect(error).toBeLessThan(3);
  });

  it('quantiles that cover their share', () => {
    const labels = LABELS.quantile(training);
    const truth = LABELS.quantile(test);
    for (const quantile of [0.1, 0.5, 0.9]) {
      const model = fitTrees(training.features, labels, { objective: 'quantile', quantile, minRows: 20 });
      const answers = predictTrees(model, test.features);
      const below = meanOf(truth.map((label, row) => (label <= (answers[row] ?? 0) ? 1 : 0)));
      expect(Math.abs(below - quantile)).toBeLessThan(0.06);
    }
  });

  it('rates, also where a few counts are large', () => {
    const model = fitTrees(training.features, LABELS.poisson(training), { objective: 'poisson' });
    const answers = predictTrees(model, test.features);
    expect(meanOf(answers)).toBeCloseTo(meanOf(LABELS.poisson(test)), 0);
    expect(answers.every((answer) => answer > 0 && answer < 100)).toBe(true);
    const rare = Float64Array.from({ length: 200 }, (_, row) => (row === 0 ? 1e6 : 0));
    const steep = fitTrees(matrixOf(Array.from(rare, (_, row) => [row])), rare, {
      objective: 'poisson',
      learningRate: 1,
    });
    expect(predictTrees(steep, matrixOf([[0], [150]])).every(Number.isFinite)).toBe(true);
  });

  it('an order better than that of a single column', () => {
    const { features, labels, groups = [] } = setOf('lambdaRank', training);
    const losses: number[] = [];
    const validation = setOf('lambdaRank', test);
    fitTrees(features, labels, {
      objective: 'lambdaRank',
      groups,
      validation,
      rounds: 60,
      onRound: ({ metric, validationLoss = Number.NaN }) => {
        expect(metric).toBe('ndcgLoss');
        losses.push(validationLoss);
      },
    });
    expect(Math.min(...losses)).toBeLessThan(0.1);
  });

  it('weights of classes as weights of rows', () => {
    const labels = LABELS.binary(training);
    const byClass = fitTrees(training.features, labels, { classWeights: [1, 4], rounds: 5 });
    const weights = labels.map((label) => (label === 1 ? 4 : 1));
    expect(byClass).toEqual(fitTrees(training.features, labels, { weights, rounds: 5 }));
  });
});
