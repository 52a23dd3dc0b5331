import {
  partitionOf,
  type ModelVersion,
  routes,
  SOURCE_PARTITIONS,
  sourceTopic,
} from '../../src/contract/index.ts';
import {
  type App,
  codeOf,
  count,
  defineApp,
  defineModel,
  defineRecommender,
  ease,
  features as defineFeatures,
  gbdt,
  id,
  key,
  label,
  type Model,
  number,
  pick,
  recommendation,
  type RecommendationOptions,
  type Source,
  source,
  text,
  timestamp,
  vector,
} from '../../src/define/index.ts';
import {
  encodeItemModel,
  encodePipeline,
  fitEase,
  fitMostPopular,
  fitTrees,
  interactionsOf,
  matrixOf,
  SeededRandom,
} from '../../src/ml/index.ts';
import type { AnyRoute, InputOf, ResultOf } from '../../src/contract/index.ts';
import type { TestWorld } from './service-host.ts';

/*
 * A shop that recommends: what its events and features are, a recommender and a ranker that are fitted here, and how the
 * registry gets to know them.
 */

export const views = source('views', {
  id: 'viewId',
  time: 'at',
  key: 'userId',
  fields: { viewId: id(), at: timestamp(), userId: key(), itemId: key() },
});
export const requests = source('requests', {
  id: 'requestId',
  time: 'at',
  key: 'userId',
  fields: { requestId: id(), at: timestamp(), userId: key(), device: text({ optional: true }) },
});
export const impressions = source('impressions', {
  id: 'impressionId',
  time: 'at',
  key: 'userId',
  fields: {
    impressionId: id(),
    at: timestamp(),
    requestId: key(),
    userId: key(),
    itemId: key(),
    candidateScore: number(),
    device: text({ optional: true }),
  },
});
const clicks = source('clicks', {
  id: 'clickId',
  time: 'at',
  key: 'impressionId',
  fields: { clickId: id(), at: timestamp(), impressionId: key() },
});
export const clicked = label('clicked', {
  of: impressions,
  from: clicks,
  on: 'impressionId',
  maturesAfter: '1h',
});

const shopItem = defineFeatures('item', { from: views, key: 'itemId' }, () => ({
  views: count().over('1d', '7d'),
}));
const person = defineFeatures('person', { from: views, key: 'userId' }, () => ({
  views: count().over('1d'),
}));
/** The same group, grown by a feature. */
const grownItem = defineFeatures('item', { from: views, key: 'itemId' }, () => ({
  views: count().over('1d', '7d', '30d'),
}));

export const shown = vector('shown', {
  candidate: impressions,
  score: (c) => c.candidateScore,
  item: pick(shopItem, 'views_1d', 'views_7d'),
  person,
});
const shownBefore = vector('shown', {
  candidate: impressions,
  score: (c) => c.candidateScore,
  item: pick(grownItem, 'views_1d', 'views_7d'),
  person,
});
export const wider = vector('wider', {
  candidate: impressions,
  score: (c) => c.candidateScore,
  item: grownItem,
  person,
});

export const ranker = defineModel('ranker', { vector: shown, label: clicked, trainer: gbdt() });
export const shelf = defineRecommender('shelf', {
  interactions: views,
  user: 'userId',
  item: 'itemId',
  trainer: ease({ lambda: 1 }),
  recent: 20,
});

type Options = RecommendationOptions<typeof requests, typeof impressions>;

/** An app with one recommendation, `for_you`, of `shelf`. */
export function shopApp(
  changes: Partial<Options> = {},
  others: { readonly models?: readonly Model[] } = {},
): App {
  const forYou = recommendation('for_you', {
    request: requests,
    candidates: shelf,
    take: 8,
    answer: 4,
    rank: { model: ranker, item: 'itemId', score: 'candidateScore' },
    ...changes,
  });
  return defineApp('shop', { recommendations: { for_you: forYou }, ...others });
}

/** The app with one more feature in the vector of a second ranker; the first one is kept. */
export function grownApp(): App {
  const before = defineModel('ranker', { vector: shownBefore, label: clicked, trainer: gbdt() });
  const model = defineModel('ranker2', { vector: wider, label: clicked, trainer: gbdt() });
  return shopApp({ rank: { model, item: 'itemId', score: 'candidateScore' } }, { models: [before] });
}

/** So many items: half of them `red-n`, half `blue-n`. */
export const ITEMS = 24;
export const itemIds: readonly string[] = Array.from({ length: ITEMS }, (_, item) =>
  item % 2 === 0 ? `red-${String(item >> 1)}` : `blue-${String(item >> 1)}`,
);

/** A recommender of people who like either red or blue, less popular items having higher indices. */
export function itemModel(seed = 1): Uint8Array {
  const random = new SeededRandom(seed);
  const rows: { readonly user: string; readonly item: string }[] = [];
  for (let user = 0; user < 200; user += 1) {
    for (let view = 0; view < 6; view += 1) {
      const rank = Math.floor((ITEMS / 2) * random.uniform() ** 2);
      rows.push({ user: `u${String(user)}`, item: itemIds[2 * rank + (user % 2)] ?? '' });
    }
  }
  const interactions = interactionsOf(
    { users: rows.map(({ user }) => user), items: rows.map(({ item }) => item) },
    { items: itemIds },
  );
  return encodeItemModel(fitEase(interactions, { lambda: 1 }), {
    ids: itemIds,
    codes: itemIds.map(codeOf),
    popularity: fitMostPopular(interactions).popularity,
  });
}

/** How large a ranker is. */
export interface RankerSize {
  readonly rounds: number;
  readonly maxDepth: number;
}

/** A ranker of rows of so many values that goes by all of them, differently for each seed. */
export function rankModel(
  columns: number,
  seed = 1,
  size: RankerSize = { rounds: 20, maxDepth: 3 },
): Uint8Array {
  const random = new SeededRandom(seed);
  const [groups, groupSize] = [60, 8];
  const rows = Array.from({ length: groups * groupSize }, () =>
    Array.from({ length: columns }, (_, column) => (column === 0 ? random.uniform() : random.integer(12))),
  );
  const weights = Array.from({ length: columns }, () => random.uniform() - 0.5);
  const labels = rows.map((row) =>
    row.reduce((sum, value, column) => sum + value * (weights[column] ?? 0), 0) > 0 ? 1 : 0,
  );
  const model = fitTrees(matrixOf(rows), labels, {
    objective: 'lambdaRank',
    groups: Array.from({ length: groups }, () => groupSize),
    ...size,
  });
  return encodePipeline({ model, task: 'ranking' });
}

/** Calls a route of whichever service has it. */
export type CallAny = <TRoute extends AnyRoute>(
  route: TRoute,
  input: Partial<InputOf<TRoute>>,
  options?: { readonly timeoutMs?: number },
) => Promise<ResultOf<TRoute>>;

/** Registers a version of a model or recommender of the app. */
export async function register(
  world: Pick<TestWorld, 'objects'>,
  call: CallAny,
  version: { readonly app: App; readonly model: string; readonly bytes: Uint8Array; readonly key: string },
): Promise<ModelVersion> {
  const { app, model, bytes } = version;
  const defined = app.models.get(model) ?? app.recommenders.get(model);
  if (defined === undefined) throw new Error(`The app has no ${model}`);
  const { hash: vectorHash } = defined.type === 'model' ? defined.vector : defined.training;
  const digest = `sha256:${'0'.repeat(64)}`;
  const body = {
    onnx: await world.objects.put(bytes),
    signature: { inputs: [], outputs: [] },
    metrics: {},
    gates: [],
    lineage: {
      run: 'r',
      dataset: digest,
      vectorHash,
      labelHash: digest,
      modelHash: defined.hash,
      appHash: app.hash,
      codeVersion: '1',
      trainer: {},
      seed: 0,
      asOf: 1,
    },
    idempotencyKey: version.key,
  };
  return call(routes.registerVersion, { params: { model }, body } as never) as Promise<ModelVersion>;
}

/** Appends records to the log, as ingest does. */
export async function append(world: TestWorld, from: Source, records: readonly object[]): Promise<void> {
  const batches = new Map<number, Uint8Array[]>();
  for (const record of records as readonly Record<string, unknown>[]) {
    const partition = partitionOf(String(record[from.key]), SOURCE_PARTITIONS);
    const batch = batches.get(partition) ?? [];
    batch.push(Buffer.from(JSON.stringify(record)));
    batches.set(partition, batch);
  }
  for (const [partition, batch] of batches)
    await world.postgres.log.append(sourceTopic(from.name), partition, batch);
}
