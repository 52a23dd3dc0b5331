import { describe, expect, it } from 'vitest';
import type { Matrix } from '../matrix.ts';
import { matrix, matrixOf } from '../matrix.ts';
import { aucRoc } from '../metrics/ranking.ts';
import { SeededRandom } from '../random.ts';
import { permutationImportance } from './permutation-importance.ts';

/** Two columns that make the label, the second a little; one of noise. */
function data(rows: number): { features: Matrix; labels: number[] } {
  const random = new SeededRandom(1);
  const features = matrix(
    rows,
    3,
    new Float32Array(rows * 3).map(() => random.normal()),
  );
  const labels = Array.from({ length: rows }, (_, row) => (scoreOf(features, row) > 0 ? 1 : 0));
  return { features, labels };
}

function scoreOf({ values }: Matrix, row: number): number {
  return (values[row * 3] ?? 0) * 3 + (values[row * 3 + 1] ?? 0);
}

describe('permutationImportance', () => {
  const { features, labels } = data(400);
  const auc = (rows: Matrix): number =>
    aucRoc(
      labels,
      labels.map((_, row) => scoreOf(rows, row)),
    );

  it('orders columns by what the score loses without them, and leaves the rows as they were', () => {
    const before = features.values.slice();
    const { baseline, groups } = permutationImportance(features, auc);
    expect(features.values).toEqual(before);
    expect(baseline).toBe(1);
    const [first, second, noise] = groups;
    expect(first?.mean).toBeGreaterThan(0.3);
    expect(second?.mean).toBeGreaterThan(0.01);
    expect(second?.mean).toBeLessThan(first?.mean ?? 0);
    expect([noise?.mean, noise?.spread]).toEqual([0, 0]);
  });

  it('computes mean and sample deviation of the losses, and turns a loss function round', () => {
    const loss = (rows: Matrix): number => 1 - auc(rows);
    const lower = permutationImportance(features, loss, { repeats: 3, better: 'lower' });
    const higher = permutationImportance(features, auc, { repeats: 3 });
    const [{ losses, mean, spread } = { losses: new Float64Array(), mean: 0, spread: 0 }] = lower.groups;
    const [a = 0, b = 0, c = 0] = losses;
    expect(mean).toBeCloseTo((a + b + c) / 3, 12);
    expect(spread).toBeCloseTo(Math.sqrt(((a - mean) ** 2 + (b - mean) ** 2 + (c - mean) ** 2) / 2), 12);
    expect(mean).toBeCloseTo(higher.groups[0]?.mean ?? 0, 12);
  });

  it('permutes a group together', () => {
    // The score only asks whether two columns are equal, so shuffling them together loses nothing.
    const twins = matrixOf(Array.from({ length: 50 }, (_, row) => [row, row]));
    const equal = ({ values }: Matrix): number =>
      Array.from({ length: 50 }, (_, row) => (values[row * 2] === values[row * 2 + 1] ? 1 : 0)).reduce(
        (sum: number, hit) => sum + hit,
        0,
      ) / 50;
    const { groups } = permutationImportance(twins, equal, {
      groups: [
        { name: 'both', columns: [0, 1] },
        { name: 'one', columns: [1] },
      ],
    });
    expect(groups[0]?.mean).toBe(0);
    expect(groups[1]?.mean).toBeGreaterThan(0.9);
  });

  it('depends on the seed, and not on the other groups', () => {
    const alone = permutationImportance(features, auc, {
      groups: [{ name: 'second', columns: [1] }],
      seed: 7,
    });
    const all = permutationImportance(features, auc, { seed: 7 });
    expect(alone.groups[0]?.losses).toEqual(all.groups[1]?.losses);
    expect(permutationImportance(features, auc, { seed: 8 })).not.toEqual(all);
  });

  it('refuses unsound input', () => {
    expect(() => permutationImportance(matrixOf([[1]]), () => 0)).toThrow('at least 2 rows, not 1');
    expect(() => permutationImportance(features, () => Number.NaN)).toThrow(/score of the rows as they are/);
    expect(() => permutationImportance(features, auc, { repeats: 0 })).toThrow(/from 1 to 1000, not 0/);
    const beyond = [{ name: 'a', columns: [3] }];
    expect(() => permutationImportance(features, auc, { groups: beyond })).toThrow('Group a has column 3');
    const empty = [{ name: 'a', columns: [] }];
    expect(() => permutationImportance(features, auc, { groups: empty })).toThrow('Group a has no columns');
  });
});
