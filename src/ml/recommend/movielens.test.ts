import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { fitAls } from './als.ts';
import { easeWeights, fitEase, updateEase } from './ease.ts';
import type { Interactions } from './interactions.ts';
import { extendInteractions, interactionsOf, itemsOfUser } from './interactions.ts';
import { fitItemKnn, updateItemKnn } from './item-knn.ts';
import type { RecommendationModel } from './model.ts';
import { itemScores } from './model.ts';
import { fitMostPopular } from './most-popular.ts';
import { topItems } from './ranking.ts';

/**
 * The ratings of MovieLens (2016, small), of which those of 4 and more are kept: the last fifth of each user's is
 * to be predicted. The data may not be passed on, so it is not part of the repository.
 */
const FOLDER = resolve(process.env['TANDEM_SHARED'] ?? '../shared', 'data/movielens-small-2016');
const isThere = existsSync(FOLDER);
if (!isThere)
  process.stderr.write(`\nSKIPPED: MovieLens reference: there is no ${FOLDER} (TANDEM_SHARED)\n\n`);

const CUT_OFF = 10;

interface Quality {
  readonly ndcg: number;
  readonly recall: number;
  readonly hitRate: number;
  readonly precision: number;
}

function rowsOf(name: string): number[][] {
  return readFileSync(join(FOLDER, name), 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split('\t').map(Number));
}

function columnsOf(rows: readonly number[][]) {
  const column = (index: number): number[] => rows.map((row) => row[index] ?? Number.NaN);
  return { users: column(0), items: column(1), times: column(2) };
}

/** Means over the users of the ranking without seen items; items that training does not know are misses. */
function evaluate(model: RecommendationModel, train: Interactions, test: readonly number[][]): Quality {
  const wanted = new Map<number, Set<number>>();
  for (const [user = 0, item = 0] of test) {
    const items = wanted.get(user) ?? new Set();
    wanted.set(user, items.add(item));
  }
  const sums = { ndcg: 0, recall: 0, hitRate: 0, precision: 0 };
  train.users.ids.forEach((user, index) => {
    const relevant = wanted.get(Number(user)) ?? new Set();
    const own = itemsOfUser(train, index);
    const ranked = topItems(itemScores(model, own), CUT_OFF, { seen: own.items });
    let [gain, ideal, hits] = [0, 0, 0];
    ranked.forEach(({ item }, rank) => {
      const discounted = 1 / Math.log2(rank + 2);
      if (rank < relevant.size) ideal += discounted;
      if (!relevant.has(Number(train.items.ids[item]))) return;
      gain += discounted;
      hits += 1;
    });
    sums.ndcg += gain / ideal;
    sums.recall += hits / relevant.size;
    sums.hitRate += hits > 0 ? 1 : 0;
    sums.precision += hits / CUT_OFF;
  });
  const users = train.users.size;
  return {
    ndcg: sums.ndcg / users,
    recall: sums.recall / users,
    hitRate: sums.hitRate / users,
    precision: sums.precision / users,
  };
}

/** Compares with a row of the table of reference results, within a tolerance. */
function expectQuality(found: Quality, reference: readonly number[], tolerance: number): void {
  [found.ndcg, found.recall, found.hitRate, found.precision].forEach((value, index) => {
    // Results are printed with four decimals.
    expect(Math.abs(value - (reference[index] ?? Number.NaN)), JSON.stringify(found)).toBeLessThanOrEqual(
      tolerance + 0.00005,
    );
  });
}

describe.skipIf(!isThere)('on MovieLens', () => {
  let train: Interactions;
  let rows: number[][];
  let test: number[][];

  beforeAll(() => {
    rows = rowsOf('train.tsv');
    test = rowsOf('test.tsv');
    const sorted = (column: number): number[] =>
      [...new Set(rows.map((row) => row[column] ?? Number.NaN))].sort((a, b) => a - b);
    // Equal scores are ranked by the number of the film.
    train = interactionsOf(columnsOf(rows), { users: sorted(0), items: sorted(1) });
  });

  it('has the shape of the reference', () => {
    expect([train.users.size, train.items.size, train.byUser.columns.length, test.length]).toEqual([
      659, 2077, 35_260, 9153,
    ]);
  });

  it('the most popular films reach the reference exactly', () => {
    expectQuality(evaluate(fitMostPopular(train), train, test), [0.0653, 0.0507, 0.2914, 0.049], 0);
  });

  it('EASE reaches the reference', () => {
    // Within .0005 was asked for; in fact every printed decimal agrees.
    expectQuality(evaluate(fitEase(train), train, test), [0.1126, 0.0957, 0.4917, 0.0839], 0);
  });

  it('EASE and nearest neighbours that learnt the last films of everybody later are those of all', () => {
    // The oldest films only: what is compared grows with the cube of their number.
    const old = rows.filter(([, film = 0]) => film < 600);
    const came = old.filter((_, row) => row % 50 === 0).slice(0, 50);
    const held = old.filter((row) => !came.includes(row));
    const tables = { users: train.users.ids, items: train.items.ids.filter((film) => Number(film) < 600) };
    const change = extendInteractions(interactionsOf(columnsOf(held), tables), columnsOf(came));
    const updated = updateEase(fitEase(change.before), change);
    expect(updated.rankSinceSolved).toBeGreaterThan(50);
    const refit = fitEase(change.after);
    expect(updated.gram).toEqual(refit.gram);
    const expected = easeWeights(refit);
    const largest = easeWeights(updated).reduce(
      (worst, weight, place) => Math.max(worst, Math.abs(weight - (expected[place] ?? 0))),
      0,
    );
    expect(largest).toBeLessThan(1e-8);
    expect(updateItemKnn(fitItemKnn(change.before), change)).toEqual(fitItemKnn(change.after));
  });

  it('nearest neighbours reach the reference', () => {
    expectQuality(
      evaluate(fitItemKnn(train, { k: 20 }), train, test),
      [0.102, 0.0858, 0.4674, 0.0769],
      0.001,
    );
  });

  it('alternating least squares reach the reference', () => {
    const found = evaluate(
      fitAls(train, { factors: 32, regularisation: 0.01, alpha0: 0.3, sweeps: 16 }),
      train,
      test,
    );
    expect(Math.abs(found.ndcg - 0.103)).toBeLessThanOrEqual(0.004);
    expect(Math.abs(found.recall - 0.0886)).toBeLessThanOrEqual(0.004);
    expect(Math.abs(found.hitRate - 0.4689)).toBeLessThanOrEqual(0.03);
    expect(Math.abs(found.precision - 0.0785)).toBeLessThanOrEqual(0.004);
  });
});
