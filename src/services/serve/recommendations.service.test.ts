import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PATIENCE, Shop } from '../../../test/support/recommend-services.ts';
import {
  grownApp,
  itemIds,
  itemModel,
  rankModel,
  shelf,
  shopApp,
  views,
} from '../../../test/support/recommend-shop.ts';
import { defineApp, defineRecommender, ease } from '../../define/index.ts';
import {
  PlatformError,
  type RecommendationAnswer,
  type Release,
  routes,
  type Verification,
} from '../../contract/index.ts';

async function failure(work: Promise<unknown>): Promise<PlatformError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!PlatformError.is(error)) throw new Error(`Expected a PlatformError, got ${String(error)}`);
  return error;
}

const namesOf = ({ items }: RecommendationAnswer): string[] => items.map(({ item }) => item);
const scoresOf = ({ items }: RecommendationAnswer): object[] =>
  items.map(({ item, score, candidateScore }) => ({ item, score, candidateScore }));
const colours = (answer: RecommendationAnswer): string[] =>
  namesOf(answer).map((item) => item.replace(/-.*/, ''));

describe('a recommendation', () => {
  let shop: Shop;
  let release: Release;
  beforeAll(async () => {
    shop = await Shop.open();
    release = await shop.begin();
  });
  afterAll(() => shop[Symbol.asyncDispose]());

  it('is of popular items for everybody who is new, in the order of the ranker', async () => {
    expect(release).toMatchObject({ id: 'for_you-1', model: 'shelf', version: 1, vector: 'for_you_shelf' });
    expect(release.ranker).toMatchObject({ model: 'ranker', version: 1, vector: 'shown' });
    const answer = await shop.recommend('ann');
    expect(answer).toMatchObject({ recommendation: 'for_you', release: 'for_you-1', fallback: 'no history' });
    // Four of the eight most popular ones, by the ranker.
    expect(answer.items).toHaveLength(4);
    for (const { item, impressionId } of answer.items) {
      expect(itemIds.indexOf(item)).toBeLessThan(14);
      expect(impressionId).toMatch(new RegExp(`^q\\d+:${item}$`));
    }
    const scores = answer.items.map(({ score }) => score);
    expect(scores).toEqual(scores.toSorted((a, b) => b - a));
    expect(await shop.ready()).toEqual({ ready: true });
  });

  it('changes with the next click, once the features have it', async () => {
    expect((await shop.recommend('ben')).fallback).toBe('no history');
    await shop.view('ben', ['red-1', 'red-2']);
    await expect.poll(async () => (await shop.recommend('ben')).fallback, PATIENCE).toBeNull();
    const red = await shop.recommend('ben');
    expect(colours(red)).toEqual(['red', 'red', 'red', 'red']);
    expect(namesOf(red)).not.toContain('red-1');
    await shop.view('ben', ['blue-0', 'blue-1', 'blue-2', 'blue-3']);
    await expect.poll(async () => colours(await shop.recommend('ben')), PATIENCE).toContain('blue');
    expect(
      await shop.metric(
        'serve_recommendations_total{recommendation="for_you",fallback="none",release="for_you-1"}',
      ),
    ).toBeGreaterThan(1);
    expect(await shop.metric('serve_in_flight')).toBe(0);
  });

  it('says when it knows none of the items that a user had to do with', async () => {
    await shop.view('eve', ['green-1']);
    await expect.poll(async () => (await shop.recommend('eve')).fallback, PATIENCE).toBe('unknown items');
    expect((await shop.recommend('eve')).items).toHaveLength(4);
  });

  it('leaves out what was seen and excluded, answers only what is asked for, and no more than the limit', async () => {
    await shop.view('dan', ['red-0', 'red-3']);
    await expect.poll(async () => (await shop.recommend('dan')).fallback, PATIENCE).toBeNull();
    const all = await shop.recommend('dan');
    const [first = ''] = namesOf(all);
    expect(namesOf(await shop.recommend('dan', { exclude: [first, 'nothing'] }))).not.toContain(first);
    const some = await shop.recommend('dan', { only: ['blue-4', 'red-5', 'red-0', 'nothing'] });
    expect(namesOf(some).toSorted()).toEqual(['blue-4', 'red-5']);
    const kept = await shop.recommend('dan', { only: ['red-0'], seen: 'keep' });
    expect(namesOf(kept)).toEqual(['red-0']);
    expect(namesOf(await shop.recommend('dan', { limit: 1 }))).toEqual([first]);
    const none = await shop.recommend('dan', { only: ['red-0'] });
    expect(none.items).toEqual([]);
    expect((await shop.replay(none)).equal).toBe(true);
    const excluded = await shop.recommend('new', { exclude: itemIds.slice(0, 20) });
    expect(namesOf(excluded).toSorted()).toEqual(itemIds.slice(20).toSorted());
  });

  it('says what is wrong with a request', async () => {
    const ask = (body: object): Promise<PlatformError> =>
      failure(shop.call(routes.recommend, { params: { recommendation: 'for_you' }, body } as never));
    const request = { requestId: 'bad', at: Date.now(), userId: 'ann' };
    expect(await ask({ request: { ...request, device: 7 } })).toMatchObject({
      code: 'BAD_REQUEST',
      details: { code: 'FIELD_TYPE', field: 'device' },
    });
    expect(await ask({ request: { requestId: 'bad', at: 1 } })).toMatchObject({ code: 'BAD_REQUEST' });
    expect(await ask({ request, limit: 5 })).toMatchObject({
      code: 'BAD_REQUEST',
      details: { field: 'limit', answer: 4 },
    });
    // Longer than an impression's id may be, together with any item.
    const long = { ...request, requestId: 'q'.repeat(125) };
    expect(await ask({ request: long })).toMatchObject({
      code: 'BAD_REQUEST',
      message: expect.stringContaining('shorten the request'),
    });
    expect(await ask({ request: { ...request, at: Date.now() + 3_600_000 } })).toMatchObject({
      code: 'BAD_REQUEST',
      details: { code: 'TIME_IN_FUTURE' },
    });
    const unknown = { params: { recommendation: 'nothing' }, body: { request } } as never;
    expect(await failure(shop.call(routes.recommend, unknown))).toMatchObject({
      code: 'DECISION_NOT_FOUND',
      details: { recommendations: ['for_you'] },
    });
    expect(await failure(shop.recommend('ann', {}, 0))).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(
      await shop.metric('serve_errors_total{decision="for_you",code="BAD_REQUEST"}'),
    ).toBeGreaterThanOrEqual(5);
  });

  it('is in the ledger with all that it was made of, and replays bit for bit under later releases', async () => {
    await shop.view('kim', ['red-2', 'blue-3']);
    await expect.poll(async () => (await shop.recommend('kim')).fallback, PATIENCE).toBeNull();
    const request = { requestId: 'rare', at: Date.now(), userId: 'kim', device: 'phone' };
    const answer = await shop.call(routes.recommend, {
      params: { recommendation: 'for_you' },
      body: { request, exclude: ['red-4'], seen: 'remove' },
    });
    const entry = await shop.entry(answer);
    expect(entry).toMatchObject({
      decisionId: answer.recommendationId,
      decision: 'for_you',
      subject: 'kim',
      outcome: 'recommended',
      release: answer.release,
      asOf: answer.asOf,
      request,
      vector: 'for_you_shelf',
      score: answer.items[0]?.score,
      recommendation: {
        exclude: ['red-4'],
        seen: 'remove',
        limit: 4,
        take: 8,
        candidates: 8,
        items: answer.items,
        ranking: { vector: 'shown', item: 'itemId', score: 'candidateScore' },
      },
    });
    expect(entry.recommendation?.ranking?.copied).toEqual(['requestId', 'userId', 'device']);
    expect(entry.recommendation?.ranking?.asOf).toHaveLength(8);
    await shop.view('kim', ['blue-0', 'blue-1', 'blue-2']);
    await expect
      .poll(async () => namesOf(await shop.recommend('kim')), PATIENCE)
      .not.toEqual(namesOf(answer));
    await shop.until(await shop.release({ version: await shop.register('shelf', itemModel(2)) }));
    const replayed = await shop.replay(answer);
    expect(replayed).toMatchObject({ equal: true, differences: [] });
    expect(replayed.recomputed.items).toEqual(scoresOf(answer));
    expect(replayed.recomputed.values.filter((value) => value !== null)).toHaveLength(2);
  });

  it('does not replay as equal when its record was changed', async () => {
    const answer = await shop.recommend('kim');
    const changed = [
      ['{recommendation,items,0,score}', '0.125', ['items']],
      ['{recommendation,candidates}', '7', ['candidates', 'items']],
      ['{values,0}', '1', ['history_item_400d_1']],
    ] as const;
    for (const [path, value, differences] of changed) {
      await shop.world.postgres.tables.query(
        `update serve_ledger set entry = jsonb_set(entry::jsonb, '${path}', '${value}')::json
         where decision_id = $1`,
        [answer.recommendationId],
      );
      const replayed = await shop.replay(answer);
      expect(replayed.equal).toBe(false);
      expect(replayed.differences).toEqual(expect.arrayContaining([...differences]));
    }
  });

  it('is verified by the history that it was made of, as decisions are by their vectors', async () => {
    await shop.recommend('kim');
    const since = Date.now() - 3_600_000;
    const body = { since, until: Date.now() + 1_000, sample: 20 };
    const { id } = await shop.call(routes.startVerification, { body });
    const get = (): Promise<Verification> => shop.call(routes.getVerification, { params: { id } });
    await expect.poll(async () => (await get()).endedAt, PATIENCE).not.toBeNull();
    const found = await get();
    // One record was changed by the test before.
    expect(found.differences.map(({ feature }) => feature)).toEqual(
      found.mismatches === 0 ? [] : ['history_item_400d_1'],
    );
    expect(found).toMatchObject({ state: 'done', rows: 20, values: 400 });
  });
});

describe('a recommendation of state that several replicas own', () => {
  it('replays from the positions that each of its vectors was read at', async () => {
    await using shop = await Shop.open();
    await shop.begin();
    await shop.view('ann', ['red-0', 'red-1', 'blue-4']);
    await shop.share();
    await expect.poll(async () => (await shop.recommend('ann')).fallback, PATIENCE).toBeNull();
    // Views come all the time, so that the owners stand at different positions.
    let stop = false;
    const traffic = (async () => {
      for (let serial = 0; !stop; serial += 1) {
        await shop.view(`u${String(serial % 9)}`, ['red-2', 'blue-5']);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    const answers: RecommendationAnswer[] = [];
    const isGathered = async (answer: RecommendationAnswer): Promise<boolean> =>
      (await shop.entry(answer)).recommendation?.ranking?.groups !== undefined;
    const gathered = async (): Promise<boolean> => {
      const answer = await shop.recommend('ann');
      answers.push(answer);
      return isGathered(answer);
    };
    await expect.poll(gathered, PATIENCE).toBe(true);
    stop = true;
    await traffic;
    for (const answer of answers.slice(-3)) expect(await shop.replay(answer)).toMatchObject({ equal: true });
  });
});

describe('releases of a recommendation', () => {
  it('are switched as one: no answer mixes two, and one part is updated without the other', async () => {
    await using shop = await Shop.open();
    await shop.begin(1);
    const shelves = [1, await shop.register('shelf', itemModel(5))];
    const rankers = [1, await shop.register('ranker', rankModel(4, 5))];
    /** What a release must answer to everybody who is new, by both versions. */
    const expected = new Map<string, string>();
    const textOf = (answer: RecommendationAnswer): string => JSON.stringify(scoresOf(answer));
    for (const version of shelves) {
      for (const ranker of rankers) {
        await shop.until(await shop.release({ version: version ?? 0, ranker: ranker ?? 0 }));
        expected.set(`${String(version)}/${String(ranker)}`, textOf(await shop.recommend('x')));
      }
    }
    expect(new Set(expected.values()).size).toBe(4);
    const versions = new Map<string, string>();
    const answers: RecommendationAnswer[] = [];
    let stop = false;
    const clients = Array.from({ length: 4 }, async () => {
      while (!stop) answers.push(await shop.recommend('x'));
    });
    for (const change of [
      { version: 1 },
      { ranker: 1 },
      { version: 2 },
      { ranker: 2 },
      { version: 1, ranker: 1 },
    ]) {
      const release = await shop.release(change);
      versions.set(release.id, `${String(release.version)}/${String(release.ranker?.version)}`);
      await shop.until(release);
    }
    stop = true;
    await Promise.all(clients);
    expect([...versions.values()]).toEqual(['1/2', '1/1', '2/1', '2/2', '1/1']);
    const checked = answers.filter(({ release }) => versions.has(release));
    for (const answer of checked)
      expect(textOf(answer)).toBe(expected.get(versions.get(answer.release) ?? ''));
    expect(checked.length).toBeGreaterThan(4);
  });

  it('that cannot be loaded never take over', async () => {
    await using shop = await Shop.open();
    const good = await shop.begin();
    const broken = [
      { version: await shop.register('shelf', new Uint8Array([1, 2, 3])) },
      { version: 1, ranker: await shop.register('ranker', rankModel(3)) },
      { version: await shop.register('shelf', rankModel(4)) },
      { version: 1, ranker: await shop.register('ranker', itemModel()) },
    ];
    for (const versions of broken) {
      const release = await shop.release(versions);
      await expect.poll(async () => (await shop.ready()).reason, PATIENCE).toContain(release.id);
      expect((await shop.recommend('ann')).release).toBe(good.id);
    }
    await shop.until(await shop.release({ version: 1, ranker: 1 }));
    expect(await shop.ready()).toEqual({ ready: true });
  });

  it('without a ranker answer candidates in their own order; a durable record is not needed for all', async () => {
    await using shop = await Shop.open(shopApp({ ledger: 'buffered', diversity: 0.6 }));
    expect(await failure(shop.recommend('ann'))).toMatchObject({ code: 'NO_RELEASE', retryable: true });
    await expect.poll(async () => (await shop.ready()).reason, PATIENCE).toBe('no release yet for for_you');
    expect((await shop.ready()).ready).toBe(true);
    const version = await shop.register('shelf', itemModel());
    await shop.until(await shop.release({ version }));
    await shop.view('ann', ['red-0']);
    await expect.poll(async () => (await shop.recommend('ann')).fallback, PATIENCE).toBeNull();
    const plain = await shop.recommend('ann');
    for (const { score, candidateScore } of plain.items) expect(score).toBe(candidateScore);
    const entry = await shop.entry(plain);
    expect(entry.recommendation).toMatchObject({ ranking: null, diversity: 0.6 });
    await expect.poll(() => shop.metric('serve_ledger_buffered_entries'), PATIENCE).toBe(0);
    expect(await shop.entry(plain)).toEqual(entry);
    expect((await shop.replay(plain)).equal).toBe(true);
  });

  it('go on while a recommender that reads another history is trained and released, and so does whoever knows none', async () => {
    await using shop = await Shop.open();
    const first = await shop.begin();
    const before = await shop.recommend('ann');
    const short = defineRecommender('short', {
      interactions: views,
      user: 'userId',
      item: 'itemId',
      trainer: ease({ lambda: 1 }),
      recent: 2,
    });
    shop.app = shopApp({ candidates: short, earlier: [shelf] });
    for (const service of ['features', 'registry', 'serve'] as const) await shop.start(service);
    await shop.until(first);
    const next = await shop.release({ version: await shop.register('short', itemModel(4)) });
    expect(next).toMatchObject({ model: 'short', vector: 'for_you_short', ranker: first.ranker });
    await shop.until(next);
    expect((await shop.replay(before)).equal).toBe(true);
    const after = await shop.recommend('ann');
    expect((await shop.entry(after)).values).toHaveLength(2);
    expect((await shop.replay(after)).equal).toBe(true);
    // A process of an app that does not recommend passes over such releases.
    shop.app = defineApp('shop', { recommenders: [shelf] });
    await shop.start('serve');
    await expect.poll(() => shop.ready(), PATIENCE).toEqual({ ready: true });
    expect(await failure(shop.recommend('ann'))).toMatchObject({ code: 'DECISION_NOT_FOUND' });
  });

  it('go on with their own vectors until one with a new feature is released', async () => {
    await using shop = await Shop.open();
    const first = await shop.begin();
    const before = await shop.recommend('ann');
    // Features first, as a roll-out does; serve and registry of the old app go on.
    shop.app = grownApp();
    await shop.start('features');
    expect((await shop.recommend('ann')).release).toBe(first.id);
    await shop.start('registry');
    await shop.start('serve');
    // The release in charge goes on, with its own vector.
    await shop.until(first);
    expect((await shop.replay(before)).equal).toBe(true);
    const version = await shop.register('shelf', itemModel(3));
    const kept = await shop.release({ version });
    expect(kept.ranker).toEqual(first.ranker);
    await shop.until(kept);
    const ranker = await shop.register('ranker2', rankModel(5));
    const grown = await shop.release({ ranker });
    expect(grown).toMatchObject({ version, ranker: { model: 'ranker2', vector: 'wider' } });
    await shop.until(grown);
    expect(await shop.ready()).toEqual({ ready: true });
    const after = await shop.recommend('ann');
    expect((await shop.replay(after)).equal).toBe(true);
    expect((await shop.replay(before)).equal).toBe(true);
  });
});
