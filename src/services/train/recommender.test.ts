import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { callRoute, type TestWorld, testWorld } from '../../../test/support/service-host.ts';
import { systemClock, systemRandom } from '../../adapters/system/index.ts';
import { threadCompute, workerThreads } from '../../adapters/threads/index.ts';
import {
  type ModelVersion,
  NO_LABEL_HASH,
  partitionOf,
  routes,
  type Run,
  SOURCE_PARTITIONS,
  sourceTopic,
} from '../../contract/index.ts';
import {
  type App,
  atLeast,
  codeOf,
  defineApp,
  defineRecommender,
  ease,
  every,
  id,
  integer,
  itemKnn,
  key,
  lastOfUsers,
  mostPopular,
  onNewEvents,
  source,
  timestamp,
} from '../../define/index.ts';
import { loadItemModel, SeededRandom, topItems } from '../../ml/index.ts';
import type { RunningService, ServiceHost } from '../../runtime/index.ts';
import { NO_TRACE, noFailPoints } from '../../runtime/index.ts';
import { features } from '../features/index.ts';
import { registry } from '../registry/index.ts';
import { train, type TrainOptions, trainTasks } from './index.ts';
import { RECOMMENDER_CODE_VERSION } from './recommender-context.ts';
import type { RecommenderReport } from './recommender-report.ts';

vi.setConfig({ testTimeout: 240_000 });

const views = source('views', {
  id: 'viewId',
  time: 'at',
  key: 'userId',
  fields: { viewId: id(), at: timestamp(), userId: key(), itemId: key(), stars: integer() },
});
const usual = { interactions: views, user: 'userId', item: 'itemId' } as const;
const shelf = defineRecommender('shelf', {
  ...usual,
  trainer: ease({ lambda: 5 }),
  gates: [atLeast('ndcg10', 0.2), atLeast('coverage10', 1.01)],
});
const near = defineRecommender('near', {
  ...usual,
  trainer: itemKnn({ k: 3 }),
  itemsMax: 10,
  weight: 'stars',
});
const popular = defineRecommender('popular', { ...usual, trainer: mostPopular({ halfLife: '1d' }) });
const app = defineApp('shop', { decisions: {}, recommenders: [shelf, near, popular] });

const START = Date.UTC(2026, 0, 5);
const MINUTE = 60_000;

interface View {
  readonly viewId: string;
  readonly at: number;
  readonly userId: string;
  readonly itemId: string;
  readonly stars: number;
}

/** Users like one of three kinds of items, and seldom others. */
function taste(seed: number, users: number): View[] {
  const random = new SeededRandom(seed);
  return Array.from({ length: users * 8 }, (_, serial) => {
    const user = serial % users;
    const kind = random.uniform() < 0.9 ? user % 3 : random.integer(3);
    return view(serial, `u${String(user)}`, `i${String(kind * 10 + random.integer(10))}`);
  });
}

function view(serial: number, userId: string, itemId: string, stars = 1 + (serial % 5)): View {
  return { viewId: `v${String(serial)}`, at: START + serial * MINUTE, userId, itemId, stars };
}

async function append(world: TestWorld, records: readonly View[], to = 'views'): Promise<void> {
  for (let partition = 0; partition < SOURCE_PARTITIONS; partition += 1) {
    const own = records.filter(({ userId }) => partitionOf(userId, SOURCE_PARTITIONS) === partition);
    for (let at = 0; at < own.length; at += 2_000) {
      const batch = own.slice(at, at + 2_000).map((record) => Buffer.from(JSON.stringify(record)));
      await world.postgres.log.append(sourceTopic(to), partition, batch);
    }
  }
}

/** The real neighbours of train, and train with them. */
interface Platform extends AsyncDisposable {
  readonly world: TestWorld;
  readonly call: ServiceHost['call'];
  readonly registry: RunningService;
  start(changes?: Partial<ServiceHost<TrainOptions>>): Promise<RunningService>;
}

let platform: Platform;
const compute = threadCompute({ tasks: trainTasks });
const running = new Set<RunningService>();

async function openPlatform(of: App): Promise<Platform> {
  const world = await testWorld();
  const neighbours = {
    features: await world.start(features, of, { clock: 'event', archiveMs: 600_000 }),
    registry: await world.start(registry, of),
  };
  await world.postgres.migrate([train.migrations]);
  const call = ((route: { readonly service: 'features' | 'registry' }, input: object) =>
    callRoute(neighbours[route.service], route as never, input)) as ServiceHost['call'];
  return {
    world,
    call,
    registry: neighbours.registry,
    async start(changes = {}) {
      const { tables, signals, log, groups, jobs, keys } = world.postgres;
      const service = await train.start({
        app: of,
        options: train.options.parse({ watchMs: 100 }),
        failPoints: noFailPoints,
        instance: 'test',
        replica: 'test',
        peers: () => [],
        clock: systemClock(),
        random: systemRandom(),
        tables,
        signals,
        log,
        groups,
        jobs,
        keys,
        reachable: () => new Set(),
        objects: world.objects,
        warehouse: world.warehouse,
        outsideTables: { read: () => Promise.reject(new Error('train reads no table of others')) },
        compute,
        threads: workerThreads(new Map()),
        call,
        logger: { info: () => undefined, warn: () => undefined, error: () => undefined },
        metrics: world.metrics.of('train'),
        trace: NO_TRACE,
        ...changes,
      });
      running.add(service);
      return service;
    },
    async [Symbol.asyncDispose]() {
      for (const service of running) await stop(service);
      for (const service of Object.values(neighbours)) await service.stop(1_000);
      await world[Symbol.asyncDispose]();
    },
  };
}

async function stop(service: RunningService): Promise<void> {
  running.delete(service);
  await service.stop(0);
}

beforeEach(async () => {
  platform = await openPlatform(app);
});

afterEach(async () => {
  await platform[Symbol.asyncDispose]();
});

const startRun = (service: RunningService, model: string): Promise<Run> =>
  callRoute(service, routes.startRun, { params: { model }, body: {} });

async function until(service: RunningService, run: string, met: (found: Run) => boolean): Promise<Run> {
  for (;;) {
    const found = await callRoute(service, routes.getRun, { params: { id: run } });
    if (met(found)) return found;
    await new Promise((done) => setTimeout(done, 25));
  }
}

const isOver = ({ state }: Run): boolean => ['done', 'failed', 'cancelled'].includes(state);

async function finish(service: RunningService, model: string): Promise<Run> {
  return until(service, (await startRun(service, model)).id, isOver);
}

function versionOf(model: string, version: number | null): Promise<ModelVersion> {
  return callRoute(platform.registry, routes.getVersion, { params: { model, version: String(version) } });
}

async function textOf(digest = ''): Promise<string> {
  return new TextDecoder().decode(await platform.world.objects.get(digest));
}

const states = ({ steps }: Run): string[] => steps.map(({ state }) => state);

describe('a run of a recommender', () => {
  it('goes through the steps of models and registers a version that recommends', async () => {
    await append(platform.world, taste(1, 60));
    const service = await platform.start();
    const run = await finish(service, 'shelf');
    expect(run.error).toBeNull();
    expect(run).toMatchObject({ state: 'done', version: 1 });
    expect(states(run)).toEqual(Array(6).fill('done'));
    const version = await versionOf('shelf', 1);
    expect(version.lineage).toMatchObject({
      run: run.id,
      vectorHash: shelf.training.hash,
      labelHash: NO_LABEL_HASH,
      modelHash: shelf.hash,
      appHash: app.hash,
      codeVersion: RECOMMENDER_CODE_VERSION,
      trainer: { kind: 'ease', lambda: 5, itemsMax: 5_000 },
    });
    expect(version.signature).toEqual({
      inputs: [{ name: 'items', type: 'float32', nullable: false }],
      outputs: [{ name: 'scores', type: 'float32' }],
    });
    expect(run.gates.map(({ metric, passed }) => ({ metric, passed }))).toEqual([
      { metric: 'ndcg10', passed: true },
      { metric: 'coverage10', passed: false },
    ]);
    expect(version.passed).toBe(false);
    expect(version.metrics).toMatchObject({ users: 60, items: 30, interactions: 480, judgedUsers: 60 });
    expect(run.metrics).toMatchObject(version.metrics);
    // The file is the only truth: whoever had items of a kind is recommended others of it.
    const model = loadItemModel(await platform.world.objects.get(version.onnx.digest));
    expect([...model.itemIds].sort()).toEqual(
      Array.from({ length: 30 }, (_, item) => `i${String(item)}`).sort(),
    );
    expect(Array.from(model.codes)).toEqual(model.itemIds.map(codeOf));
    const { items } = model.itemsOf(['i11', 'i14', 'i17', 'elsewhere'].map(codeOf));
    expect(items).toHaveLength(3);
    const best = topItems(model.score(items), 5, { seen: items }).map(({ item }) => model.itemIds[item]);
    expect(best.every((item) => /^i1\d$/.test(item ?? ''))).toBe(true);
    // Popularity falls, and is the number of users.
    expect(Array.from(model.popularity)).toEqual(Array.from(model.popularity).sort((a, b) => b - a));
  });

  it('measures what a card tells, and writes it', async () => {
    await append(platform.world, taste(2, 60));
    const service = await platform.start();
    const run = await finish(service, 'shelf');
    const { report, card, metrics } = await versionOf('shelf', run.version);
    const found = JSON.parse(await textOf(report?.digest)) as RecommenderReport;
    expect(Object.keys(found.metrics).sort()).toEqual(
      ['coverage10', 'hitRate10', 'map10', 'mrr10', 'ndcg10', 'recall10'].sort(),
    );
    for (const [name, value] of Object.entries(found.metrics)) expect(metrics[name]).toBe(value);
    const { low = 1, high = 0 } = found.intervals['ndcg10'] ?? {};
    expect(low).toBeLessThan(found.metrics['ndcg10'] ?? 0);
    expect(high).toBeGreaterThan(found.metrics['ndcg10'] ?? 1);
    // Tastes differ: the most popular items suit nobody as well.
    expect(found.gain.interval?.low).toBeGreaterThan(0);
    expect(found.gain.difference).toBeCloseTo(
      (found.metrics['ndcg10'] ?? 0) - (found.baseline.metrics['ndcg10'] ?? 0),
      12,
    );
    expect(found.judged).toMatchObject({ users: 60, of: 60 });
    expect(found.slices.list.reduce((sum, { users }) => sum + users, 0)).toBe(60);
    expect(found.slices.list.map(({ items }) => items)).toContain(found.slices.worst);
    expect(found.spread[0]).toEqual([0, 0]);
    expect(found.spread.at(-1)).toEqual([1, 1]);
    const markdown = await textOf(card?.markdown.digest);
    expect(markdown).toContain('# Model card: shelf');
    expect(markdown).toContain('| ndcg10 |');
    expect(markdown).toContain('It does worst for users who had');
    expect(await textOf(card?.html.digest)).toMatch(
      /^<!doctype html>[^]*<svg[^]*Spread over the items[^]*<\/html>\n$/,
    );
  });

  it('keeps the most popular items, counts weights, and forgets at its half-life', async () => {
    const records = taste(3, 60);
    await append(platform.world, records);
    const service = await platform.start();
    const [knn, decayed] = [await finish(service, 'near'), await finish(service, 'popular')];
    expect([knn.error, decayed.error]).toEqual([null, null]);
    const load = async (model: string, run: Run) =>
      loadItemModel(await platform.world.objects.get((await versionOf(model, run.version)).onnx.digest));
    const model = await load('near', knn);
    expect(model).toMatchObject({ kind: 'item-knn', parameters: { k: 3, shrinkage: 0 }, itemCount: 10 });
    const most = new Map<string, number>();
    for (const { userId, itemId, stars } of records)
      most.set(`${userId} ${itemId}`, Math.max(most.get(`${userId} ${itemId}`) ?? 0, stars));
    const sums = new Map<string, number>();
    for (const [pair, stars] of most) {
      const item = pair.split(' ')[1] ?? '';
      sums.set(item, (sums.get(item) ?? 0) + stars);
    }
    const ranked = [...sums].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 10);
    expect(model.itemIds).toEqual(ranked.map(([item]) => item));
    expect(Array.from(model.popularity)).toEqual(ranked.map(([, sum]) => sum));
    const card = await textOf((await versionOf('near', knn.version)).card?.markdown.digest);
    expect(card).toContain('20 less popular items are left out, as 10 are kept.');
    const fading = await load('popular', decayed);
    expect(fading).toMatchObject({ kind: 'most-popular', parameters: { halfLifeMs: 86_400_000 } });
    // Everybody has the same scores, and what is older than half a life counts less than half.
    expect(fading.score([0, 4])).toEqual(Float64Array.from(fading.popularity));
    const total = fading.popularity.reduce((sum, value) => sum + value, 0);
    const pairs = new Set(records.map(({ userId, itemId }) => `${userId} ${itemId}`)).size;
    expect(total).toBeLessThan(pairs);
    expect(total).toBeGreaterThan(pairs / 2);
  });

  it('that repeats another does nothing again and gives the same version', async () => {
    await append(platform.world, taste(4, 30));
    const service = await platform.start();
    const first = await finish(service, 'near');
    const second = await finish(service, 'near');
    expect(second).toMatchObject({ state: 'done', version: first.version, metrics: first.metrics });
    expect(states(second)).toEqual(['done', ...Array<string>(5).fill('reused')]);
    const { onnx } = await versionOf('near', first.version);
    // What was lost is made again, and comes out the same.
    await platform.world.objects.remove(onnx.digest);
    const third = await finish(service, 'near');
    expect(third).toMatchObject({ state: 'done', version: first.version });
    expect(await platform.world.objects.has(onnx.digest)).toBe(true);
  });

  it('is one of the models that are listed', async () => {
    await append(platform.world, taste(5, 20));
    const service = await platform.start();
    await finish(service, 'popular');
    const { models } = await callRoute(platform.registry, routes.listModels, {});
    expect(models.map(({ model, newest }) => [model, newest?.version ?? null])).toEqual([
      ['shelf', null],
      ['near', null],
      ['popular', 1],
    ]);
    const { runs } = await callRoute(service, routes.listRuns, { params: { model: 'popular' } });
    expect(runs).toHaveLength(1);
  });
});

describe('interruptions of a recommender', () => {
  it('at any step cost that step only, and the result is the same', async () => {
    await append(platform.world, taste(6, 40));
    const first = await platform.start();
    const whole = await finish(first, 'near');
    await stop(first);
    expect(whole.error).toBeNull();
    const { onnx, report, card } = await versionOf('near', whole.version);
    for (const at of ['dataset', 'split', 'fit-recommender', 'evaluate-recommender', 'bundle'] as const) {
      await platform.world.postgres.tables.query('delete from train_step');
      const reached = Promise.withResolvers<void>();
      const stuck = <TResult>(): Promise<TResult> => {
        reached.resolve();
        return new Promise(() => undefined);
      };
      const doomed = await platform.start({
        ...(at === 'split' ? { warehouse: { session: stuck } } : {}),
        compute: {
          run: (task, input, options) => (task === at ? stuck() : compute.run(task, input, options)),
        },
        call: ((route: { name: string }, input: never) =>
          (at === 'dataset' && route.name === 'buildDataset') ||
          (at === 'bundle' && route.name === 'registerVersion')
            ? stuck()
            : platform.call(route as never, input)) as ServiceHost['call'],
      });
      const { id: run } = await startRun(doomed, 'near');
      await reached.promise;
      const stopped = stop(doomed);
      const tasks: string[] = [];
      const heir = await platform.start({
        compute: {
          run: (task, input, options) => {
            tasks.push(task);
            return compute.run(task, input, options);
          },
        },
      });
      const ended = await until(heir, run, isOver);
      await stopped;
      await stop(heir);
      expect(ended).toMatchObject({ state: 'done', gates: whole.gates });
      expect(await versionOf('near', ended.version)).toMatchObject({ onnx, report, card });
      // What was done is not done again.
      const [fit, evaluate] = ['fit-recommender', 'evaluate-recommender'];
      expect(tasks).toEqual(
        { 'evaluate-recommender': [evaluate], bundle: [] }[at as string] ?? [fit, fit, evaluate],
      );
    }
  });

  it('by a cancellation end it', async () => {
    await append(platform.world, taste(7, 20));
    const reached = Promise.withResolvers<void>();
    const service = await platform.start({
      compute: {
        run: () => {
          reached.resolve();
          return new Promise(() => undefined);
        },
      },
    });
    const { id: run } = await startRun(service, 'shelf');
    await reached.promise;
    const cancelled = await callRoute(service, routes.cancelRun, { params: { id: run } });
    expect(cancelled).toMatchObject({ state: 'cancelled', version: null });
  });
});

describe('interactions that nothing can be learnt from', () => {
  const cases: readonly (readonly [string, readonly View[], RegExp])[] = [
    ['none', [], /^UNPROCESSABLE: There are no interactions that count$/],
    [
      'one_user',
      [view(0, 'u1', 'a'), view(1, 'u1', 'b'), view(2, 'u1', 'c')],
      /^UNPROCESSABLE: A recommender learns from 2 users and 2 items at least; the 3 interactions are of 1 and 3$/,
    ],
    ['one_item', [view(0, 'u1', 'a'), view(1, 'u2', 'a')], /the 2 interactions are of 2 and 1$/],
    [
      'one_item_each',
      [view(0, 'u1', 'a'), view(1, 'u2', 'b')],
      /Recommender 'one_item_each' cannot be judged: no user has two items$/,
    ],
    ['small_core', taste(8, 10), /no user has two items among those with 30 of each other$/],
    ['no_weight', taste(9, 10).map((record) => ({ ...record, stars: 0 })), /no interactions that count$/],
  ];

  it('are refused with what is missing', async () => {
    const recommenders = cases.map(([name]) =>
      defineRecommender(name, {
        interactions: source(`views_of_${name}`, {
          id: 'viewId',
          time: 'at',
          key: 'userId',
          fields: views.fields,
        }),
        user: 'userId',
        item: 'itemId',
        trainer: ease(),
        ...(name === 'no_weight' ? { weight: 'stars' } : {}),
        ...(name === 'small_core' ? { split: lastOfUsers({ core: 30 }) } : {}),
      }),
    );
    await platform[Symbol.asyncDispose]();
    platform = await openPlatform(defineApp('shop', { decisions: {}, recommenders }));
    for (const [name, records] of cases) await append(platform.world, records, `views_of_${name}`);
    const service = await platform.start();
    for (const [name, , message] of cases) {
      const run = await finish(service, name);
      expect(run.state, name).toBe('failed');
      expect(run.error).toMatch(message);
    }
  });
});

describe('rules of a recommender', () => {
  it('count its interactions and queue runs', async () => {
    const daily = defineRecommender('daily', {
      ...usual,
      trainer: mostPopular(),
      retrain: [every('1d'), onNewEvents(100)],
    });
    await platform[Symbol.asyncDispose]();
    platform = await openPlatform(defineApp('shop', { decisions: {}, recommenders: [daily] }));
    await append(platform.world, taste(10, 12));
    const service = await platform.start();
    const list = async () => (await callRoute(service, routes.listSchedules, {})).schedules;
    const [before] = await list();
    expect(before?.rules.map(({ rule }) => rule)).toEqual(['every 1d', '100 new events']);
    expect(before?.rules[1]?.labels).toEqual({ source: 'views', seen: 96, dueAt: 100 });
    await stop(service);
    await append(platform.world, [
      view(900, 'u1', 'i1'),
      view(901, 'u1', 'i2'),
      view(902, 'u2', 'i3'),
      view(903, 'u3', 'i4'),
    ]);
    // A new process counts at once.
    const next = await platform.start();
    const runs = async (): Promise<Run[]> =>
      (await callRoute(next, routes.listRuns, { params: { model: 'daily' } })).runs;
    await vi.waitUntil(async () => (await runs())[0]?.state === 'done', { timeout: 60_000, interval: 50 });
    expect(await runs()).toMatchObject([{ reason: 'scheduled', state: 'done', version: 1 }]);
  });
});

/** The ratings may not be passed on, so they are not part of the repository. */
const FOLDER = resolve(process.env['TANDEM_SHARED'] ?? '../shared', 'data/movielens-small-2016');
const isThere = existsSync(FOLDER);
if (!isThere)
  process.stderr.write(`\nSKIPPED: MovieLens by a run: there is no ${FOLDER} (TANDEM_SHARED)\n\n`);

describe.skipIf(!isThere)('on MovieLens', () => {
  it('EASE reaches the reference by a run', async () => {
    const lines = gunzipSync(readFileSync(join(FOLDER, 'ratings_all.csv.gz')))
      .toString('utf8')
      .trim()
      .split('\n')
      .slice(1);
    const liked = lines
      .map((line) => line.split(',').map(Number) as [user: number, film: number, rating: number, at: number])
      .filter(([, , rating]) => rating >= 4)
      .sort((a, b) => a[3] - b[3] || a[1] - b[1]);
    // Ratings of twenty years, in their order within a few weeks.
    const records = liked.map(([user, film], serial) => view(serial, String(user), String(film)));
    const films = defineRecommender('films', { ...usual, trainer: ease(), split: lastOfUsers({ core: 5 }) });
    await platform[Symbol.asyncDispose]();
    platform = await openPlatform(defineApp('shop', { decisions: {}, recommenders: [films] }));
    await append(platform.world, records);
    const service = await platform.start();
    const run = await finish(service, 'films');
    expect(run.error).toBeNull();
    const { report } = await versionOf('films', run.version);
    const found = JSON.parse(await textOf(report?.digest)) as RecommenderReport;
    expect(found.train).toEqual({ interactions: 35_260, users: 659, items: 2_077 });
    expect(found.judged).toMatchObject({ users: 659, items: 9_153 });
    const { metrics } = found;
    expect(Math.abs((metrics['ndcg10'] ?? 0) - 0.1126)).toBeLessThan(0.0005);
    expect(Math.abs((metrics['recall10'] ?? 0) - 0.0957)).toBeLessThan(0.0005);
    expect(Math.abs((metrics['hitRate10'] ?? 0) - 0.4917)).toBeLessThan(0.0005);
    expect(Math.abs((found.baseline.metrics['ndcg10'] ?? 0) - 0.0653)).toBeLessThan(0.0005);
  });
});
