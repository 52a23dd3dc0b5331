import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { codeOf } from '../../define/index.ts';
import {
  encodeItemModel,
  fitEase,
  fitItemKnn,
  fitMostPopular,
  interactionsOf,
  type ItemModel,
  loadItemModel,
} from '../../ml/index.ts';
import { orderItems } from './order-items.ts';
import { type ProposalRequest, proposeCandidates } from './propose-candidates.ts';

const ids = Array.from({ length: 10 }, (_, item) => `i${String(item)}`);

/** Two users of i0 to i3, one of i4 to i6, three of i7; nobody had i8 and i9. */
const owned = { a: [0, 1, 2, 3], b: [0, 1, 2, 3], c: [4, 5, 6], d: [7], e: [7], f: [7] };
const rows = Object.entries(owned).flatMap(([user, items]) =>
  items.map((item) => ({ user, item: `i${String(item)}` })),
);
const interactions = interactionsOf(
  { users: rows.map(({ user }) => user), items: rows.map(({ item }) => item) },
  { items: ids },
);

function loaded(fit: 'ease' | 'item-knn' | 'most-popular'): ItemModel {
  const popular = fitMostPopular(interactions);
  const model =
    fit === 'ease'
      ? fitEase(interactions, { lambda: 1 })
      : fit === 'item-knn'
        ? fitItemKnn(interactions, { k: 5 })
        : popular;
  const { popularity } = popular;
  return loadItemModel(encodeItemModel(model, { ids, codes: ids.map(codeOf), popularity }));
}

const models = { ease: loaded('ease'), knn: loaded('item-knn'), popular: loaded('most-popular') };

function propose(model: ItemModel, items: readonly string[], wishes: Partial<ProposalRequest> = {}) {
  const history = { codes: items.map(codeOf), weights: undefined };
  const { candidates, fallback } = proposeCandidates(model, {
    history,
    take: 10,
    seen: 'remove',
    ...wishes,
  });
  return { items: candidates.map(({ item }) => ids[item] ?? ''), candidates, fallback };
}

describe('candidates', () => {
  it('are the best by the items of the user, without those', () => {
    const { items, fallback } = propose(models.ease, ['i0', 'i1'], { take: 2 });
    expect(items).toEqual(['i2', 'i3']);
    expect(fallback).toBeNull();
    expect(propose(models.ease, ['i0', 'i1'], { take: 4, seen: 'keep' }).items.toSorted()).toEqual([
      'i0',
      'i1',
      'i2',
      'i3',
    ]);
  });

  it('are filled up with popular ones where nearest neighbours say nothing', () => {
    const { items, candidates } = propose(models.knn, ['i4'], { take: 5 });
    expect(items).toEqual(['i5', 'i6', 'i7', 'i0', 'i1']);
    expect(candidates.slice(2).every(({ score }) => score === 0)).toBe(true);
  });

  it('are popular ones for whoever is new or unknown, and for everybody where nothing else is learnt', () => {
    for (const model of Object.values(models)) {
      expect(propose(model, [], { take: 3 })).toMatchObject({
        items: ['i7', 'i0', 'i1'],
        fallback: 'no history',
      });
      expect(propose(model, ['elsewhere'], { take: 1 })).toMatchObject({
        items: ['i7'],
        fallback: 'unknown items',
      });
    }
    expect(propose(models.popular, ['i7'], { take: 2 })).toMatchObject({
      items: ['i0', 'i1'],
      fallback: null,
    });
  });

  it('keep to the rules and are the best that do, whatever is asked', () => {
    const some = fc.uniqueArray(fc.constantFrom(...ids, 'elsewhere'), { maxLength: 11 });
    const wishes = fc.record({
      own: some,
      exclude: fc.option(some, { nil: undefined }),
      only: fc.option(some, { nil: undefined }),
      seen: fc.constantFrom('remove', 'keep'),
      take: fc.integer({ min: 1, max: 12 }),
      model: fc.constantFrom(...Object.values(models)),
    });
    fc.assert(
      fc.property(wishes, ({ own, exclude, only, seen, take, model }) => {
        const { candidates, items } = propose(model, own, { exclude, only, seen, take });
        const known = model.itemsOf(own.map(codeOf));
        const scores = model.score(known.items);
        const allowed = ids.filter(
          (id) =>
            !(seen === 'remove' && own.includes(id)) &&
            exclude?.includes(id) !== true &&
            only?.includes(id) !== false,
        );
        expect(items.every((id) => allowed.includes(id))).toBe(true);
        expect(new Set(items).size).toBe(items.length);
        expect(items).toHaveLength(Math.min(take, allowed.length));
        const rest = allowed.filter((id) => !items.includes(id)).map((id) => scores[ids.indexOf(id)] ?? 0);
        // What says nothing comes after all that says something, whatever it says.
        const told = rest.filter((score) => score !== 0);
        const least = Math.min(...candidates.map(({ score }) => score));
        expect(told.every((score) => score <= least)).toBe(true);
        for (const { item, score } of candidates) expect(score).toBe(scores[item]);
        expect(candidates.every(({ score }, place) => score <= (candidates[place - 1]?.score ?? score))).toBe(
          true,
        );
      }),
    );
  });
});

describe('the order', () => {
  const candidates = [4, 2, 7, 0].map((item, place) => ({ item, score: 4 - place }));

  it('is that of the ranker, of equal scores that of the candidates', () => {
    const ordered = orderItems(models.ease, candidates, { scores: [1, 2, 1, 2], limit: 3, diversity: 0 });
    expect(ordered).toEqual([
      { item: 2, score: 2, candidateScore: 3 },
      { item: 0, score: 2, candidateScore: 1 },
      { item: 4, score: 1, candidateScore: 4 },
    ]);
    const own = orderItems(models.ease, candidates, { scores: undefined, limit: 2, diversity: 0 });
    expect(own.map(({ item, score }) => [item, score])).toEqual([
      [4, 4],
      [2, 3],
    ]);
  });

  it('puts what is like the items above it further down when diversity counts', () => {
    const alike = [0, 1, 2, 4].map((item, place) => ({ item, score: 10 - place }));
    const order = (diversity: number, model = models.ease): number[] =>
      orderItems(model, alike, { scores: undefined, limit: 3, diversity }).map(({ item }) => item);
    expect(order(0)).toEqual([0, 1, 2]);
    expect(order(0.9)).toEqual([0, 4, 1]);
    // Popularity tells nothing of what is like what.
    expect(order(0.9, models.popular)).toEqual([0, 1, 2]);
  });
});
