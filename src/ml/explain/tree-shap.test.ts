import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitTrees } from '../gbdt/train.ts';
import type { Matrix } from '../matrix.ts';
import { matrix, matrixOf } from '../matrix.ts';
import { SeededRandom } from '../random.ts';
import type { ExplainableTrees } from './explainable-trees.ts';
import { gaussLegendre } from './quadrature.ts';
import { explainTrees, treeExplainer } from './tree-shap.ts';

interface Shape {
  readonly trees: number;
  readonly depth: number;
  readonly features: number;
  readonly rows: number;
  readonly outputs?: number;
  /** Probability that a node above the depth limit is a leaf. */
  readonly stop?: number;
}

/** Rows of small whole numbers and missing values, so that thresholds are hit exactly. */
function someRows(rows: number, features: number, random: SeededRandom): Matrix {
  const values = new Float32Array(rows * features).map(() =>
    random.uniform() < 0.15 ? Number.NaN : random.integer(12) - 4,
  );
  return matrix(rows, features, values);
}

/** Trees of random splits, without regard to any data; the rows give the cover. */
function someTrees(shape: Shape, random: SeededRandom): ExplainableTrees {
  const { outputs = 1, stop = 0.2 } = shape;
  const lists: number[][] = Array.from({ length: 8 }, () => []);
  const [offsets, feature, threshold, left, right, leaf, missingLeft, equality] = lists;
  const grow = (depth: number): number => {
    const node = left?.push(-1) ?? 0;
    for (const list of [feature, threshold, right, leaf, missingLeft, equality]) list?.push(0);
    const at = node - 1;
    if (depth === 0 || random.uniform() < stop) {
      (leaf as number[])[at] = Math.fround(random.normal());
      return at;
    }
    (feature as number[])[at] = random.integer(shape.features);
    (threshold as number[])[at] = random.integer(12) - 4;
    (missingLeft as number[])[at] = random.integer(2);
    (equality as number[])[at] = random.integer(4) === 0 ? 1 : 0;
    (left as number[])[at] = grow(depth - 1);
    (right as number[])[at] = grow(depth - 1);
    return at;
  };
  for (let tree = 0; tree < shape.trees; tree += 1) offsets?.push(grow(shape.depth));
  const trees = {
    baseScores: Array.from({ length: outputs }, (_, output) => (output + 1) / 4),
    featureCount: shape.features,
    outputs,
    offsets: Int32Array.from([...(offsets ?? []), left?.length ?? 0]),
    feature: Int32Array.from(feature ?? []),
    threshold: Float32Array.from(threshold ?? []),
    left: Int32Array.from(left ?? []),
    right: Int32Array.from(right ?? []),
    leaf: Float64Array.from(leaf ?? []),
    missingLeft: Uint8Array.from(missingLeft ?? []),
    equality: Uint8Array.from(equality ?? []),
  };
  return withCover(trees, someRows(shape.rows, shape.features, random));
}

function goesLeft(trees: Omit<ExplainableTrees, 'cover'>, node: number, value: number): boolean {
  const threshold = trees.threshold[node] ?? 0;
  if (Number.isNaN(value)) return trees.missingLeft[node] === 1;
  return trees.equality?.[node] === 1 ? value === threshold : value <= threshold;
}

/** Walks the rows and counts them at every node. */
function withCover(trees: Omit<ExplainableTrees, 'cover'>, rows: Matrix): ExplainableTrees {
  const cover = new Float64Array(trees.left.length);
  for (let row = 0; row < rows.rows; row += 1) {
    for (const root of trees.offsets.subarray(0, -1)) {
      let node = root;
      for (;;) {
        cover[node] = (cover[node] ?? 0) + 1;
        if ((trees.left[node] ?? -1) < 0) break;
        const value = rows.values[row * rows.columns + (trees.feature[node] ?? 0)] ?? 0;
        node = (goesLeft(trees, node, value) ? trees.left[node] : trees.right[node]) ?? 0;
      }
    }
  }
  return { ...trees, cover };
}

/** Value of the game: the mean leaf when only the features of the bit set are known (Lundberg, Algorithm 1). */
function known(
  trees: ExplainableTrees,
  row: Float32Array,
  query: { set: number | 'all'; output: number },
): number {
  const visit = (node: number): number => {
    const leftChild = trees.left[node] ?? -1;
    const rightChild = trees.right[node] ?? -1;
    if (leftChild < 0) return trees.leaf[node] ?? 0;
    const feature = trees.feature[node] ?? 0;
    if (query.set === 'all' || ((query.set >> feature) & 1) === 1) {
      return visit(goesLeft(trees, node, row[feature] ?? 0) ? leftChild : rightChild);
    }
    const [a, b] = [trees.cover[leftChild] ?? 0, trees.cover[rightChild] ?? 0];
    const share = a + b > 0 ? a / (a + b) : 0.5;
    return share * visit(leftChild) + (1 - share) * visit(rightChild);
  };
  const { outputs = 1, baseScores } = trees;
  let sum = baseScores[query.output] ?? 0;
  trees.offsets.subarray(0, -1).forEach((root, tree) => {
    if (tree % outputs === query.output) sum += visit(root);
  });
  return sum;
}

/** Shapley's formula over all subsets. */
function bruteForce(trees: ExplainableTrees, row: Float32Array, output: number): number[] {
  const count = trees.featureCount;
  const factorial = (n: number): number => (n < 2 ? 1 : n * factorial(n - 1));
  const game = Array.from({ length: 1 << count }, (_, set) => known(trees, row, { set, output }));
  return Array.from({ length: count }, (_, feature) => {
    let value = 0;
    for (let set = 0; set < 1 << count; set += 1) {
      if (((set >> feature) & 1) === 1) continue;
      const size = set.toString(2).replaceAll('0', '').length;
      const weight = (factorial(size) * factorial(count - size - 1)) / factorial(count);
      value += weight * ((game[set | (1 << feature)] ?? 0) - (game[set] ?? 0));
    }
    return value;
  });
}

/** Largest difference of expected value plus contributions from the margin. */
function additivityError(trees: ExplainableTrees, features: Matrix): number {
  const { values, expected, outputs, columns } = explainTrees(trees, features);
  let worst = 0;
  for (let row = 0; row < features.rows; row += 1) {
    const given = features.values.subarray(row * columns, (row + 1) * columns);
    for (let output = 0; output < outputs; output += 1) {
      const start = (row * outputs + output) * columns;
      const sum = values.subarray(start, start + columns).reduce((a, b) => a + b, expected[output] ?? 0);
      worst = Math.max(worst, Math.abs(sum - known(trees, given, { set: 'all', output })));
    }
  }
  return worst;
}

describe('explainTrees', () => {
  it('agrees with a tree computed by hand', () => {
    // x0 <= 0 ? 10 : (x1 <= 0 ? 20 : 40), with 1, 1 and 2 of 4 training rows.
    const trees: ExplainableTrees = {
      baseScores: [1],
      featureCount: 3,
      offsets: Int32Array.of(0, 5),
      feature: Int32Array.of(0, 0, 1, 0, 0),
      threshold: new Float32Array(5),
      left: Int32Array.of(1, -1, 3, -1, -1),
      right: Int32Array.of(2, -1, 4, -1, -1),
      leaf: Float64Array.of(0, 10, 0, 20, 40),
      missingLeft: Uint8Array.of(1, 0, 0, 0, 0),
      cover: Float64Array.of(4, 1, 3, 1, 2),
    };
    const { values, expected } = explainTrees(
      trees,
      matrixOf([
        [1, 1, 7],
        [null, null, null],
      ]),
    );
    // Nothing known: 27.5. x0 known: 100/3. x1 known: 32.5. Both: 40.
    expect(expected[0]).toBeCloseTo(28.5, 12);
    expect(values[0]).toBeCloseTo((100 / 3 - 27.5 + (40 - 32.5)) / 2, 12);
    expect(values[1]).toBeCloseTo((32.5 - 27.5 + (40 - 100 / 3)) / 2, 12);
    expect(values[2]).toBe(0);
    expect(values[3]).toBeCloseTo((10 - 27.5 + (10 - 32.5)) / 2, 12);
  });

  it('equals the Shapley values over all subsets of features', () => {
    const shape = fc.record({
      trees: fc.integer({ min: 1, max: 3 }),
      depth: fc.integer({ min: 0, max: 7 }),
      features: fc.integer({ min: 1, max: 6 }),
      rows: fc.constantFrom(0, 3, 40, 400),
      outputs: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(shape, fc.nat(), (given, seed) => {
        const random = new SeededRandom(seed);
        const trees = someTrees(given, random);
        const features = someRows(3, given.features, random);
        const { values } = explainTrees(trees, features);
        for (let row = 0; row < features.rows; row += 1) {
          const cells = features.values.subarray(row * given.features, (row + 1) * given.features);
          for (let output = 0; output < given.outputs; output += 1) {
            bruteForce(trees, cells, output).forEach((value, column) => {
              const found = values[(row * given.outputs + output) * given.features + column] ?? Number.NaN;
              expect(Math.abs(found - value)).toBeLessThan(1e-10);
            });
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it('adds up to the margin, whatever the trees, features and depth', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 0, max: 12 }), (seed, depth) => {
        const random = new SeededRandom(seed);
        const features = 1 + random.integer(20);
        const shape = { trees: 1 + random.integer(6), depth, features, rows: 300, stop: 0.15 };
        const trees = someTrees(shape, random);
        expect(additivityError(trees, someRows(25, features, random))).toBeLessThan(1e-9);
      }),
      { numRuns: 40 },
    );
  });

  it('adds up on 1,000 rows of deep trees', () => {
    const random = new SeededRandom(12);
    const trees = someTrees({ trees: 3, depth: 12, features: 30, rows: 2000, stop: 0.1 }, random);
    expect(additivityError(trees, someRows(1000, 30, random))).toBeLessThan(1e-9);
  });

  it('loses no digits on a path of 60 features', () => {
    // A chain: value of each feature above 0 goes on, otherwise ends; shares of 90 % and 10 % take turns.
    const depth = 60;
    const nodes = 2 * depth + 1;
    const inner = (node: number): boolean => node % 2 === 0 && node < nodes - 1;
    const indices = Array.from({ length: nodes }, (_, node) => node);
    const trees: ExplainableTrees = {
      baseScores: [0],
      featureCount: depth,
      offsets: Int32Array.of(0, nodes),
      feature: Int32Array.from(indices, (node) => (inner(node) ? node / 2 : 0)),
      threshold: new Float32Array(nodes),
      left: Int32Array.from(indices, (node) => (inner(node) ? node + 1 : -1)),
      right: Int32Array.from(indices, (node) => (inner(node) ? node + 2 : -1)),
      leaf: Float64Array.from(indices, (node) => (inner(node) ? 0 : Math.sin(node))),
      missingLeft: new Uint8Array(nodes),
      cover: Float64Array.from(indices, (node) => (node % 4 < 2 ? 9 : 1)),
    };
    const random = new SeededRandom(1);
    const values = new Float32Array(20 * depth).map(() => (random.uniform() < 0.97 ? 1 : -1));
    expect(additivityError(trees, matrix(20, depth, values))).toBeLessThan(1e-12);
  });

  it('gives a tree of one leaf no contributions', () => {
    const trees = someTrees({ trees: 4, depth: 0, features: 2, rows: 5 }, new SeededRandom(3));
    const { values, expected } = explainTrees(trees, matrixOf([[1, null]]));
    expect(values).toEqual(new Float64Array(2));
    expect(expected[0]).toBeCloseTo(
      trees.leaf.reduce((a, b) => a + b, 0.25),
      12,
    );
  });

  it('explains trained trees; features that no tree reads get exactly 0', () => {
    const random = new SeededRandom(4);
    const features = someRows(500, 5, random);
    const labels = Array.from({ length: 500 }, (_, row) =>
      Number(features.values[row * 5] ?? 0) > 2 ? 1 : 0,
    );
    const fitted = fitTrees(features, labels, { rounds: 10, maxDepth: 3 });
    const trees = withCover({ ...fitted, baseScores: [0] }, features);
    expect(additivityError(trees, features)).toBeLessThan(1e-9);
    const { values } = explainTrees(trees, features);
    [0, 1, 2, 3, 4].forEach((column) => {
      const isRead = fitted.feature.some((feature, node) => feature === column && fitted.left[node] !== -1);
      const isExplained = values.some((value, at) => at % 5 === column && value !== 0);
      expect(isExplained).toBe(isRead);
    });
  });

  it('looks codes of categories up, and takes unknown ones as missing', () => {
    const random = new SeededRandom(8);
    const trees = someTrees({ trees: 5, depth: 5, features: 2, rows: 100 }, random);
    const categories = [{ feature: 1, codes: [2, 3, 10], ranks: [1, 0, 2] }];
    const coded = explainTrees(
      { ...trees, categories },
      matrixOf([2, 3, 10, 4, null].map((code) => [1, code])),
    );
    const ranked = explainTrees(trees, matrixOf([1, 0, 2, null, null].map((rank) => [1, rank])));
    expect(coded).toEqual(ranked);
    expect(() => treeExplainer({ ...trees, categories: [{ feature: 2, codes: [], ranks: [] }] })).toThrow(
      /Categories of input 2 of 2/,
    );
  });

  it('gives a row the same bytes alone as among others', () => {
    const random = new SeededRandom(5);
    const trees = someTrees({ trees: 5, depth: 6, features: 4, rows: 100 }, random);
    const features = someRows(7, 4, random);
    const explain = treeExplainer(trees);
    const together = explain(features).values;
    for (let row = 0; row < 7; row += 1) {
      const alone = explain(matrix(1, 4, features.values.slice(row * 4, row * 4 + 4))).values;
      expect(alone).toEqual(together.slice(row * 4, row * 4 + 4));
    }
  });

  it('refuses what are no trees', () => {
    const trees = someTrees({ trees: 2, depth: 3, features: 2, rows: 9, stop: 0 }, new SeededRandom(6));
    const changed = (field: 'left' | 'right' | 'feature', node: number, value: number): ExplainableTrees => ({
      ...trees,
      [field]: trees[field].with(node, value),
    });
    expect(() => treeExplainer(changed('left', 1, 0))).toThrow('Node 1 of tree 0 has 0 as a child');
    expect(() => treeExplainer(changed('left', 0, 15))).toThrow('Node 0 of tree 0 has 15 as a child');
    expect(() => treeExplainer(changed('left', 1, -1))).toThrow(/has no parent/);
    expect(() => treeExplainer(changed('feature', 0, 2))).toThrow('Node 0 reads input 2 of 2');
    expect(() => treeExplainer({ ...trees, cover: new Float64Array(1) })).toThrow(/nodes but cover has 1/);
    expect(() => treeExplainer({ ...trees, cover: trees.cover.map(() => -1) })).toThrow(/cover of node 0/);
    expect(() => treeExplainer({ ...trees, outputs: 2, baseScores: [1] })).toThrow(/2 outputs but 1 base/);
    expect(() => explainTrees(trees, matrixOf([[1]]))).toThrow('2 inputs but the rows have 1 columns');
  });
});

describe('gaussLegendre', () => {
  it('integrates polynomials of up to twice its points less one exactly', () => {
    for (let count = 1; count <= 64; count += 1) {
      const { points, weights } = gaussLegendre(count);
      for (const degree of [0, 1, count, 2 * count - 1]) {
        const sum = points.reduce((total, point, q) => total + (weights[q] ?? 0) * point ** degree, 0);
        expect(Math.abs(sum * (degree + 1) - 1)).toBeLessThan(1e-12);
      }
    }
  });
});
