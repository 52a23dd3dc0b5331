import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Matrix } from '../matrix.ts';
import { matrix, matrixOf } from '../matrix.ts';
import { logLoss } from '../metrics/probability.ts';
import { aucRoc } from '../metrics/ranking.ts';
import { encodeTrees } from '../onnx/encode-trees.ts';
import { loadModel } from '../onnx/load-model.ts';
import { SeededRandom } from '../random.ts';
import type { TreeEnsemble } from './ensemble.ts';
import type { TreesOptions } from './options.ts';
import { TrainingStopped } from './options.ts';
import { fitTrees } from './train.ts';

interface Data {
  readonly features: Matrix;
  readonly labels: number[];
}

/** Four columns: two that matter together, one constant, one of noise; a share of the values is missing. */
function simulate(rows: number, seed: number, missing: number = 0): Data {
  const random = new SeededRandom(seed);
  const values = new Float32Array(rows * 4);
  const labels: number[] = [];
  for (let row = 0; row < rows; row += 1) {
    const a = random.normal();
    const b = random.normal();
    const margin = a * 2 + (a > 0 ? b : -b) - 1;
    labels.push(random.uniform() < 1 / (1 + Math.exp(-margin)) ? 1 : 0);
    values.set([a, 5, b, random.normal()], row * 4);
  }
  return {
    features: matrix(
      rows,
      4,
      values.map((value) => (random.uniform() < missing ? Number.NaN : value)),
    ),
    labels,
  };
}

function predict(trees: TreeEnsemble, features: Matrix): Float64Array {
  const output = new Float64Array(features.rows);
  loadModel(encodeTrees(trees)).predict(features.values, features.rows, output);
  return output;
}

/** The leaf of tree 0 that a row reaches, by the rule of the ensemble. */
function leafOf(trees: TreeEnsemble, features: Matrix, row: number): number {
  let node = 0;
  while ((trees.left[node] ?? -1) >= 0) {
    const value = features.values[row * features.columns + (trees.feature[node] ?? 0)] ?? 0;
    const left = Number.isNaN(value) ? trees.missingLeft[node] === 1 : value <= (trees.threshold[node] ?? 0);
    node = (left ? trees.left[node] : trees.right[node]) ?? -1;
  }
  return node;
}

describe('fitTrees, one tree', () => {
  const growths: readonly TreesOptions[] = [
    { maxDepth: 4 },
    { growth: 'leaf', maxLeaves: 9 },
    { maxDepth: 3, lambda: 0, minHessian: 0.2, learningRate: 1 },
    { maxDepth: 5, columnSample: 0.5, seed: 3 },
  ];

  it.each(growths)('gives every leaf -rate * G / (H + lambda) of the rows that reach it: %o', (growth) => {
    const { features, labels } = simulate(700, 1, 0.2);
    const { lambda = 1, minHessian = 1, learningRate = 0.1 } = growth;
    const trees = fitTrees(features, labels, { ...growth, rounds: 1 });
    const share = labels.filter((label) => label === 1).length / labels.length;
    expect(trees.baseScores[0]).toBe(Math.fround(Math.log(share / (1 - share))));
    const probability = 1 / (1 + Math.exp(-(trees.baseScores[0] ?? 0)));
    const sums = new Map<number, { gradient: number; hessian: number }>();
    labels.forEach((label, row) => {
      const leaf = leafOf(trees, features, row);
      const sum = sums.get(leaf) ?? { gradient: 0, hessian: 0 };
      sums.set(leaf, {
        gradient: sum.gradient + probability - label,
        hessian: sum.hessian + probability * (1 - probability),
      });
    });
    const leaves = [...trees.left.keys()].filter((node) => trees.left[node] === -1);
    expect([...sums.keys()].sort((a, b) => a - b)).toEqual(leaves);
    expect(leaves.length).toBeGreaterThan(4);
    for (const [leaf, { gradient, hessian }] of sums) {
      expect(hessian).toBeGreaterThanOrEqual(minHessian - 1e-9);
      expect(trees.leaf[leaf]).toBeCloseTo((-learningRate * gradient) / (hessian + lambda), 6);
    }
  });

  it('keeps its limits', () => {
    const { features, labels } = simulate(700, 2);
    const leaves = (options: TreesOptions): number =>
      fitTrees(features, labels, { ...options, rounds: 1 }).left.filter((left) => left === -1).length;
    expect(leaves({ maxDepth: 1 })).toBe(2);
    expect(leaves({ maxDepth: 3 })).toBeLessThanOrEqual(8);
    expect(leaves({ growth: 'leaf', maxLeaves: 7 })).toBe(7);
    expect(leaves({ growth: 'leaf', maxLeaves: 7, maxDepth: 2 })).toBeLessThanOrEqual(4);
    expect(leaves({ minHessian: 1000 })).toBe(1);
    expect(leaves({ minGain: 1e9 })).toBe(1);
  });

  it('splits the leaf with the largest gain first', () => {
    const { features, labels } = simulate(700, 3);
    const gainOf = (maxLeaves: number): number =>
      fitTrees(features, labels, { growth: 'leaf', maxLeaves, rounds: 1 }).importance.reduce(
        (sum, g) => sum + g,
        0,
      );
    const gains = [2, 3, 4, 5, 6].map(gainOf);
    const whole = fitTrees(features, labels, { maxDepth: 2, rounds: 1 }).importance.reduce(
      (sum, g) => sum + g,
      0,
    );
    expect(gains).toEqual(gains.toSorted((a, b) => a - b));
    expect(gains[2]).toBeGreaterThanOrEqual(whole - 1e-9);
  });
});

describe('fitTrees, boosting', () => {
  const options: readonly TreesOptions[] = [
    {},
    { growth: 'leaf' },
    { rowSample: 0.5, columnSample: 0.5, seed: 5 },
    { learningRate: 1, lambda: 0, minHessian: 1e-6 },
  ];

  it.each(options)('continues from exactly what the finished model predicts: %o', (given) => {
    const { features, labels } = simulate(600, 4, 0.1);
    const losses: number[] = [];
    const trees = fitTrees(features, labels, {
      ...given,
      rounds: 20,
      onRound: ({ trainingLoss }) => losses.push(trainingLoss),
    });
    expect(losses).toHaveLength(20);
    expect(losses[19]).toBeLessThan(losses[0] ?? 0);
    expect(losses[19]).toBeCloseTo(logLoss(labels, predict(trees, features)), 9);
  });

  it('learns an interaction that a linear model cannot', () => {
    const training = simulate(4000, 6);
    const test = simulate(2000, 7);
    const trees = fitTrees(training.features, training.labels);
    expect(aucRoc(test.labels, predict(trees, test.features))).toBeGreaterThan(0.85);
    expect(trees.importance[1]).toBe(0);
    expect(trees.importance[0]).toBeGreaterThan(trees.importance[3] ?? 0);
    expect(trees.feature).not.toContain(1);
  });

  const known: readonly (readonly [TreesOptions, number])[] = [
    [{}, 0.84453],
    [{ growth: 'leaf' }, 0.84033],
    [{ rowSample: 0.6, columnSample: 0.6, seed: 1 }, 0.83441],
  ];

  it.each(known)('ranks as well as the first version of this trainer did: %o', (options, auc) => {
    const training = simulate(4000, 6, 0.1);
    const test = simulate(2000, 7, 0.1);
    const trees = fitTrees(training.features, training.labels, options);
    expect(aucRoc(test.labels, predict(trees, test.features))).toBeGreaterThan(auc - 0.002);
  });

  it('grows the same trees without WebAssembly, and counts splits beside their gains', () => {
    const { features, labels } = simulate(2000, 14, 0.1);
    const codes = matrix(
      2000,
      5,
      Float32Array.from({ length: 10_000 }, (_, at) =>
        at % 5 === 4 ? (at >> 3) % 9 : (features.values[Math.floor(at / 5) * 4 + (at % 5)] ?? 0),
      ),
    );
    const options = {
      categorical: [4],
      oneHotMax: 9,
      monotone: [1, 0, 0, -1, 0],
      rounds: 30,
      columnSampleByNode: 0.8,
      weights: labels.map((_, row) => row % 4),
    };
    const trees = fitTrees(codes, labels, options);
    expect(fitTrees(codes, labels, { ...options, kernel: 'plain' })).toEqual(trees);
    expect(trees.equality).toContain(1);
    for (let feature = 0; feature < 5; feature += 1) {
      const nodes = trees.feature.filter((own, node) => own === feature && trees.left[node] !== -1);
      expect(trees.splits[feature]).toBe(nodes.length);
      expect((trees.importance[feature] ?? 0) > 0).toBe(nodes.length > 0);
    }
  });

  it('learns that missing values say something', () => {
    const features = matrixOf(
      Array.from({ length: 200 }, (_, row) => [row % 2 === 0 ? null : row % 7, row % 5]),
    );
    const labels = Array.from({ length: 200 }, (_, row) => (row % 2 === 0 ? 1 : 0));
    const [missing, present] = predict(
      fitTrees(features, labels),
      matrixOf([
        [null, 1],
        [3, 1],
      ]),
    );
    expect(missing).toBeGreaterThan(0.95);
    expect(present).toBeLessThan(0.05);
    const onlyOne = matrixOf(Array.from({ length: 200 }, (_, row) => [row % 2 === 0 ? null : 4]));
    const trees = fitTrees(onlyOne, labels);
    expect(trees.threshold[0]).toBe(Number.POSITIVE_INFINITY);
    const [again, infinite] = predict(trees, matrixOf([[null], [Number.POSITIVE_INFINITY]]));
    expect([(again ?? 0) > 0.95, (infinite ?? 1) < 0.05]).toEqual([true, true]);
  });

  it('gives the same bytes for the same data and seed, and others for another seed', () => {
    const { features, labels } = simulate(500, 8, 0.1);
    const bytes = (seed: number): Uint8Array =>
      encodeTrees(fitTrees(features, labels, { rounds: 10, rowSample: 0.7, columnSample: 0.8, seed }));
    expect(bytes(1)).toEqual(bytes(1));
    expect(bytes(1)).not.toEqual(bytes(2));
  });

  it('does not depend on the order of the rows, but for rounding', () => {
    const { features, labels } = simulate(500, 9, 0.1);
    const order = new SeededRandom(1).shuffle(Array.from(labels.keys()));
    const moved = order.map((row) => [...features.values.subarray(row * 4, row * 4 + 4)]);
    const trees = fitTrees(features, labels, { rounds: 10 });
    const others = fitTrees(
      matrixOf(moved),
      order.map((row) => labels[row] ?? 0),
      { rounds: 10 },
    );
    const expected = predict(trees, features);
    predict(others, features).forEach((probability, row) =>
      expect(probability).toBeCloseTo(expected[row] ?? 0, 5),
    );
  });

  it('takes a row of weight 2 as the row twice', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const { features, labels } = simulate(120, seed);
        const twice = Array.from(labels.keys()).flatMap((row) => (row % 2 === 0 ? [row, row] : [row]));
        const copy = matrixOf(twice.map((row) => [...features.values.subarray(row * 4, row * 4 + 4)]));
        const copied = twice.map((row) => labels[row] ?? 0);
        const weights = labels.map((_, row) => (row % 2 === 0 ? 2 : 1));
        // One split: among splits that gain the same, sums in another order decide, and what follows would differ.
        const options = { rounds: 1, maxDepth: 1, minHessian: 1.0137 };
        const weighted = fitTrees(features, labels, { ...options, weights });
        const plain = fitTrees(copy, copied, options);
        expect(logLoss(copied, predict(weighted, copy))).toBeCloseTo(
          logLoss(copied, predict(plain, copy)),
          9,
        );
      }),
      { numRuns: 10 },
    );
  });

  it('stops when the validation loss no longer falls and keeps the best rounds', () => {
    const { features, labels } = simulate(300, 10);
    const validation = simulate(300, 11);
    const losses: number[] = [];
    const early = fitTrees(features, labels, {
      rounds: 300,
      learningRate: 0.5,
      validation,
      patience: 7,
      onRound: ({ validationLoss = Number.NaN }) => losses.push(validationLoss),
    });
    const best = losses.indexOf(Math.min(...losses)) + 1;
    expect(losses).toHaveLength(best + 7);
    expect(early.offsets).toHaveLength(best + 1);
    expect(early).toEqual(fitTrees(features, labels, { rounds: best, learningRate: 0.5 }));
    expect(logLoss(validation.labels, predict(early, validation.features))).toBeCloseTo(
      Math.min(...losses),
      9,
    );
  });

  it('stops when asked to', () => {
    const { features, labels } = simulate(100, 12);
    let asked = 0;
    const shouldStop = (): boolean => (asked += 1) > 3;
    expect(() => fitTrees(features, labels, { shouldStop })).toThrow(new TrainingStopped(3));
    expect(() => fitTrees(features, labels, { shouldStop: () => true })).toThrow(/stopped after 0 rounds/);
  });

  it('falls back to the share of positives where nothing can be split', () => {
    const constant = matrixOf([[1], [1], [1], [1]]);
    const trees = fitTrees(constant, [1, 0, 0, 0], { rounds: 2 });
    expect(trees.left).toEqual(Int32Array.of(-1, -1));
    expect(predict(trees, constant)[0]).toBeCloseTo(0.25, 6);
  });

  it('refuses unsound input', () => {
    const { features, labels } = simulate(50, 13);
    expect(() =>
      fitTrees(
        features,
        labels.map(() => 1),
      ),
    ).toThrow(/both classes/);
    expect(() => fitTrees(features, labels, { rounds: 0 })).toThrow(/rounds must be from 1 to 10000, not 0/);
    expect(() => fitTrees(features, labels, { maxDepth: 2.5 })).toThrow(/whole number/);
    expect(() => fitTrees(features, labels, { learningRate: Number.NaN })).toThrow(/learningRate/);
    expect(() => fitTrees(features, labels, { rowSample: 0 })).toThrow(/rowSample/);
    const narrow = { features: matrixOf([[1]]), labels: [1] };
    expect(() => fitTrees(features, labels, { validation: narrow })).toThrow(/1 columns, the training one 4/);
  });
});
