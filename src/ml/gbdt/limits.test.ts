import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Matrix } from '../matrix.ts';
import { matrix, matrixOf } from '../matrix.ts';
import { SeededRandom } from '../random.ts';
import { EnsembleBuilder, NODES_MAX } from './ensemble.ts';
import type { TreesOptions } from './options.ts';
import { predictTrees } from './predict.ts';
import { leafWeight } from './split.ts';
import { fitTrees } from './train.ts';

/** Three columns; the label rises in the first with a dip, and falls in the second. */
function simulate(rows: number, seed: number): { features: Matrix; labels: Float64Array } {
  const random = new SeededRandom(seed);
  const values = new Float32Array(rows * 3);
  const labels = new Float64Array(rows);
  for (let row = 0; row < rows; row += 1) {
    const [a, b] = [2 * random.uniform(), 2 * random.uniform()];
    labels[row] = a + Math.sin(6 * a) - b ** 2 + random.normal() / 2;
    values.set([random.uniform() < 0.05 ? Number.NaN : a, b, random.normal()], row * 3);
  }
  return { features: matrix(rows, 3, values), labels };
}

describe('monotone columns', () => {
  const growths: readonly TreesOptions[] = [
    {},
    { growth: 'leaf', maxLeaves: 20, lambda: 0 },
    { alpha: 2, minRows: 5, rowSample: 0.7, columnSampleByNode: 0.7 },
  ];

  it.each(growths)('rise and fall as they must: %o', (growth) => {
    const { features, labels } = simulate(1500, 1);
    const fitted = (monotone?: readonly number[]): ((row: readonly number[]) => number) => {
      const options = { objective: 'squaredError', rounds: 40, ...growth } as const;
      const model = fitTrees(features, labels, monotone === undefined ? options : { ...options, monotone });
      return (row) => predictTrees(model, matrixOf([row]))[0] ?? Number.NaN;
    };
    const bound = fitted([1, -1, 0]);
    const free = fitted();
    const coordinate = fc.double({ min: -0.1, max: 2.1, noNaN: true });
    fc.assert(
      fc.property(coordinate, coordinate, coordinate, coordinate, (a, other, b, c) => {
        const [low, high] = [Math.min(a, other), Math.max(a, other)];
        expect(bound([high, b, c])).toBeGreaterThanOrEqual(bound([low, b, c]));
        expect(bound([b, high, c])).toBeLessThanOrEqual(bound([b, low, c]));
      }),
      { numRuns: 300 },
    );
    // Without the limit the dip is learnt.
    expect(free([0.8, 0, 0])).toBeLessThan(free([0.3, 0, 0]) - 0.2);
    // With it there is still a slope.
    expect(bound([1.9, 0, 0]) - bound([0.05, 0, 0])).toBeGreaterThan(0.3);
  });

  it('hold for probabilities and rates', () => {
    const { features, labels } = simulate(800, 2);
    for (const objective of ['binary', 'poisson'] as const) {
      const model = fitTrees(
        features,
        labels.map((label) => (label > 0 ? 1 : 0)),
        { objective, monotone: [1, 0, 0], rounds: 20 },
      );
      const line = matrixOf(Array.from({ length: 50 }, (_, step) => [step / 25, 1, 0]));
      const answers = [...predictTrees(model, line)];
      expect(answers).toEqual(answers.toSorted((a, b) => a - b));
      expect(new Set(answers).size).toBeGreaterThan(3);
    }
  });
});

describe('penalties and limits', () => {
  it('an L1 penalty draws leaves to 0, and a large one leaves none', () => {
    const sums = { gradient: -5, hessian: 3 };
    const free = { lower: Number.NEGATIVE_INFINITY, upper: Number.POSITIVE_INFINITY };
    expect(leafWeight(sums, { lambda: 1, alpha: 1 }, free)).toBe(1);
    expect(leafWeight({ ...sums, gradient: 5 }, { lambda: 1, alpha: 1 }, free)).toBe(-1);
    expect(leafWeight(sums, { lambda: 1, alpha: 6 }, free)).toBe(0);
    expect(leafWeight(sums, { lambda: 1, alpha: 1 }, { lower: 1.5, upper: 2 })).toBe(1.5);
    expect(leafWeight({ gradient: 0, hessian: 0 }, { lambda: 0, alpha: 0 }, free)).toBe(0);
    const { features, labels } = simulate(400, 3);
    const options = { objective: 'squaredError', rounds: 2 } as const;
    const none = fitTrees(features, labels, { ...options, alpha: 1e9 });
    expect([...none.leaf]).toEqual([0, 0]);
    const size = (alpha: number): number =>
      fitTrees(features, labels, { ...options, alpha }).leaf.reduce((sum, leaf) => sum + Math.abs(leaf), 0);
    expect(size(20)).toBeLessThan(size(0));
  });

  it('no leaf has fewer rows than asked', () => {
    const { features, labels } = simulate(900, 4);
    for (const minRows of [1, 40]) {
      const options = { objective: 'squaredError', minRows, minHessian: 1e-6, rounds: 10 } as const;
      const model = fitTrees(features, labels, options);
      const leaves = model.cover.filter((_, node) => model.left[node] === -1);
      expect(Math.min(...leaves)).toBeGreaterThanOrEqual(minRows);
      expect(Math.min(...leaves)).toBeLessThan(minRows + 20);
    }
  });

  it('a column has no more bins than asked', () => {
    const { features, labels } = simulate(3000, 5);
    for (const binsMax of [2, 3, 16, 255]) {
      const model = fitTrees(features, labels, { objective: 'squaredError', binsMax, rounds: 30 });
      const cuts = new Set(
        model.threshold.filter(
          (cut, node) => model.left[node] !== -1 && model.feature[node] === 1 && cut < Infinity,
        ),
      );
      expect(cuts.size).toBeLessThan(binsMax);
      expect(cuts.size).toBeGreaterThan(Math.min(binsMax / 3, 30));
    }
  });

  it('nodes see their own columns', () => {
    const { features, labels } = simulate(600, 6);
    const options = { objective: 'squaredError', rounds: 3, seed: 2 } as const;
    const all = fitTrees(features, labels, options);
    const some = fitTrees(features, labels, { ...options, columnSampleByNode: 0.4 });
    // One column at each node: the noise gets splits that it would not get in a choice.
    expect(some.splits[2]).toBeGreaterThan(all.splits[2] ?? 0);
    const tree = some.feature.filter((_, node) => some.left[node] !== -1 && node < (some.offsets[1] ?? 0));
    expect(new Set(tree).size).toBe(3);
  });
});

describe('unusual data', () => {
  const alike: readonly (readonly [string, readonly (readonly (number | null)[])[]])[] = [
    [
      'constant columns',
      [
        [1, 5],
        [1, 5],
        [1, 5],
        [1, 5],
      ],
    ],
    ['columns without any value', [[null], [null], [null], [null]]],
    ['no columns', [[], [], [], []]],
  ];

  it.each(alike)('%s: every answer is the mean', (_, rows) => {
    const model = fitTrees(matrixOf(rows), [1, 2, 3, 6], { objective: 'squaredError', rounds: 2 });
    expect(model.left).toEqual(Int32Array.of(-1, -1));
    expect([...predictTrees(model, matrixOf(rows))]).toEqual([3, 3, 3, 3]);
  });

  it('one row: its label', () => {
    const one = matrixOf([[4, null]]);
    for (const objective of ['squaredError', 'quantile', 'poisson'] as const) {
      const model = fitTrees(one, [3], { objective, rounds: 3 });
      expect(predictTrees(model, one)[0]).toBeCloseTo(3, 6);
    }
    expect(() => fitTrees(one, [1])).toThrow(/both classes/);
  });

  it('no rows, or none with weight', () => {
    const none = matrix(0, 2, new Float32Array());
    expect(() => fitTrees(none, [])).toThrow(RangeError);
    expect(() => fitTrees(none, [], { objective: 'squaredError' })).toThrow(/no rows with weight/);
    const rows = matrixOf([[1], [2]]);
    expect(() => fitTrees(rows, [1, 2], { objective: 'quantile', weights: [0, 0] })).toThrow(/no rows with/);
    expect(() => fitTrees(rows, [0, 1], { weights: [1, 0] })).toThrow(/both classes/);
  });

  it('missing and infinite values: each goes its way', () => {
    const values = [null, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, 0];
    const features = matrixOf(Array.from({ length: 80 }, (_, row) => [values[row % 4] ?? null]));
    const labels = Array.from({ length: 80 }, (_, row) => (row % 4) * 10);
    const options = { objective: 'squaredError', learningRate: 1, lambda: 0 } as const;
    const model = fitTrees(features, labels, options);
    const answers = predictTrees(model, matrixOf(values.map((value) => [value])));
    [0, 10, 20, 30].forEach((label, row) => expect(answers[row]).toBeCloseTo(label, 4));
  });

  it('weights of any size: every node has rows', () => {
    const { features, labels } = simulate(400, 8);
    for (const objective of ['squaredError', 'quantile'] as const) {
      const model = fitTrees(features, labels, {
        objective,
        weights: labels.map((_, row) => (row % 7 === 0 ? 1e12 : 1e-4)),
        minHessian: 1e-6,
        lambda: 0,
        rounds: 20,
      });
      expect(Math.min(...model.cover)).toBeGreaterThan(0);
      expect(predictTrees(model, features).every(Number.isFinite)).toBe(true);
    }
  });

  it('labels in another unit: the same answers in that unit', () => {
    const { features, labels } = simulate(500, 9);
    for (const objective of ['squaredError', 'quantile'] as const) {
      const answers = predictTrees(fitTrees(features, labels, { objective, rounds: 20 }), features);
      for (const unit of [2 ** -40, 2 ** 60]) {
        const scaled = labels.map((label) => label * unit);
        const others = predictTrees(fitTrees(features, scaled, { objective, rounds: 20 }), features);
        expect(others).toEqual(answers.map((answer) => answer * unit));
      }
    }
  });

  it('answers that are finite for any finite labels', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -1e30, max: 1e30, noNaN: true }), { minLength: 1, maxLength: 30 }),
        fc.constantFrom('squaredError', 'quantile'),
        (labels, objective) => {
          const features = matrixOf(labels.map((_, row) => [row % 5, row % 3 === 0 ? null : row]));
          const model = fitTrees(features, labels, { objective, rounds: 5, lambda: 0, minHessian: 1e-6 });
          expect(predictTrees(model, features).every(Number.isFinite)).toBe(true);
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe('options', () => {
  const { features, labels } = simulate(20, 7);
  const refused: readonly (readonly [TreesOptions, RegExp])[] = [
    [{ objective: 'ranking' as 'binary' }, /objective must be 'binary' or .* not 'ranking'|not ranking/],
    [{ quantile: 0.5 }, /quantile is not for binary/],
    [{ objective: 'poisson', classWeights: 'balanced' }, /classWeights is not for poisson/],
    [{ objective: 'squaredError', groups: [20] }, /groups is not for squaredError/],
    [{ objective: 'quantile', quantile: 1 }, /quantile must be from/],
    [{ objective: 'quantile', monotone: [1, 0, 0] }, /monotone is not for quantile/],
    [{ objective: 'squaredError', monotone: [1] }, /3 columns but 1 entries/],
    [{ objective: 'squaredError', monotone: [1, 2, 0] }, /column 1 must be -1, 0 or 1, not 2/],
    [{ objective: 'squaredError', monotone: [1, 0, 0], categorical: [0] }, /Column 0 is categorical/],
    [{ categorical: [3] }, /categorical column must be from 0 to 2, not 3/],
    [{ categorical: [1, 1] }, /Column 1 is categorical twice/],
    [{ binsMax: 256 }, /binsMax must be from 2 to 255/],
    [{ minRows: 0 }, /minRows/],
    [{ alpha: -1 }, /alpha/],
    [{ columnSampleByNode: 1.1 }, /columnSampleByNode/],
  ];

  it.each(refused)('refuses %o', (options, message) => {
    expect(() => fitTrees(features, labels, options)).toThrow(message);
    expect(() => fitTrees(features, labels, options)).toThrow(RangeError);
  });
});

describe('nodes', () => {
  it('are bounded: a training that asks for too many is refused before it runs out of memory', () => {
    const builder = new EnsembleBuilder();
    for (let tree = 0; tree < NODES_MAX; tree += 1) builder.startTree();
    expect(() => builder.startTree()).toThrow(/more than 2000000 nodes after 2000000 of them: ask for fewer/);
  });
});
