import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { explainTrees } from '../explain/tree-shap.ts';
import type { Matrix } from '../matrix.ts';
import { matrix, matrixOf } from '../matrix.ts';
import { aucRoc } from '../metrics/ranking.ts';
import { encodeTrees } from '../onnx/encode-trees.ts';
import { loadModel } from '../onnx/load-model.ts';
import { SeededRandom } from '../random.ts';
import { fitIsolationForest, isolationEnsemble, scoreAnomalies } from './isolation-forest.ts';
import type { IsolationOptions } from './isolation-options.ts';
import { isolationPathLength } from './path-length.ts';

/** Not part of the repository. */
const HYPOTHYROID = resolve(process.env['TANDEM_SHARED'] ?? '../shared', 'data/diagnostics/hypothyroid.arff');

/** Two normal clouds and, at the end, rows spread evenly over a wide square. */
function planted(options: { normal: number; outliers: number; seed: number; missing?: number }): {
  features: Matrix;
  labels: number[];
} {
  const random = new SeededRandom(options.seed);
  const hidden = (value: number): number | null => (random.uniform() < (options.missing ?? 0) ? null : value);
  const rows = Array.from({ length: options.normal + options.outliers }, (_, row) => {
    if (row >= options.normal)
      return [hidden(random.uniform() * 24 - 12), hidden(random.uniform() * 24 - 12)];
    const centre = row % 2 === 0 ? 3 : -3;
    return [hidden(centre + random.normal()), hidden(centre + random.normal())];
  });
  return { features: matrixOf(rows), labels: rows.map((_, row) => (row < options.normal ? 0 : 1)) };
}

function aucOf(data: { features: Matrix; labels: number[] }, options?: IsolationOptions): number {
  const scores = scoreAnomalies(fitIsolationForest(data.features, options), data.features);
  return aucRoc(data.labels, scores);
}

describe('isolationPathLength', () => {
  it('is the formula with exact harmonic numbers', () => {
    // c(n) = 2 H(n - 1) - 2 (n - 1) / n; H(3) = 11/6.
    const lengths = [1, 2, 3, 4].map(isolationPathLength);
    [0, 1, 5 / 3, 11 / 3 - 3 / 2].forEach((length, at) => expect(lengths[at]).toBeCloseTo(length, 14));
    // By Euler and Maclaurin; the logarithm and Euler's constant alone would give 10.2448.
    const harmonic = Math.log(255) + 0.577_215_664_901_533 + 1 / 510 - 1 / (12 * 255 ** 2);
    expect(isolationPathLength(256)).toBeCloseTo(2 * harmonic - 510 / 256, 9);
    expect(() => isolationPathLength(0)).toThrow(RangeError);
  });
});

describe('fitIsolationForest', () => {
  it('has leaves of depth plus the mean remaining path, within its limits', () => {
    const { features } = planted({ normal: 300, outliers: 5, seed: 1, missing: 0.1 });
    const { trees, normalisation } = fitIsolationForest(features, { trees: 20, subsampleSize: 50 });
    expect(normalisation).toBe(isolationPathLength(50));
    const depth = new Int32Array(trees.left.length);
    for (let node = 0; node < trees.left.length; node += 1) {
      const [left = -1, right = -1, cover = 0] = [trees.left[node], trees.right[node], trees.cover[node]];
      if (left < 0) {
        expect(trees.leaf[node]).toBe(Math.fround(((depth[node] ?? 0) + isolationPathLength(cover)) / 20));
        continue;
      }
      expect((trees.cover[left] ?? 0) + (trees.cover[right] ?? 0)).toBe(cover);
      expect(Math.min(trees.cover[left] ?? 0, trees.cover[right] ?? 0)).toBeGreaterThan(0);
      depth.fill((depth[node] ?? 0) + 1, left, left + 2);
      depth[right] = depth[left] ?? 0;
    }
    // The binary logarithm of 50, rounded up.
    expect(Math.max(...depth)).toBe(6);
    expect([...trees.offsets.subarray(0, -1)].every((root) => trees.cover[root] === 50)).toBe(true);
    const shallow = fitIsolationForest(features, { trees: 5, depthMax: 1 });
    expect(shallow.trees.left).toHaveLength(15);
  });

  it('gives one half to a row that takes as many steps as the average one', () => {
    // Two rows are always parted by one split, and c(2) = 1.
    const pair = matrixOf([[0], [1]]);
    expect([...scoreAnomalies(fitIsolationForest(pair, { trees: 8 }), pair)]).toEqual([0.5, 0.5]);
    const alike = matrixOf([[7], [7], [7], [7]]);
    expect(
      [...scoreAnomalies(fitIsolationForest(alike), alike)].every((score) => Math.abs(score - 0.5) < 1e-6),
    ).toBe(true);
  });

  it('finds planted outliers, also where values are missing', () => {
    expect(aucOf(planted({ normal: 2000, outliers: 40, seed: 2 }))).toBeGreaterThan(0.9);
    expect(aucOf(planted({ normal: 2000, outliers: 40, seed: 2, missing: 0.1 }))).toBeGreaterThan(0.8);
  });

  it('does not hold a missing value against a row', () => {
    const { features } = planted({ normal: 1000, outliers: 0, seed: 3 });
    const [typical = 1, missing = 1, far = 0] = scoreAnomalies(
      fitIsolationForest(features),
      matrixOf([
        [3, 3],
        [null, null],
        [9, -9],
      ]),
    );
    expect(missing).toBeLessThanOrEqual(typical + 0.05);
    expect(far).toBeGreaterThan(typical + 0.2);
  });

  it('flags the share of the training rows that was asked for', () => {
    const { features } = planted({ normal: 950, outliers: 50, seed: 4 });
    for (const contamination of [0.0001, 0.05, 0.25]) {
      const forest = fitIsolationForest(features, { contamination });
      const flagged = scoreAnomalies(forest, features).filter((score) => score >= forest.threshold).length;
      expect(flagged).toBe(Math.ceil(contamination * 1000));
    }
    expect(fitIsolationForest(features).threshold).toBe(0.5);
  });

  it('depends on data, options and seed alone, and a score not on the rows beside it', () => {
    const { features } = planted({ normal: 400, outliers: 4, seed: 5, missing: 0.1 });
    const forest = fitIsolationForest(features, { seed: 1 });
    expect(fitIsolationForest(features, { seed: 1 })).toEqual(forest);
    expect(fitIsolationForest(features, { seed: 2 })).not.toEqual(forest);
    const scores = scoreAnomalies(forest, features);
    const one = matrix(1, 2, features.values.slice(300 * 2, 300 * 2 + 2));
    expect(scoreAnomalies(forest, one)[0]).toBe(scores[300]);
  });

  it('gives scores in (0, 1) whatever the rows', () => {
    const cell = fc.oneof(fc.float({ noDefaultInfinity: true }), fc.constantFrom(0, 1, Number.NaN));
    const cells = fc.array(cell, { minLength: 6, maxLength: 60 });
    fc.assert(
      fc.property(cells, fc.nat(), (values, seed) => {
        const rows = Math.floor(values.length / 3);
        const features = matrix(rows, 3, Float32Array.from(values.slice(0, rows * 3)));
        const scores = scoreAnomalies(fitIsolationForest(features, { trees: 5, seed }), features);
        expect(scores.every((score) => score > 0 && score < 1)).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  it('refuses unsound input', () => {
    const { features } = planted({ normal: 10, outliers: 0, seed: 6 });
    expect(() => fitIsolationForest(matrixOf([[1]]))).toThrow('2 rows and 1 column at least, not 1 x 1');
    expect(() => fitIsolationForest(matrixOf([[1], [Number.POSITIVE_INFINITY]]))).toThrow(
      /Row 1 has Infinity/,
    );
    expect(() => fitIsolationForest(features, { trees: 0 })).toThrow(/trees must be .* not 0/);
    expect(() => fitIsolationForest(features, { contamination: 0.6 })).toThrow(/contamination/);
    expect(() => fitIsolationForest(features, { subsampleSize: 1 })).toThrow(/subsampleSize/);
    expect(() => scoreAnomalies(fitIsolationForest(features), matrixOf([[1]]))).toThrow(
      /2 inputs but .* 1 col/,
    );
  });
});

describe('isolationEnsemble', () => {
  it('is walked by the ONNX walker to the same scores, and explained by Shapley values', () => {
    const { features } = planted({ normal: 500, outliers: 20, seed: 7, missing: 0.1 });
    const forest = fitIsolationForest(features);
    const { trees, normalisation } = isolationEnsemble(forest);
    const scores = scoreAnomalies(forest, features);
    const sigmoids = new Float64Array(features.rows);
    // The writer of probabilities ends in a sigmoid: undone, it is the margin.
    const written = { ...trees, baseScore: 0, link: 'logistic' as const };
    loadModel(encodeTrees(written)).predict(features.values, features.rows, sigmoids);
    const explanation = explainTrees(trees, features);
    sigmoids.forEach((sigmoid, row) => {
      const margin = Math.log(sigmoid / (1 - sigmoid));
      expect(2 ** (-margin / normalisation)).toBeCloseTo(scores[row] ?? 0, 8);
      const explained = explanation.values
        .subarray(row * 2, row * 2 + 2)
        .reduce((sum, value) => sum + value, explanation.expected[0] ?? 0);
      expect(2 ** (-explained / normalisation)).toBeCloseTo(scores[row] ?? 0, 9);
    });
  });
});

describe('isolation forest on medical data', () => {
  it('ranks malignant tumours of WDBC as anomalies', () => {
    const text = readFileSync(new URL('./fixtures/wdbc.csv', import.meta.url), 'utf8');
    const rows = text
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => line.split(',').map(Number));
    const data = (kept: number[][]): { features: Matrix; labels: number[] } => ({
      features: matrixOf(kept.map((row) => row.slice(0, 30))),
      labels: kept.map((row) => (row[30] === 0 ? 1 : 0)),
    });
    const malignant = rows.filter((row) => row[30] === 0);
    const benign = rows.filter((row) => row[30] === 1);
    // The usual protocol: few malignant ones among the benign. With all 212 they are hardly outliers any more.
    expect(aucOf(data([...benign, ...malignant.slice(0, 21)]))).toBeGreaterThan(0.93);
    expect(aucOf(data(rows), { trees: 200 })).toBeGreaterThan(0.72);
  });

  const isThere = existsSync(HYPOTHYROID);
  if (!isThere) {
    process.stderr.write(
      `\nSKIPPED: anomalies of hypothyroid: there is no ${HYPOTHYROID} (TANDEM_SHARED)\n\n`,
    );
  }
  it.skipIf(!isThere)('finds primary hypothyroidism by hormones of which many are missing', () => {
    const rows = readFileSync(HYPOTHYROID, 'utf8')
      .split('\n')
      .filter((line) => /^[\d?]/.test(line))
      .map((line) => line.trim().split(','));
    expect(rows).toHaveLength(3772);
    const hormones = [17, 19, 21, 23, 25];
    const features = matrixOf(
      rows.map((row) => hormones.map((at) => (row[at] === '?' ? null : Number(row[at])))),
    );
    const labels = rows.map((row) => (row[29]?.startsWith('primary') === true ? 1 : 0));
    expect(labels.filter((label) => label === 1)).toHaveLength(95);
    expect(aucOf({ features, labels })).toBeGreaterThan(0.94);
  });
});
