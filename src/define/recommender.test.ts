import { describe, expect, it } from 'vitest';
import { codeOf } from './code.ts';
import { defineApp } from './app.ts';
import { decision } from './decision.ts';
import { id, integer, key, number, text, timestamp } from './field.ts';
import { label } from './label.ts';
import { atLeast } from './gate.ts';
import { defineModel, logistic } from './model.ts';
import {
  defineRecommender,
  historyVector,
  lastOfUsers,
  readHistory,
  type RecommenderOptions,
} from './recommender.ts';
import { ease, itemKnn, mostPopular } from './recommender-trainers.ts';
import { every, onNewEvents, onNewLabels } from './retrain.ts';
import { source } from './source.ts';
import { vector } from './vector.ts';

const views = source('views', {
  id: 'viewId',
  time: 'at',
  key: 'userId',
  fields: {
    viewId: id(),
    at: timestamp(),
    userId: key(),
    itemId: key(),
    shopId: key({ optional: true }),
    stars: integer(),
    seconds: number({ optional: true }),
    title: text(),
  },
});
const requests = source('requests', {
  id: 'requestId',
  time: 'at',
  key: 'userId',
  fields: { requestId: id(), at: timestamp(), userId: key() },
});
const usual = { interactions: views, user: 'userId', item: 'itemId', trainer: ease() } as const;

describe('a recommender', () => {
  it('has a group and a vector of its own, and keeps its hash whenever it is trained', () => {
    const shelf = defineRecommender('shelf', usual);
    expect(shelf).toMatchObject({
      type: 'recommender',
      trainer: { kind: 'ease', lambda: 200 },
      historyMs: 400 * 86_400_000,
      recent: 50,
      itemsMax: 5_000,
      split: { kind: 'user', fraction: 0.2, core: 1 },
      gates: [],
      seed: 0,
      retrain: [],
    });
    expect(shelf.history.name).toBe('shelf_history');
    expect(shelf.history.key).toBe('userId');
    expect(shelf.history.features.map(({ name }) => name).slice(0, 2)).toEqual([
      'item_400d_1',
      'item_400d_2',
    ]);
    expect(shelf.history.features).toHaveLength(50);
    expect(shelf.training).toMatchObject({ name: 'shelf_interactions', candidate: { name: 'views' } });
    expect(shelf.training.values.map(({ name }) => name)).toEqual(['weight']);
    const often = defineRecommender('shelf', { ...usual, retrain: [every('1d'), onNewEvents(500)] });
    expect(often.hash).toBe(shelf.hash);
    for (const other of [
      { ...usual, recent: 49 },
      { ...usual, weight: 'stars' as const },
      { ...usual, trainer: itemKnn() },
      { ...usual, split: lastOfUsers({ core: 5 }) },
      { ...usual, gates: [atLeast('ndcg10', 0.1)] },
    ]) {
      expect(defineRecommender('shelf', other).hash).not.toBe(shelf.hash);
    }
  });

  it('answers for a user of any source that names one', () => {
    const shelf = defineRecommender('shelf', { ...usual, weight: 'stars', recent: 3, history: '30d' });
    const history = historyVector(shelf, requests);
    expect(history).toMatchObject({ name: 'shelf_history', candidate: { name: 'requests' } });
    expect(history.values.map(({ name }) => name)).toEqual(
      ['item', 'weight'].flatMap((part) => [1, 2, 3].map((place) => `history_${part}_30d_${String(place)}`)),
    );
    expect(historyVector(shelf, requests, 'for_you_history').name).toBe('for_you_history');
    const others = source('others', {
      id: 'requestId',
      time: 'at',
      key: 'requestId',
      fields: { requestId: id(), at: timestamp(), userId: text() },
    });
    expect(() => historyVector(shelf, others)).toThrow(
      /by 'userId', which is not an id or key field of source 'others'/,
    );
  });

  it('reads what the values of a history say', () => {
    const plain = defineRecommender('shelf', { ...usual, recent: 4 });
    expect(readHistory(plain, [7, 9, 7, null])).toEqual({ codes: [7, 9], weights: undefined });
    expect(readHistory(plain, [codeOf('a'), null, null, null]).codes).toEqual([codeOf('a')]);
    expect(() => readHistory(plain, [7])).toThrow(
      new RangeError("The history of recommender 'shelf' has 4 values, not 1"),
    );
    const weighted = defineRecommender('shelf', { ...usual, recent: 4, weight: 'stars' });
    // The second interaction with 7 counts more, that with 9 not at all.
    expect(readHistory(weighted, [7, 9, 7, 8, 1, 0, 5, 2])).toEqual({ codes: [7, 8], weights: [5, 2] });
    expect(readHistory(weighted, Array(8).fill(null))).toEqual({ codes: [], weights: [] });
  });

  it('is refused with what is wrong', () => {
    const define = (changes: Partial<Record<keyof RecommenderOptions<typeof views>, unknown>>): unknown =>
      defineRecommender('shelf', { ...usual, ...changes } as RecommenderOptions<typeof views>);
    expect(() => define({ user: 'nobody' })).toThrow(
      /user 'nobody' is not an id or key field of source 'views'/,
    );
    expect(() => define({ item: 'shopId' })).toThrow(
      /item 'shopId' is not an id or key field .* that is always there/,
    );
    expect(() => define({ item: 'toString' })).toThrow(/item 'toString' is not/);
    expect(() => define({ item: 'userId' })).toThrow(/user and item are the same field, 'userId'/);
    expect(() => define({ item: 'viewId' })).toThrow(/'viewId' is the id of an event of 'views'/);
    expect(() => define({ weight: 'title' })).toThrow(/weight 'title' is not a number of source 'views'/);
    expect(() => define({ weight: 'seconds' })).toThrow(
      /weight 'seconds' is not a number .* that is always there/,
    );
    expect(() => define({ recent: 101 })).toThrow(/recent is a whole number from 1 to 100; got 101/);
    expect(() => define({ itemsMax: 8_001 })).toThrow(/itemsMax is a whole number from 2 to 8000; got 8001/);
    expect(() => define({ itemsMax: 1 })).toThrow(/itemsMax is a whole number from 2/);
    expect(() => define({ history: '401d' })).toThrow(/at most 400d; got '401d'/);
    expect(() => define({ gates: [atLeast('aucRoc', 0.5)] })).toThrow(
      /gates are on ndcg10, .*; got 'aucRoc'/,
    );
    expect(() => define({ gates: [{ ...atLeast('ndcg10', 0.1), at: 0.5 }] })).toThrow(
      /a gate on 'ndcg10' has no 'at'/,
    );
    expect(() => define({ retrain: onNewLabels(5) })).toThrow(/onNewEvents\(\) counts its interactions/);
    expect(() => defineRecommender('s'.repeat(51), usual)).toThrow(/has at most 50 characters/);
    expect(() => ease({ lambda: 0 })).toThrow(/lambda is a finite number above 0; got 0/);
    expect(() => itemKnn({ k: 1.5 })).toThrow(/k is a whole number from 1 to 1000; got 1.5/);
    expect(() => itemKnn({ shrinkage: -1 })).toThrow(/shrinkage is a finite number from 0; got -1/);
    expect(() => mostPopular({ halfLife: '0d' })).toThrow(/A duration is a whole number above 0/);
    expect(() => lastOfUsers({ fraction: 1 })).toThrow(/fraction lies between 0 and 1; got 1/);
    expect(() => lastOfUsers({ core: 0 })).toThrow(/core is a whole number from 1 to 1000; got 0/);
    expect(() => onNewEvents(0)).toThrow(/onNewEvents\(\): expected a whole number from 1/);
  });
});

describe('an app with recommenders', () => {
  const shelf = defineRecommender('shelf', usual);

  it('has what they need', () => {
    const app = defineApp('shop', { decisions: {}, recommenders: [shelf] });
    expect([...app.recommenders.keys()]).toEqual(['shelf']);
    expect([...app.vectors.keys()]).toEqual(['shelf_interactions']);
    expect([...app.sources.keys()]).toEqual(['views']);
    expect(app.hash).not.toBe(defineApp('shop', { decisions: {}, sources: [views] }).hash);
  });

  it('tells models and recommenders apart', () => {
    const reports = source('reports', {
      id: 'reportId',
      time: 'at',
      key: 'viewId',
      fields: { reportId: id(), at: timestamp(), viewId: key() },
    });
    const wanted = label('wanted', { of: views, from: reports, on: 'viewId', maturesAfter: '1d' });
    const values = vector('values', { candidate: views, stars: (c) => c.stars });
    const model = defineModel('shelf', { vector: values, label: wanted, trainer: logistic() });
    const score = decision('score', { model, subject: 'userId' });
    expect(() => defineApp('shop', { decisions: { score }, recommenders: [shelf] })).toThrow(
      "'shelf' is both a model and a recommender",
    );
    const other = defineRecommender('shelf', { ...usual, recent: 5 });
    expect(() => defineApp('shop', { decisions: {}, recommenders: [shelf, other] })).toThrow(
      "Two different definitions of recommender 'shelf'",
    );
    const often = defineRecommender('shelf', { ...usual, retrain: every('1d') });
    expect(() => defineApp('shop', { decisions: {}, recommenders: [shelf, often] })).toThrow(
      "Two definitions of recommender 'shelf' with different rules of 'retrain'",
    );
    expect(() =>
      defineModel('m', { vector: values, label: wanted, trainer: logistic(), retrain: onNewEvents(5) }),
    ).toThrow(/onNewEvents\(\) is of recommenders/);
  });
});
