import { describe, expect, it } from 'vitest';
import type { Matrix } from '../matrix.ts';
import { matrix, matrixOf } from '../matrix.ts';
import { aucRoc } from '../metrics/ranking.ts';
import { SeededRandom } from '../random.ts';
import { codeCategories, rankCategories } from './categories.ts';
import { predictTrees } from './predict.ts';
import { fitTrees } from './train.ts';

/** One column of `levels` categories with effects of their own, in no order, and one number. */
function simulate(rows: number, levels: number, seed: number): { features: Matrix; labels: Uint8Array } {
  const effects = new SeededRandom(77);
  const effect = Float64Array.from({ length: levels }, () => 2 * effects.normal());
  const random = new SeededRandom(seed);
  const values = new Float32Array(rows * 2);
  const labels = new Uint8Array(rows);
  for (let row = 0; row < rows; row += 1) {
    const level = random.integer(levels);
    const number = random.normal();
    values.set([level * 3 + 1, number], row * 2);
    labels[row] = random.uniform() < 1 / (1 + Math.exp(-(effect[level] ?? 0) - number / 2)) ? 1 : 0;
  }
  return { features: matrix(rows, 2, values), labels };
}

function aucOf(levels: number, options: Parameters<typeof fitTrees>[2]): number {
  const { features, labels } = simulate(8000, levels, 1);
  const test = simulate(4000, levels, 2);
  return aucRoc(test.labels, predictTrees(fitTrees(features, labels, options), test.features));
}

describe('codeCategories', () => {
  const rowsOf = (count: number): Int32Array => Int32Array.from({ length: count }, (_, row) => row);

  it('ranks categories by their smoothed mean', () => {
    // Code 7: mean 1 of one row; code 9: 0.75 of 20 rows; code 2: 0 of 20 rows. Smoothing puts 7 below 9.
    const column = [7, ...Array.from({ length: 20 }, () => 9), ...Array.from({ length: 20 }, () => 2)];
    const labels = column.map((code, row) => (code === 7 || (code === 9 && row % 4 !== 0) ? 1 : 0));
    const { codings, levelColumns } = codeCategories(matrixOf(column.map((code) => [code])), [0], {
      labels,
      weights: new Float64Array(41).fill(1),
      classes: 1,
      rows: rowsOf(41),
      oneHotMax: 2,
      seed: 0,
    });
    expect(codings).toEqual([
      { feature: 0, codes: Float32Array.of(2, 7, 9), ranks: Float32Array.of(0, 1, 2) },
    ]);
    expect(levelColumns).toEqual([{ feature: 0, levels: 3, equality: false }]);
  });

  it('ranks categories of three classes along their first principal component', () => {
    // Categories 0 .. 9 go from class 0 to class 2; class 1 is rare everywhere.
    const random = new SeededRandom(1);
    const order = random.shuffle(Array.from({ length: 10 }, (_, level) => level));
    const rows: number[][] = [];
    const labels: number[] = [];
    for (let row = 0; row < 3000; row += 1) {
      const level = row % 10;
      rows.push([order[level] ?? 0]);
      labels.push(random.uniform() < 0.05 ? 1 : random.uniform() < level / 9 ? 2 : 0);
    }
    const { codings } = codeCategories(matrixOf(rows), [0], {
      labels,
      weights: new Float64Array(3000).fill(1),
      classes: 3,
      rows: rowsOf(3000),
      oneHotMax: 4,
      seed: 0,
    });
    const ranks = order.map((code) => codings[0]?.ranks[code] ?? -1);
    const ascending = Array.from({ length: 10 }, (_, rank) => rank);
    expect((ranks[0] ?? 0) < 5 ? ranks : ranks.toReversed()).toEqual(ascending);
  });

  it('gives NaN to what it has not seen', () => {
    const codings = [{ feature: 1, codes: Float32Array.of(0, 5, 8), ranks: Float32Array.of(2, 0, 1) }];
    const features = matrixOf([
      [5, -0],
      [5, 8],
      [5, 7],
      [5, 9],
      [5, null],
    ]);
    expect([...rankCategories(codings, features).values]).toEqual([5, 2, 5, 1, 5, NaN, 5, NaN, 5, NaN]);
    expect(features.values[1]).toBe(-0);
    expect(rankCategories([], features)).toBe(features);
  });

  it('refuses what is no code', () => {
    const labels = [0, 1, 1];
    for (const wrong of [-1, 1.5, 2 ** 25, Number.POSITIVE_INFINITY]) {
      const given = matrixOf([[1], [2], [wrong]]);
      expect(() => fitTrees(given, labels, { categorical: [0] })).toThrow(/Row 2 of categorical column 0/);
    }
  });
});

describe('fitTrees with categories', () => {
  it('splits few of them one against the rest', () => {
    // Category 2 alone is different: in the order of the codes that takes two splits.
    const codes = Array.from({ length: 400 }, (_, row) => row % 4);
    const labels = codes.map((code, row) => (code === 2 ? (row % 40 > 3 ? 1 : 0) : row % 40 > 35 ? 1 : 0));
    const features = matrixOf(codes.map((code) => [code]));
    const model = fitTrees(features, labels, { categorical: [0], rounds: 1, maxDepth: 1 });
    expect([model.equality[0], model.threshold[0], model.left[0]]).toEqual([1, 2, 1]);
    expect(model.splits).toEqual(Float64Array.of(1));
    const numeric = fitTrees(features, labels, { rounds: 1, maxDepth: 1 });
    expect(model.importance[0]).toBeGreaterThan((numeric.importance[0] ?? 0) * 1.5);
  });

  it('learns from 40 categories, and better than from their codes as numbers', () => {
    const options = { rounds: 20, maxDepth: 3 };
    const ranked = aucOf(40, { ...options, categorical: [0] });
    expect(ranked).toBeGreaterThan(aucOf(40, options) + 0.05);
    expect(
      Math.abs(ranked - aucOf(40, { ...options, categorical: [0], oneHotMax: 255, rounds: 60 })),
    ).toBeLessThan(0.02);
  });

  it('gives a model for 10,000 categories', () => {
    const { features, labels } = simulate(20_000, 10_000, 3);
    const model = fitTrees(features, labels, { categorical: [0], rounds: 5 });
    expect(model.categories[0]?.codes.length).toBeGreaterThan(8000);
    expect(model.splits[0]).toBeGreaterThan(0);
  });

  it('is not misled by categories of two rows that mean nothing', () => {
    const random = new SeededRandom(8);
    const make = (rows: number): { features: Matrix; labels: number[] } => {
      const labels: number[] = [];
      const values = Float32Array.from({ length: rows * 2 }, (_, at) => {
        if (at % 2 === 0) return random.integer(2000);
        const number = random.normal();
        labels.push(random.uniform() < 1 / (1 + Math.exp(-2 * number)) ? 1 : 0);
        return number;
      });
      return { features: matrix(rows, 2, values), labels };
    };
    const training = make(4000);
    const test = make(4000);
    const auc = (categorical: readonly number[]): number => {
      const model = fitTrees(training.features, training.labels, { categorical, rounds: 40, maxDepth: 4 });
      return aucRoc(test.labels, predictTrees(model, test.features));
    };
    expect(auc([0])).toBeGreaterThan(auc([]) - 0.02);
  });

  it('sends unseen and missing categories where missing ones went in training', () => {
    const random = new SeededRandom(5);
    for (const levels of [3, 30]) {
      const rows: (number | null)[][] = [];
      const labels: number[] = [];
      for (let row = 0; row < 2000; row += 1) {
        const missing = random.uniform() < 0.3;
        const code = random.integer(levels);
        rows.push([missing ? null : code]);
        labels.push(random.uniform() < (missing ? 0.9 : 0.1 + (0.4 * code) / levels) ? 1 : 0);
      }
      const model = fitTrees(matrixOf(rows), labels, { categorical: [0] });
      const [missing, unseen, between, infinite] = predictTrees(
        model,
        matrixOf([[null], [levels + 5], [0.5], [Number.POSITIVE_INFINITY]]),
      );
      expect(missing).toBeGreaterThan(0.8);
      expect([unseen, between, infinite]).toEqual([missing, missing, missing]);
    }
  });

  it('judges by the categories that training has seen', () => {
    const { features, labels } = simulate(500, 6, 1);
    const validation = simulate(500, 12, 2);
    let last = Number.NaN;
    fitTrees(features, labels, {
      categorical: [0],
      validation,
      rounds: 3,
      onRound: ({ validationLoss = Number.NaN }) => {
        last = validationLoss;
      },
    });
    expect(last).toBeGreaterThan(0);
  });
});
