import { describe, expect, it } from 'vitest';
import { impressions, ranker, requests, shelf, shopApp, views } from '../../test/support/recommend-shop.ts';
import {
  boolean,
  decision,
  defineApp,
  defineModel,
  defineRecommender,
  ease,
  type Fields,
  id,
  integer,
  key,
  label,
  logistic,
  money,
  number,
  recommendation,
  type Source,
  source,
  text,
  timestamp,
  vector,
} from './index.ts';

/** A recommendation of `requests` whose ranker reads impressions of these fields, beside id, time, item and score. */
function ranked(fields: Fields, request: Source = requests): ReturnType<typeof recommendation> {
  const own = { impressionId: id(), at: timestamp(), itemId: key(), candidateScore: number() };
  const shown = source('shown', {
    id: 'impressionId',
    time: 'at',
    key: 'itemId',
    fields: { ...own, ...fields },
  });
  const clicks = source('clicks', {
    id: 'clickId',
    time: 'at',
    key: 'impressionId',
    fields: { clickId: id(), at: timestamp(), impressionId: key() },
  });
  const model = defineModel('m', {
    vector: vector('v', { candidate: shown, score: (c) => c.candidateScore }),
    label: label('clicked', { of: shown, from: clicks, on: 'impressionId', maturesAfter: '1h' }),
    trainer: logistic(),
  });
  return recommendation('for_you', {
    request,
    candidates: shelf,
    rank: { model, item: 'itemId', score: 'candidateScore' },
  });
}

describe('recommendation', () => {
  it('ranks 100 candidates, answers 10 and records durably unless told otherwise', () => {
    const plain = recommendation('for_you', { request: requests, candidates: shelf });
    expect(plain).toMatchObject({ take: 100, answer: 10, ledger: 'durable', user: 'userId' });
    expect(plain.history).toMatchObject({ name: 'for_you_shelf', candidate: { name: 'requests' } });
    expect(recommendation('few', { request: requests, candidates: shelf, take: 3 }).answer).toBe(3);
    const same = recommendation('for_you', { request: requests, candidates: shelf, diversity: 0 });
    expect(same.hash).toBe(plain.hash);
    for (const change of [{ take: 50 }, { answer: 3 }, { diversity: 0.1 }, { ledger: 'buffered' as const }])
      expect(recommendation('for_you', { request: requests, candidates: shelf, ...change }).hash).not.toBe(
        plain.hash,
      );
  });

  it('makes impressions of the fields that have the same name in the request', () => {
    const app = shopApp();
    expect(app.recommendations.get('for_you')?.rank?.copied).toEqual(['requestId', 'userId', 'device']);
    expect(
      ranked({ device: text({ optional: true }), place: text({ optional: true }) }).rank?.copied,
    ).toEqual(['device']);
  });

  it.each([
    ['nothing gives a required field', { place: text() }, "field 'place' of 'shown'", 'nothing gives it'],
    ['it may be missing', { device: text() }, "'device'", 'it is optional there and required here'],
    [
      'it is of another kind',
      { device: boolean({ optional: true }) },
      "'device'",
      'it is text there, not boolean',
    ],
    ['it may be longer', { device: text({ optional: true, lengthMax: 5 }) }, "'device'", 'longer there'],
  ])('is refused when %s', (_, fields, what, why) => {
    expect(() => ranked(fields)).toThrow(TypeError);
    expect(() => ranked(fields)).toThrow(what);
    expect(() => ranked(fields)).toThrow(why);
  });

  it('compares amounts and bounds of numbers', () => {
    const request = source('asks', {
      id: 'askId',
      time: 'at',
      key: 'userId',
      fields: {
        askId: id(),
        at: timestamp(),
        userId: key(),
        budget: money('EUR'),
        n: integer({ minimum: 0 }),
      },
    });
    expect(
      ranked({ budget: money('EUR'), n: number({ minimum: -1 }), askId: key() }, request).rank?.copied,
    ).toEqual(['budget', 'n', 'askId']);
    expect(() => ranked({ budget: money('USD') }, request)).toThrow('its currency is EUR there, not USD');
    expect(() => ranked({ n: integer({ minimum: 1 }) }, request)).toThrow('it may be less there than here');
  });

  it('is refused when fields, numbers or the user are not what they must be', () => {
    const options = { request: requests, candidates: shelf };
    expect(() => recommendation('r', { ...options, take: 1_001 })).toThrow(
      'take is a whole number from 1 to 1000',
    );
    expect(() => recommendation('r', { ...options, answer: 101 })).toThrow(
      'answer is a whole number from 1 to 100',
    );
    expect(() => recommendation('r', { ...options, diversity: 2 })).toThrow('diversity is in [0, 1]');
    expect(() => recommendation('1', options)).toThrow('The name of a recommendation');
    const rank = { model: ranker, item: 'itemId', score: 'candidateScore' } as const;
    expect(() => recommendation('r', { ...options, rank: { ...rank, item: 'nothing' as 'itemId' } })).toThrow(
      "rank.item names a key or text field of 'impressions'; got 'nothing'",
    );
    expect(() => recommendation('r', { ...options, rank: { ...rank, score: 'device' } })).toThrow(
      'rank.score',
    );
    expect(() => recommendation('r', { ...options, rank: { ...rank, item: 'impressionId' } })).toThrow(
      'are fields of their own',
    );
    const nobody = source('nobody', {
      id: 'askId',
      time: 'at',
      key: 'askId',
      fields: { askId: id(), at: timestamp() },
    });
    expect(() => recommendation('r', { request: nobody, candidates: shelf })).toThrow("'userId'");
    expect(() => recommendation('r'.repeat(60), options)).toThrow('at most 62 characters together');
  });
});

describe('an app with recommendations', () => {
  it('has what they need, and keeps what earlier ones need', () => {
    const app = shopApp();
    expect([...app.recommenders.keys()]).toEqual(['shelf']);
    expect([...app.models.keys()]).toEqual(['ranker']);
    expect([...app.vectors.keys()]).toEqual(['shown', 'shelf_interactions', 'for_you_shelf']);
    expect([...app.sources.keys()].toSorted()).toEqual(['clicks', 'impressions', 'requests', 'views']);
    const short = defineRecommender('short', {
      interactions: views,
      user: 'userId',
      item: 'itemId',
      trainer: ease(),
      recent: 5,
    });
    const moved = shopApp({ candidates: short, earlier: [shelf] });
    expect([...moved.vectors.keys()]).toContain('for_you_shelf');
    expect(moved.vectors.get('for_you_shelf')?.hash).toBe(app.vectors.get('for_you_shelf')?.hash);
    expect([...moved.recommenders.keys()]).toEqual(['short', 'shelf']);
  });

  it('has one namespace for decisions and recommendations', () => {
    const forYou = recommendation('for_you', { request: requests, candidates: shelf });
    const decide = decision('for_you', { model: ranker, subject: 'userId' });
    expect(() =>
      defineApp('shop', { decisions: { for_you: decide }, recommendations: { for_you: forYou } }),
    ).toThrow("'for_you' is the name of a decision and of a recommendation");
    expect(() => defineApp('shop', { recommendations: { other: forYou } })).toThrow(
      "recommendation 'for_you' is listed under the name 'other'",
    );
  });

  it('without any has the hash that it always had', () => {
    const of = { decisions: { d: decision('d', { model: ranker, subject: 'userId' }) } };
    expect(defineApp('shop', { ...of, recommendations: {} }).hash).toBe(defineApp('shop', of).hash);
    expect(impressions.hash).toBe(ranker.vector.candidate.hash);
  });
});
