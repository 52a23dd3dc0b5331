import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  grownApp,
  itemModel,
  rankModel,
  register,
  requests,
  shelf,
  shopApp,
  views,
} from '../../../test/support/recommend-shop.ts';
import { callRoute, type TestWorld, testWorld } from '../../../test/support/service-host.ts';
import { type InputOf, PlatformError, type Release, routes } from '../../contract/index.ts';
import { type App, atLeast, defineApp, defineRecommender, ease, recommendation } from '../../define/index.ts';
import type { RunningService } from '../../runtime/index.ts';
import { registry } from './index.ts';

async function failure(work: Promise<unknown>): Promise<PlatformError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!PlatformError.is(error)) throw new Error(`Expected a PlatformError, got ${String(error)}`);
  return error;
}

describe('a release of a recommendation', () => {
  let world: TestWorld;
  let service: RunningService;
  let app = shopApp();
  let serial = 0;
  beforeAll(async () => {
    world = await testWorld();
    service = await world.start(registry, app);
    await add('shelf', itemModel());
    await add('ranker', rankModel(4));
    await add('ranker', rankModel(4, 2));
  });
  afterAll(async () => {
    await service.stop(1_000);
    await world[Symbol.asyncDispose]();
  });

  const call = (route: never, input: never): Promise<never> => callRoute(service, route, input) as never;
  async function add(model: string, bytes: Uint8Array, of: App = app): Promise<number> {
    serial += 1;
    return (await register(world, call as never, { app: of, model, bytes, key: String(serial) })).version;
  }
  const release = (body: Partial<InputOf<typeof routes.createRelease>['body']>): Promise<Release> =>
    callRoute(service, routes.createRelease, { body: { decision: 'for_you', ...body } });
  async function restart(changed: App): Promise<void> {
    await service.stop(1_000);
    app = changed;
    service = await world.start(registry, app);
  }

  it('names a recommender at first, and keeps what it does not name from then on', async () => {
    expect(await failure(release({ ranker: 1 }))).toMatchObject({
      code: 'BAD_REQUEST',
      details: { field: 'version' },
    });
    const first = await release({ version: 1, reason: 'the first' });
    expect(first).toMatchObject({ id: 'for_you-1', model: 'shelf', version: 1, ranker: null, threshold: 0 });
    expect(first.vectorHash).toBe(app.vectors.get('for_you_shelf')?.hash);
    const ranked = await release({ ranker: 1, expected: 'for_you-1' });
    expect(ranked).toMatchObject({
      id: 'for_you-2',
      version: 1,
      onnx: first.onnx,
      ranker: { model: 'ranker', version: 1, vector: 'shown', vectorHash: app.vectors.get('shown')?.hash },
    });
    expect(await release({ ranker: 2 })).toMatchObject({ version: 1, ranker: { version: 2 } });
    expect(await release({ version: 1 })).toMatchObject({ version: 1, ranker: { version: 2 } });
    expect(await release({ ranker: null })).toMatchObject({ version: 1, ranker: null });
    const got = await callRoute(service, routes.getRelease, { params: { id: 'for_you-2' } });
    expect(got).toEqual(ranked);
    const { releases } = await callRoute(service, routes.getCurrentReleases, {});
    expect(releases).toMatchObject([{ id: 'for_you-5', ranker: null }]);
    const audit = await world.postgres.tables.query<{ details: object }>(
      `select details from registry_audit where subject = 'for_you-2'`,
    );
    expect(audit).toMatchObject([{ details: { model: 'shelf', version: 1, ranker: 'ranker/1' } }]);
  });

  it('answers a repeated key with the same release', async () => {
    const body = { version: 1, ranker: 2, idempotencyKey: 'once' };
    const first = await release(body);
    expect(await release(body)).toEqual(first);
    expect(await failure(release({ ...body, ranker: 1 }))).toMatchObject({ code: 'CONFLICT' });
  });

  it('is refused when a version is unknown, not admitted, or asked for what is not there', async () => {
    expect(await failure(release({ version: 9 }))).toMatchObject({ code: 'MODEL_NOT_FOUND' });
    expect(await failure(release({ ranker: 9 }))).toMatchObject({
      code: 'MODEL_NOT_FOUND',
      details: { model: 'ranker', version: 9 },
    });
    expect(await failure(release({ version: 1, threshold: 0.5 }))).toMatchObject({
      code: 'BAD_REQUEST',
      details: { field: 'threshold' },
    });
    expect(await failure(release({ decision: 'nothing', version: 1 }))).toMatchObject({
      code: 'DECISION_NOT_FOUND',
      details: { recommendations: ['for_you'] },
    });
    const strict = defineRecommender('strict', {
      interactions: views,
      user: 'userId',
      item: 'itemId',
      trainer: ease(),
      gates: [atLeast('ndcg10', 0.05)],
    });
    const gated = shopApp({ candidates: strict, earlier: [shelf] });
    await restart(gated);
    await add('strict', itemModel());
    expect(await failure(release({ version: 1 }))).toMatchObject({
      code: 'GATE_FAILED',
      details: { model: 'strict', missing: [{ metric: 'ndcg10' }] },
    });
    // What is in charge stays, although another recommender proposes now.
    expect(await release({ ranker: 1 })).toMatchObject({ model: 'shelf', vector: 'for_you_shelf' });
  });

  it('keeps a ranker of before only as long as its vector is there', async () => {
    await restart(grownApp());
    await release({ version: 1 });
    expect((await release({ version: 1 })).ranker).toMatchObject({ model: 'ranker', vector: 'shown' });
    // Trained for the vector of the former ranker.
    await add('ranker2', rankModel(5));
    const { rank } = grownApp().recommendations.get('for_you') ?? {};
    if (rank === undefined) throw new Error('The app does not rank');
    const other = shopApp({
      rank: { model: rank.model as never, item: 'itemId', score: 'candidateScore' },
    });
    await restart(other);
    expect(await failure(release({ version: 1 }))).toMatchObject({
      code: 'UNPROCESSABLE',
      details: { vector: 'shown', current: null },
    });
    expect(await release({ version: 1, ranker: 1 })).toMatchObject({ ranker: { model: 'ranker2' } });
  });

  it('drops the ranker in words when the app does not rank any more', async () => {
    const plain = recommendation('for_you', { request: requests, candidates: shelf });
    await restart(defineApp('shop', { recommendations: { for_you: plain } }));
    expect(await failure(release({ version: 1 }))).toMatchObject({
      code: 'BAD_REQUEST',
      details: { field: 'ranker' },
    });
    expect(await failure(release({ version: 1, ranker: 1 }))).toMatchObject({ code: 'BAD_REQUEST' });
    expect(await release({ version: 1, ranker: null })).toMatchObject({ ranker: null });
  });
});
