import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type FreshDatabase, freshDatabase } from '../../../test/conformance/embedded-server.ts';
import { type OpenTrain, openTrain } from '../../../test/support/train-service.ts';
import type { Run } from '../../contract/index.ts';
import {
  atLeast,
  betterThanBaseline,
  byTime,
  defineApp,
  defineModel,
  gbdt,
  type GbdtOptions,
  id,
  key,
  label,
  number,
  source,
  timestamp,
  vector,
} from '../../define/index.ts';
import { loadModel } from '../../ml/index.ts';
import { type Part, readPart } from './part-file.ts';
import type { ModelReport } from './report.ts';
import type { TestTable } from './test-host.ts';

vi.setConfig({ testTimeout: 120_000 });

const impressions = source('impressions', {
  id: 'impressionId',
  time: 'at',
  key: 'requestId',
  fields: {
    impressionId: id(),
    at: timestamp(),
    requestId: key(),
    shelfId: key({ optional: true }),
    affinity: number(),
    hour: number(),
  },
});
const clicks = source('clicks', {
  id: 'clickId',
  time: 'at',
  key: 'impressionId',
  fields: { clickId: id(), at: timestamp(), impressionId: key() },
});
const clicked = label('clicked', { of: impressions, from: clicks, on: 'impressionId', maturesAfter: '1d' });
const offer = vector('offer', { candidate: impressions, affinity: (c) => c.affinity, hour: (c) => c.hour });
const split = byTime({ train: '4d', delay: '1d', test: '2d' });

/**
 * Requests of six impressions each, one every ten minutes: the item of the highest affinity is clicked as a rule. The level of the
 * affinities differs from request to request, so that only an order within one says something. One request of every 50 has no click.
 */
const table: TestTable = {
  vector: offer,
  label: clicked,
  keys: ['requestId', 'shelfId'],
  select: ({ from, to }) => `
    select 'i' || n as id, time, 0::bigint as partition, n::bigint as position, 'r' || request as "key_requestId",
      case when request % 2 = 0 then null else 's' || request % 3 end as "key_shelfId",
      (request % 50 <> 0 and own + hash(n * 7) % 100 / 400.0 = max(own + hash(n * 7) % 100 / 400.0) over (partition by request)) as label,
      (own + 10 * (request % 3))::double as affinity, (request % 24)::double as hour
    from (
      select range as n, range // 6 as request, hash(range) % 1000 / 100.0 as own,
        -- The last of a request comes a while later.
        (${String(from)} + (range // 6) * 600000 + case when range % 6 = 5 then 60000 else 0 end)::bigint as time
      from range(10000)
    ) where time >= ${String(from)} and time < ${String(to)}`,
};

function appOf(options: GbdtOptions = {}, groupBy = 'requestId') {
  const trainer = gbdt({ objective: 'rank', groupBy, rounds: 40, ...options });
  const gates = [
    atLeast('ndcg10', 0.7),
    atLeast('mrr10', 0.99),
    atLeast('map10', 0.5, { bound: 'lower' }),
    betterThanBaseline('ndcg10', { bound: 'lower' }),
  ];
  const model = defineModel('ranker', { vector: offer, label: clicked, trainer, split, gates });
  return defineApp('shelf', { decisions: {}, models: [model] });
}

let directory: string;
let database: FreshDatabase;
let train: OpenTrain;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ranking-'));
  database = await freshDatabase();
}, 60_000);
afterEach(() => train.close());
afterAll(async () => {
  await database[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

async function finish(app: ReturnType<typeof appOf>, own: TestTable = table): Promise<Run> {
  train = await openTrain({ app, table: own, databaseUrl: database.url, directory, appDirectory: directory });
  return train.finish('ranker');
}

async function partsOf(run: Run): Promise<{ learnt: Part; judged: Part; leftOut: number }> {
  const [row] = await train.tables.query<{
    output: { train: { digest: string }; test: { digest: string }; leftOut: number };
  }>(`select output from train_step where step = 'split' and run = $1`, [run.id]);
  const read = async (digest = ''): Promise<Part> => readPart(await train.objects.get(digest));
  const { output } = row ?? {};
  return {
    learnt: await read(output?.train.digest),
    judged: await read(output?.test.digest),
    leftOut: output?.leftOut ?? -1,
  };
}

async function text(digest = ''): Promise<string> {
  return new TextDecoder().decode(await train.objects.get(digest));
}

describe('a model that ranks', () => {
  it('learns an order within groups, and is judged by it', async () => {
    const run = await finish(appOf());
    expect(run.error).toBeNull();
    const [version] = train.neighbours.versions;
    const report = JSON.parse(await text(version?.report?.digest)) as ModelReport;
    const { ndcg10 = 0, mrr10 = 0, map10 = 0 } = report.metrics;
    expect(run.metrics).toMatchObject({ ndcg10, mrr10, map10 });
    expect(ndcg10).toBeGreaterThan(0.9);
    // By chance the one of six is in place 3.5 on average.
    expect(report.baseline.metrics['ndcg10']).toBeGreaterThan(0.5);
    expect(report.baseline.metrics['ndcg10']).toBeLessThan(0.6);
    expect(report.intervals['ndcg10']?.low).toBeLessThan(ndcg10);
    expect(run.gates.map(({ passed }) => passed)).toEqual([true, false, true, true]);
    expect(run.gates[2]?.value).toBe(report.intervals['map10']?.low);
    expect(run.gates[3]?.baseline).toBe(report.baseline.metrics['ndcg10']);
    expect(report.task).toBe('ranking');
    // Two days of a request each ten minutes; those of no click are not judged.
    expect(report.groups?.test).toBe(288);
    expect(report.groups?.judged).toBeLessThan(288);
    expect(report.importance.inputs[0]?.name).toBe('affinity');
    expect(report.slices.list.map(({ input }) => input)).not.toContain('affinity');
    expect(new Set(report.slices.list.map(({ input }) => input))).toContain('hour');
    const markdown = await text(version?.card?.markdown.digest);
    expect(markdown).toContain('so that within a group those of which');
    expect(markdown).toMatch(
      /The baseline is an order by chance\. \d+ of 288 groups are judged, those with a positive row/,
    );
    expect(markdown).not.toMatch(/Calibration|ROC|Decisions at thresholds|probability that/);
    expect(version?.signature.outputs).toEqual([{ name: 'prediction', type: 'float32' }]);
    const model = loadModel(await train.objects.get(version?.onnx.digest ?? ''));
    expect(model).toMatchObject({ kind: 'trees', task: 'ranking', outputName: 'prediction' });
    // The file gives the order that was measured: the place of the hit of each group, in which rows of equal score are ahead or not.
    const { judged } = await partsOf(run);
    const scores = new Float64Array(judged.rows);
    model.predict(judged.values, judged.rows, scores);
    let [groups, least, most] = [0, 0, 0];
    for (let group = 0; group < 288; group += 1) {
      const rows = [...scores.keys()].filter((row) => judged.entities?.[row] === group);
      const hit = rows.find((row) => judged.labels[row] === 1);
      if (hit === undefined) continue;
      groups += 1;
      const own = scores[hit] ?? 0;
      least += 1 / rows.filter((row) => (scores[row] ?? 0) >= own).length;
      most += 1 / (1 + rows.filter((row) => (scores[row] ?? 0) > own).length);
    }
    expect(groups).toBe(report.groups?.judged);
    expect(least / groups).toBeLessThanOrEqual(mrr10 + 1e-12);
    expect(most / groups).toBeGreaterThanOrEqual(mrr10 - 1e-12);
    expect(most / groups - least / groups).toBeLessThan(0.1);
  });

  it('has no group on both sides, and leaves out those that are in no period alone', async () => {
    // One request begins 30 seconds before the end of the training period and goes on in the delay, one likewise before the test.
    const shifted: TestTable = {
      ...table,
      select: (
        request,
      ) => `select * replace (time - 30000 as time) from (${table.select({ ...request, to: request.to + 60_000 })})
        where time - 30000 >= ${String(request.from)} and time - 30000 < ${String(request.to)}`,
    };
    const run = await finish(appOf(), shifted);
    const { learnt, judged, leftOut } = await partsOf(run);
    expect([learnt.rows, judged.rows, leftOut]).toEqual([4 * 144 * 6 - 5, 2 * 144 * 6 - 1, 6]);
    for (const part of [learnt, judged]) {
      const entities = [...(part.entities ?? [])];
      expect(entities).toEqual(entities.toSorted((a, b) => a - b));
      const inner = entities.filter((entity) => entity > 0 && entity < (entities.at(-1) ?? 0));
      expect(inner.length).toBe(6 * new Set(inner).size);
    }
    expect(run.steps.find(({ name }) => name === 'split')?.note).toContain(`; ${leftOut} rows left out`);
  });

  it('stops early by the newest groups', async () => {
    const run = await finish(appOf({ rounds: 400, earlyStopping: true }));
    expect(run).toMatchObject({ state: 'done', error: null });
    expect(run.metrics['ndcg10']).toBeGreaterThan(0.9);
    const note = run.steps.find(({ name }) => name === 'fit')?.note ?? '';
    expect(Number(/(\d+) bytes of ONNX/.exec(note)?.[1])).toBeLessThan(1_000_000);
  });

  it('is refused with counts where no group lies in a period alone', async () => {
    const run = await finish(appOf({}, 'shelfId'));
    expect(run.error).toMatch(
      /^UNPROCESSABLE: Both periods need a group with a positive and a negative row: train \S+ \.\. \S+ has 0 groups of 0 rows, 0 positive; test .* \d+ rows were left out: they have no 'shelfId', or it has rows outside of the period too$/,
    );
  });
});
