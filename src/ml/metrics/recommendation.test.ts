import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { catalogueCoverage, recommendationMetrics } from './recommendation.ts';

/** Files that are not part of the repository. */
const FOLDER = resolve(process.env['TANDEM_SHARED'] ?? '../shared', 'data/movielens-small-2016');

describe('recommendationMetrics', () => {
  it('is what a hand finds', () => {
    const found = recommendationMetrics({
      recommended: [
        ['a', 'b', 'c', 'd'],
        ['b', 'a', 'c'],
      ],
      // 'x' was not known in training; 'd' comes after the cut-off.
      relevant: [['c', 'a', 'x', 'd'], ['c']],
      k: 3,
    });
    const ideal = 1 + 1 / Math.log2(3) + 0.5;
    expect(found.users).toBe(2);
    expect([...found.byUser.ndcg]).toEqual([1.5 / ideal, 0.5]);
    expect([...found.byUser.averagePrecision]).toEqual([(1 + 2 / 3) / 3, 1 / 3]);
    expect([...found.byUser.reciprocalRank]).toEqual([1, 1 / 3]);
    expect([...found.byUser.recall]).toEqual([0.5, 1]);
    expect([...found.byUser.precision]).toEqual([2 / 3, 1 / 3]);
    expect([...found.byUser.hitRate]).toEqual([1, 1]);
    expect(found.mean.recall).toBe(0.75);
    expect(found.mean.reciprocalRank).toBeCloseTo(2 / 3, 12);
  });

  it('counts empty places as misses and leaves users without relevant items out', () => {
    const found = recommendationMetrics({ recommended: [[1], [2], []], relevant: [[1, 2], [], [7]], k: 10 });
    expect(found).toMatchObject({ users: 2, usersUnmeasured: 1 });
    expect(found.byUser.precision[0]).toBe(0.1);
    expect(found.byUser.ndcg[1]).toBeNaN();
    expect(found.mean.hitRate).toBe(0.5);
  });

  it('is 1 when the relevant items come first, and never outside [0, 1]', () => {
    const items = fc.uniqueArray(fc.nat(12), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(items, items, fc.integer({ min: 1, max: 10 }), (recommended, relevant, k) => {
        const { mean } = recommendationMetrics({ recommended: [recommended], relevant: [relevant], k });
        for (const value of Object.values(mean)) {
          expect(value).toBeGreaterThanOrEqual(0);
          expect(value).toBeLessThanOrEqual(1);
        }
        expect(mean.recall * relevant.length).toBeCloseTo(mean.precision * k, 9);
        const perfect = recommendationMetrics({ recommended: [relevant], relevant: [relevant], k }).mean;
        expect(perfect.ndcg).toBe(1);
        expect(perfect.averagePrecision).toBe(1);
        expect(perfect.reciprocalRank).toBe(1);
      }),
    );
  });

  it('refuses unsound input', () => {
    expect(() => recommendationMetrics({ recommended: [[1]], relevant: [], k: 1 })).toThrow(/1 users but/);
    expect(() => recommendationMetrics({ recommended: [[1, 1]], relevant: [[1]], k: 2 })).toThrow(
      /Item 1 is twice among the first 2 recommendations of user 0/,
    );
    expect(() => recommendationMetrics({ recommended: [[1]], relevant: [[3, 3]], k: 2 })).toThrow(/relevant/);
    expect(() => recommendationMetrics({ recommended: [[1]], relevant: [[]], k: 2 })).toThrow(/none of 1/);
    expect(() => recommendationMetrics({ recommended: [[1]], relevant: [[1]], k: 0 })).toThrow(/k must be/);
  });
});

describe('catalogueCoverage', () => {
  it('is the share of the items that are shown to anyone', () => {
    const recommended = [
      [1, 2, 9],
      [2, 3],
    ];
    expect(catalogueCoverage({ recommended, k: 2, catalogueSize: 6 })).toBe(0.5);
    expect(catalogueCoverage({ recommended, k: 9, catalogueSize: 4 })).toBe(1);
    expect(() => catalogueCoverage({ recommended, k: 9, catalogueSize: 3 })).toThrow(
      /4 items are recommended/,
    );
    expect(() => catalogueCoverage({ recommended, k: 9, catalogueSize: 0 })).toThrow(/catalogue size/);
  });
});

const isThere = existsSync(FOLDER);
if (!isThere) {
  process.stderr.write(`\nSKIPPED: metrics of recommendations: there is no ${FOLDER} (TANDEM_SHARED)\n\n`);
}

describe.runIf(isThere)('MovieLens small (2016), most popular items', () => {
  it('has the measured metrics of the protocol', () => {
    const [train, test] = [itemsByUser('train'), itemsByUser('test')];
    const popularity = new Map<number, number>();
    for (const items of train.values()) {
      for (const item of items) popularity.set(item, (popularity.get(item) ?? 0) + 1);
    }
    const ranking = [...popularity].sort(([a, x], [b, y]) => y - x || a - b).map(([item]) => item);
    const users = [...test.keys()];
    const recommended = users.map((user) => {
      const seen = new Set(train.get(user));
      return ranking.filter((item) => !seen.has(item)).slice(0, 10);
    });
    const found = recommendationMetrics({
      recommended,
      relevant: users.map((user) => test.get(user) ?? []),
      k: 10,
    });
    expect(found.users).toBe(659);
    expect(found.mean.ndcg).toBeCloseTo(0.0653, 4);
    expect(found.mean.recall).toBeCloseTo(0.0507, 4);
    expect(found.mean.hitRate).toBeCloseTo(0.2914, 4);
    expect(found.mean.precision).toBeCloseTo(0.049, 4);
    expect(catalogueCoverage({ recommended, k: 10, catalogueSize: popularity.size })).toBeLessThan(0.1);
  });
});

function itemsByUser(name: string): Map<number, number[]> {
  const found = new Map<number, number[]>();
  for (const line of readFileSync(resolve(FOLDER, `${name}.tsv`), 'utf8')
    .trim()
    .split('\n')) {
    const [user, item] = line.split('\t').map(Number) as [number, number];
    found.set(user, [...(found.get(user) ?? []), item]);
  }
  return found;
}
