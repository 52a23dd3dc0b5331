import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { diversify } from './diversity.ts';
import { fitEase } from './ease.ts';
import { extendInteractions, interactionsOf, userItemsOf } from './interactions.ts';
import { fitItemKnn } from './item-knn.ts';
import { fitMostPopular } from './most-popular.ts';
import type { RankedItem } from './ranking.ts';
import { RANKING_ITEMS_MAX, topItems } from './ranking.ts';
import { recommend } from './recommend.ts';

function items(ranked: readonly RankedItem[]): number[] {
  return ranked.map(({ item }) => item);
}

describe('topItems', () => {
  it('ranks by falling score, the smaller index first of equal ones', () => {
    expect(topItems([1, 3, 2, 3, Number.NEGATIVE_INFINITY], 3)).toEqual([
      { item: 1, score: 3 },
      { item: 3, score: 3 },
      { item: 2, score: 2 },
    ]);
    expect(items(topItems([0, 0, 0, 0], 2))).toEqual([0, 1]);
    expect(items(topItems([0, -0], 2))).toEqual([0, 1]);
    expect(topItems([], 5)).toEqual([]);
  });

  it('is what sorting everything gives, under any rules', () => {
    const scores = fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(
        scores,
        fc.integer({ min: 1, max: 70 }),
        fc.infiniteStream(fc.nat({ max: 9 })),
        (given, k, stream) => {
          const [seen, allowed, denied, boosted] = [1, 7, 2, 3].map((limit) =>
            Uint8Array.from(given, () => ((stream.next().value as number) < limit ? 1 : 0)),
          );
          const boosts = new Map(
            given.flatMap((_, item) => (boosted?.[item] === 1 ? [[item, 1.5] as const] : [])),
          );
          const rules = {
            seen: given.flatMap((_, item) => (seen?.[item] === 1 ? [item] : [])),
            allow: allowed ?? new Uint8Array(given.length),
            deny: (item: number) => denied?.[item] === 1,
            boosts,
          };
          const expected = given
            .map((score, item) => ({ item, score: score + (boosts.get(item) ?? 0) }))
            .filter(({ item }) => seen?.[item] === 0 && allowed?.[item] === 1 && denied?.[item] === 0)
            .sort((a, b) => b.score - a.score || a.item - b.item)
            .slice(0, k);
          expect(topItems(given, k, rules)).toEqual(expected);
        },
      ),
    );
  });

  it('refuses rules that do not fit', () => {
    expect(() => topItems([1], 0)).toThrow(/k must be/);
    expect(() => topItems([1], RANKING_ITEMS_MAX + 1)).toThrow(/10000/);
    expect(() => topItems([1, Number.NaN], 1)).toThrow(/item 1 is NaN/);
    expect(() => topItems([1], 1, { seen: [1] })).toThrow(/A seen item must be an index below 1, not 1/);
    expect(() => topItems([1], 1, { boosts: new Map([[0, Number.NaN]]) })).toThrow(/boost of item 0/);
    expect(() => topItems([1], 1, { boosts: new Map([[2, 1]]) })).toThrow(/A boosted item/);
    expect(() => topItems([1], 1, { deny: new Uint8Array(2) })).toThrow(
      /denied items must have 1 bytes, not 2/,
    );
  });
});

describe('diversify', () => {
  const candidates = [10, 9, 8, 0].map((score, item) => ({ item, score }));
  /** Items 0 and 1 are nearly the same. */
  const similarity = (a: number, b: number): number => (a + b === 1 ? 0.9 : 0.1);

  it('is what a hand finds', () => {
    // Relevance 1, .9, .8, 0. After item 0, at lambda .5: item 1 gets .45 - .45, item 2 .4 - .05.
    expect(items(diversify(candidates, { k: 3, lambda: 0.5, similarity }))).toEqual([0, 2, 1]);
    expect(items(diversify(candidates, { k: 4, lambda: 1, similarity }))).toEqual([0, 1, 2, 3]);
    // Likeness only: after 0, items 2 and 3 are equally unlike, so the earlier one; then 3.
    expect(items(diversify(candidates, { k: 4, lambda: 0, similarity }))).toEqual([0, 2, 3, 1]);
    expect(diversify(candidates, { k: 1, lambda: 0.5, similarity })).toEqual([{ item: 0, score: 10 }]);
    expect(diversify([], { k: 1, lambda: 0.5, similarity })).toEqual([]);
  });

  it('takes the candidate of largest margin each time', () => {
    const scores = fc.uniqueArray(fc.integer({ min: 0, max: 50 }), { minLength: 2, maxLength: 12 });
    fc.assert(
      fc.property(scores, fc.double({ min: 0, max: 1, noNaN: true }), (given, lambda) => {
        const falling = [...given].sort((a, b) => b - a).map((score, item) => ({ item, score }));
        const alike = (a: number, b: number): number => Math.cos(a * b + a + b);
        const chosen = diversify(falling, { k: falling.length, lambda, similarity: alike });
        const [high, low] = [falling[0]?.score ?? 0, falling.at(-1)?.score ?? 0];
        const margin = ({ item, score }: RankedItem, before: readonly RankedItem[]): number =>
          lambda * ((score - low) / (high - low)) -
          (1 - lambda) * Math.max(...before.map((other) => alike(item, other.item)));
        chosen.slice(1).forEach((item, index) => {
          const before = chosen.slice(0, index + 1);
          for (const other of chosen.slice(index + 1))
            expect(margin(item, before)).toBeGreaterThanOrEqual(margin(other, before) - 1e-12);
        });
      }),
    );
  });

  it('refuses what it cannot weigh', () => {
    const options = { k: 2, lambda: 0.5, similarity };
    expect(() => diversify(candidates, { ...options, lambda: 2 })).toThrow(/lambda/);
    expect(() => diversify(candidates, { ...options, k: 0 })).toThrow(/k must be/);
    expect(() => diversify(candidates, { ...options, similarity: () => Number.NaN })).toThrow(
      /items 1 and 0/,
    );
    const infinite = [{ item: 0, score: Number.POSITIVE_INFINITY }];
    expect(() => diversify(infinite, options)).toThrow(/score of item 0/);
    const many = Array.from({ length: 5000 }, (_, item) => ({ item, score: 0 }));
    expect(() => diversify(many, { ...options, k: 1000 })).toThrow(/5000000 comparisons/);
  });
});

describe('recommend', () => {
  /** Two groups of items that have no user in common: 0, 1, 2 and 3, 4. Item 5 has no user. */
  const shop = interactionsOf(
    {
      users: ['ann', 'ann', 'bob', 'bob', 'bob', 'cas', 'cas', 'dan'],
      items: ['a', 'b', 'a', 'b', 'c', 'd', 'e', 'd'],
    },
    { items: ['a', 'b', 'c', 'd', 'e', 'f'] },
  );
  const popularity = fitMostPopular(shop);
  const knn = fitItemKnn(shop);

  it('ranks by the model, without what the user has', () => {
    const found = recommend(knn, userItemsOf(shop.items, ['a']), { k: 2, popularity });
    expect(items(found.items)).toEqual([1, 2]);
    expect(found.fallback).toBe(undefined);
    expect(found.items.every(({ source }) => source === 'model')).toBe(true);
    const again = recommend(fitEase(shop, { lambda: 1 }), { items: [0] }, { k: 6, popularity, repeat: true });
    expect(items(again.items)).toContain(0);
  });

  it('fills up with popular items, and says why', () => {
    const asked = (ids: readonly string[], k: number) => {
      const user = userItemsOf(shop.items, ids);
      const { items: found, fallback } = recommend(knn, user, { k, popularity, unknown: user.unknown });
      return [found.map(({ item, source }) => `${item} ${source}`), fallback];
    };
    expect(asked([], 2)).toEqual([['0 popularity', '1 popularity'], 'USER_WITHOUT_ITEMS']);
    expect(asked(['x', 'y'], 2)).toEqual([['0 popularity', '1 popularity'], 'ITEMS_UNKNOWN']);
    expect(asked(['f'], 2)).toEqual([['0 popularity', '1 popularity'], 'NO_EVIDENCE']);
    expect(asked(['d'], 3)).toEqual([['4 model', '0 popularity', '1 popularity'], 'LITTLE_EVIDENCE']);
    // All six are not to be had: what the user has is not among them.
    expect(asked(['d'], 6)[0]).toHaveLength(5);
  });

  it('an item that came after the model counts as seen and can be shown as popular', () => {
    const { after } = extendInteractions(shop, { users: ['eve', 'fay', 'guy'], items: ['g', 'g', 'g'] });
    const options = { k: 1, popularity: fitMostPopular(after) };
    const found = recommend(knn, { items: [6] }, options);
    expect([items(found.items), found.fallback]).toEqual([[0], 'ITEMS_UNKNOWN']);
    expect(items(recommend(knn, { items: [] }, options).items)).toEqual([6]);
    expect(() => recommend(fitItemKnn(after), { items: [] }, { k: 1, popularity })).toThrow(
      /7 items, more than the 6/,
    );
  });

  it('holds the rules in the model part and in the popular part', () => {
    const deny = Uint8Array.of(0, 1, 0, 0, 0, 0);
    const options = { k: 3, popularity, deny, boosts: new Map([[4, 10]]) };
    const found = recommend(knn, { items: [0] }, options);
    expect(found.items.map(({ item, source }) => `${item} ${source}`)).toEqual([
      '2 model',
      '4 popularity',
      '3 popularity',
    ]);
    const allow = (item: number): boolean => item === 3;
    expect(items(recommend(knn, { items: [0] }, { k: 3, popularity, allow }).items)).toEqual([3]);
    expect(() => recommend(knn, { items: [0] }, { k: 3, popularity, allow: new Uint8Array(2) })).toThrow(
      /allowed/,
    );
  });

  it('re-ranks the best candidates for diversity', () => {
    const similarity = (a: number, b: number): number => (a + b === 3 ? 1 : 0);
    const diversity = { lambda: 0.3, similarity, candidates: 4 };
    const found = recommend(knn, { items: [] }, { k: 3, popularity, diversity });
    // By popularity 0, 1, 3, 2: item 1 is like 2, item 0 like 3.
    expect(items(found.items)).toEqual([0, 1, 3]);
    const lessAlike = { ...diversity, similarity: (a: number, b: number): number => (a + b === 1 ? 1 : 0) };
    expect(items(recommend(knn, { items: [] }, { k: 3, popularity, diversity: lessAlike }).items)).toEqual([
      0, 3, 2,
    ]);
    expect(() => recommend(knn, { items: [] }, { k: 5, popularity, diversity })).toThrow(
      /from 5 to 10000, not 4/,
    );
  });
});
