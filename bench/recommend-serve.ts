import { systemClock, systemRandom } from '../src/adapters/system/index.ts';
import { type RecommendationAnswer, routes, type ServiceName } from '../src/contract/index.ts';
import {
  type App,
  asOf,
  codeOf,
  count,
  defineApp,
  defineModel,
  defineRecommender,
  ease,
  features as defineFeatures,
  gbdt,
  last,
  recommendation,
  vector,
} from '../src/define/index.ts';
import {
  encodeItemModel,
  fitEase,
  fitMostPopular,
  type ItemModel,
  interactionsOf,
  loadItemModel,
  SeededRandom,
} from '../src/ml/index.ts';
import { localCaller, type RunningService } from '../src/runtime/index.ts';
import { features } from '../src/services/features/index.ts';
import { registry } from '../src/services/registry/index.ts';
import { serve } from '../src/services/serve/index.ts';
import { orderItems } from '../src/services/serve/order-items.ts';
import { proposeCandidates } from '../src/services/serve/propose-candidates.ts';
import {
  append,
  type CallAny,
  clicked,
  impressions,
  rankModel,
  register,
  requests,
  views,
} from '../test/support/recommend-shop.ts';
import { type TestWorld, testWorld } from '../test/support/service-host.ts';
import type { Measurement } from './run.ts';
import { median } from './support/median.ts';

/*
 * What one recommendation costs: 100 candidates of 3,500 items, ranked by 100 trees over 15 features. Serve and features are in
 * one process and call each other as functions, as under `tandem dev`: the figures are theirs, without HTTP, a client or PostgreSQL,
 * which writes the ledger. Users have 50 items in their history.
 */

const ITEMS = 3_500;
const USERS = 500;
const VIEWS_OF_A_USER = 60;
const CANDIDATES = 100;
const ROUNDS = 5;
const RECOMMENDATIONS = Number(process.env['BENCH_RECOMMENDATIONS'] ?? 300);
const WARM_UP = 600;
const IN_FLIGHT = 8;

const itemIds = Array.from({ length: ITEMS }, (_, item) => `item-${String(item)}`);

function app(): App {
  const item = defineFeatures('item', { from: views, key: 'itemId' }, (v) => ({
    n: count().over('1h', '1d', '7d', '30d'),
    quiet: asOf().toNumber().minus(last(v.at).over('30d').value().toNumber()),
    share: count().over('1d').value().dividedBy(count().over('30d').value()),
    rise: count().over('1h').value().dividedBy(count().over('1d').value()),
  }));
  const user = defineFeatures('user', { from: views, key: 'userId' }, (v) => ({
    n: count().over('1h', '1d', '7d', '30d'),
    quiet: asOf().toNumber().minus(last(v.at).over('30d').value().toNumber()),
    share: count().over('1h').value().dividedBy(count().over('1d').value()),
    week: count().over('7d').value().dividedBy(count().over('30d').value()),
  }));
  const shown = vector('shown', { candidate: impressions, score: (c) => c.candidateScore, item, user });
  const model = defineModel('ranker', { vector: shown, label: clicked, trainer: gbdt() });
  const candidates = defineRecommender('shelf', {
    interactions: views,
    user: 'userId',
    item: 'itemId',
    trainer: ease(),
  });
  const rank = { model, item: 'itemId', score: 'candidateScore' } as const;
  const forYou = recommendation('for_you', {
    request: requests,
    candidates,
    take: CANDIDATES,
    rank,
    ledger: 'buffered',
  });
  return defineApp('bench', { recommendations: { for_you: forYou } });
}

/** Who had to do with what, items of falling popularity. */
function interactions(): { readonly userId: string; readonly itemId: string }[] {
  const random = new SeededRandom(1);
  return Array.from({ length: USERS * VIEWS_OF_A_USER }, (_, row) => ({
    userId: `u${String(row % USERS)}`,
    itemId: itemIds[Math.floor(ITEMS * random.uniform() ** 2)] ?? '',
  }));
}

function shelf(rows: ReturnType<typeof interactions>): Uint8Array {
  const fitted = interactionsOf(
    { users: rows.map(({ userId }) => userId), items: rows.map(({ itemId }) => itemId) },
    { items: itemIds },
  );
  const { popularity } = fitMostPopular(fitted);
  return encodeItemModel(fitEase(fitted), { ids: itemIds, codes: itemIds.map(codeOf), popularity });
}

export async function measure(): Promise<Measurement> {
  await using world = await testWorld();
  const rows = interactions();
  const bytes = shelf(rows);
  const services = new Map<ServiceName, RunningService>();
  const call = localCaller(services, { clock: systemClock(), random: systemRandom() });
  const shop = app();
  for (const definition of [features, registry, serve] as const) {
    const options = definition.name === 'features' ? { archiveMs: 600_000 } : {};
    services.set(definition.name, await world.start(definition as typeof serve, shop, options, call));
  }
  await fill(world, rows);
  const callAny: CallAny = (route, input) =>
    call(route, { params: {}, query: {}, body: {}, ...input } as never) as never;
  await register(world, callAny, { app: shop, model: 'shelf', bytes, key: 'shelf' });
  const trees = rankModel(shop.vectors.get('shown')?.values.length ?? 0, 1, { rounds: 100, maxDepth: 6 });
  await register(world, callAny, { app: shop, model: 'ranker', bytes: trees, key: 'ranker' });
  await callAny(routes.createRelease, { body: { decision: 'for_you', version: 1, ranker: 1 } });
  let serial = 0;
  const recommend = (): Promise<RecommendationAnswer> => {
    serial += 1;
    const request = { requestId: `r${String(serial)}`, at: Date.now(), userId: `u${String(serial % USERS)}` };
    return callAny(routes.recommend, {
      params: { recommendation: 'for_you' },
      body: { request, seen: 'remove' },
    });
  };
  await ready(recommend);
  await together(WARM_UP, recommend);
  const cpuUs = await rounds(() => cpuOf(() => together(RECOMMENDATIONS, recommend)));
  const latencies = await oneByOne(RECOMMENDATIONS, recommend);
  const alone = scoring(loadItemModel(bytes), rows);
  for (const name of ['serve', 'registry', 'features'] as const) await services.get(name)?.stop(5_000);
  return {
    metrics: {
      cpuUsPerRecommendation: cpuUs / RECOMMENDATIONS,
      latencyMsP50: median(latencies),
      scoringCpuUsPerRecommendation: alone,
    },
    goals: [{ metric: 'scoringCpuUsPerRecommendation', goal: 500, bound: 'max' }],
  };
}

async function fill(world: TestWorld, rows: ReturnType<typeof interactions>): Promise<void> {
  const from = Date.now() - 20 * 86_400_000;
  const records = rows.map((row, index) => ({
    viewId: `v${String(index)}`,
    at: from + Math.floor((index / rows.length) * 20 * 86_400_000),
    ...row,
  }));
  for (let start = 0; start < records.length; start += 2_000)
    await append(world, views, records.slice(start, start + 2_000));
}

/** Until the release answers with all that the users did. */
async function ready(recommend: () => Promise<RecommendationAnswer>): Promise<void> {
  for (;;) {
    const answer = await recommend().catch(() => undefined);
    if (answer !== undefined && answer.fallback === null) return;
    await systemClock().sleep(200);
  }
}

async function together(total: number, work: () => Promise<unknown>): Promise<void> {
  let left = total;
  const sender = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await work();
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, sender));
}

async function oneByOne(total: number, work: () => Promise<unknown>): Promise<number[]> {
  const latencies: number[] = [];
  for (let index = 0; index < total; index += 1) {
    const start = performance.now();
    await work();
    latencies.push(performance.now() - start);
  }
  return latencies;
}

async function rounds(measureOnce: () => Promise<number>): Promise<number> {
  const found: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) found.push(await measureOnce());
  return median(found);
}

async function cpuOf(work: () => Promise<void>): Promise<number> {
  const start = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(start);
  return user + system;
}

/** Candidates and their order alone, in microseconds of CPU. */
function scoring(model: ItemModel, rows: ReturnType<typeof interactions>): number {
  const codes = [...new Set(rows.slice(0, 50).map(({ itemId }) => codeOf(itemId)))];
  const history = { codes, weights: undefined };
  const once = (): void => {
    const { candidates } = proposeCandidates(model, { history, take: CANDIDATES, seen: 'remove' });
    orderItems(model, candidates, { scores: undefined, limit: 10, diversity: 0 });
  };
  for (let index = 0; index < WARM_UP; index += 1) once();
  const start = process.cpuUsage();
  for (let index = 0; index < RECOMMENDATIONS; index += 1) once();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / RECOMMENDATIONS;
}
