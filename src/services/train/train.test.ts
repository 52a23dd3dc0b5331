import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type FreshDatabase, freshDatabase } from '../../../test/conformance/embedded-server.ts';
import { duckdbWarehouse } from '../../adapters/duckdb/index.ts';
import { directoryObjects } from '../../adapters/objects/index.ts';
import { openPostgres, type Postgres } from '../../adapters/postgres/index.ts';
import { systemClock, systemRandom } from '../../adapters/system/index.ts';
import { threadCompute, workerThreads } from '../../adapters/threads/index.ts';
import { PlatformError, routes, type Run } from '../../contract/index.ts';
import { loadModel } from '../../ml/index.ts';
import { noFailPoints } from '../../runtime/index.ts';
import type {
  Compute,
  Metrics,
  Objects,
  RunningService,
  ServiceHost,
  Warehouse,
} from '../../runtime/index.ts';
import { NO_TRACE } from '../../runtime/trace/index.ts';
import { train, type TrainOptions, trainTasks } from './index.ts';
import { readPart } from './part-file.ts';
import type { ModelReport } from './report.ts';
import { DAY_MS } from './periods.ts';
import { app, AS_OF, Neighbours, ROWS } from './test-host.ts';

vi.setConfig({ testTimeout: 120_000 });
/** For what another process or thread does. */
const PATIENCE = { timeout: 60_000, interval: 50 };

let directory: string;
let database: FreshDatabase;
let postgres: Postgres;
let objects: Objects;
let warehouse: Warehouse;
let compute: Compute;
const services = new Set<RunningService>();

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'train-'));
  database = await freshDatabase();
  postgres = await openPostgres(database.url, { applicationName: 'train test', connectionsMax: 10 });
  await postgres.migrate([train.migrations]);
  objects = directoryObjects(join(directory, 'objects'));
  warehouse = duckdbWarehouse({ directory: join(directory, 'scratch') });
  compute = threadCompute({ tasks: trainTasks });
}, 60_000);

// All tests share one queue: what a failed test left running would work for the next one.
afterEach(async () => {
  for (const service of services) await stop(service);
});

afterAll(async () => {
  await postgres.close();
  await database[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

const silent: Metrics = {
  counter: () => ({ add: () => undefined }),
  gauge: () => ({ set: () => undefined }),
  histogram: () => ({ observe: () => undefined }),
};

interface Changes extends Partial<ServiceHost<TrainOptions>> {
  readonly set?: Partial<TrainOptions>;
}

async function startTrain(
  neighbours: Neighbours,
  { set = {}, ...changes }: Changes = {},
): Promise<RunningService> {
  const { tables, signals, log, groups, jobs } = postgres;
  const service = await train.start({
    app,
    options: train.options.parse(set),
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
    keys: postgres.keys,
    reachable: () => new Set(),
    objects,
    warehouse,
    outsideTables: { read: () => Promise.reject(new Error('train reads no table of others')) },
    compute,
    threads: workerThreads(new Map()),
    call: neighbours.call,
    logger: { info: () => undefined, warn: () => undefined, error: () => undefined },
    metrics: silent,
    trace: NO_TRACE,
    ...changes,
  });
  services.add(service);
  return service;
}

async function stop(service: RunningService): Promise<void> {
  services.delete(service);
  await service.stop(0);
}

function invoke(on: RunningService, name: string, input: object): Promise<unknown> {
  const entry = on.handlers.find(({ route }) => route.name === name);
  if (entry === undefined) throw new Error(`No handler for ${name}`);
  const context = {
    requestId: 'test',
    principal: { subject: 'test', roles: ['admin'] as const },
    deadlineMs: Number.POSITIVE_INFINITY,
    signal: new AbortController().signal,
  };
  return entry.handle({ params: {}, query: {}, body: {}, ...input }, context);
}

async function start(on: RunningService, model: string, body: object = { asOf: AS_OF }): Promise<Run> {
  return routes.startRun.result.parse(await invoke(on, 'startRun', { params: { model }, body }));
}

async function read(on: RunningService, runId: string): Promise<Run> {
  return routes.getRun.result.parse(await invoke(on, 'getRun', { params: { id: runId } }));
}

async function cancel(on: RunningService, runId: string): Promise<Run> {
  return routes.cancelRun.result.parse(await invoke(on, 'cancelRun', { params: { id: runId } }));
}

async function until(on: RunningService, runId: string, met: (run: Run) => boolean): Promise<Run> {
  for (;;) {
    const run = await read(on, runId);
    if (met(run)) return run;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

const isOver = (run: Run): boolean => ['done', 'failed', 'cancelled'].includes(run.state);
const states = (run: Run): string[] => run.steps.map((step) => step.state);

/** A promise and the function that resolves it. */
function gate(): { readonly passed: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { passed: promise, open: resolve };
}

describe('a run', () => {
  it('goes through its steps and registers a version whose file gives the metrics', async () => {
    const neighbours = new Neighbours(objects, warehouse);
    const service = await startTrain(neighbours);
    const started = await start(service, 'linear');
    expect(started).toMatchObject({ model: 'linear', state: 'queued', asOf: AS_OF, version: null });
    expect(states(started)).toEqual(Array(6).fill('waiting'));
    const run = await until(service, started.id, isOver);
    expect(run.error).toBeNull();
    expect(run).toMatchObject({ state: 'done', version: 1, asOf: AS_OF });
    expect(states(run)).toEqual(Array(6).fill('done'));
    expect(
      run.steps.every(({ progress, seconds, key: stepKey }) => progress === 1 && seconds !== null && stepKey),
    ).toBe(true);
    expect(run.gates.map(({ metric, passed }) => ({ metric, passed }))).toEqual([
      { metric: 'aucRoc', passed: true },
      { metric: 'cardPrecision100', passed: true },
    ]);
    const end = Date.parse('2024-03-07T00:00Z');
    expect(neighbours.built).toEqual([
      { vector: 'card', label: 'fraud', from: end - 6 * DAY_MS, to: end, knowledge: 'latest', asOf: AS_OF },
    ]);
    const [version] = neighbours.versions;
    expect(version?.lineage).toMatchObject({
      run: run.id,
      modelHash: app.models.get('linear')?.hash,
      appHash: app.hash,
      seed: 0,
      asOf: AS_OF,
    });
    expect(version?.lineage.codeVersion).toBe('steps-1.1.2.3.2.3');
    expect(version?.signature.inputs.map(({ name }) => name)).toEqual(['amount', 'age']);
    // The file is the only truth: what it answers gives the metric that was registered.
    const [{ output }] = (await postgres.tables.query(
      `select output from train_step where step = 'split' and run = $1`,
      [run.id],
    )) as [{ output: { test: { digest: string } } }];
    const part = readPart(await objects.get(output.test.digest));
    const scores = new Float64Array(part.rows);
    loadModel(await objects.get(version?.onnx.digest ?? '')).predict(part.values, part.rows, scores);
    const brier =
      scores.reduce((sum, score, row) => sum + (score - (part.labels[row] ?? 0)) ** 2, 0) / part.rows;
    expect(version?.metrics['brier']).toBeCloseTo(brier, 12);
    expect(run.metrics).toMatchObject({ ...version?.metrics, testRows: part.rows });
    // Customers with a fraud in the training period are not among the test rows.
    expect(part.rows).toBeGreaterThan(100);
    expect(part.rows).toBeLessThan(ROWS / 3);
    await stop(service);
  });

  it('measures what a card tells, and writes it, with the version', async () => {
    const neighbours = new Neighbours(objects, warehouse);
    neighbours.fraudEvery = 12;
    const service = await startTrain(neighbours);
    const run = await until(service, (await start(service, 'linear')).id, isOver);
    await stop(service);
    const [version] = neighbours.versions;
    const text = async (digest = ''): Promise<string> => new TextDecoder().decode(await objects.get(digest));
    const report = JSON.parse(await text(version?.report?.digest)) as ModelReport;
    expect(report.metrics['aucRoc']).toBe(run.metrics['aucRoc']);
    const { low = 1, high = 0 } = report.intervals['aucRoc'] ?? {};
    expect(low).toBeLessThan(report.metrics['aucRoc'] ?? 0);
    expect(high).toBeGreaterThan(report.metrics['aucRoc'] ?? 1);
    // Whoever knows only how often it happens ranks nobody, and is surprised more.
    const { metrics, probability } = report.baseline;
    expect(metrics['aucRoc']).toBe(0.5);
    expect(metrics['logLoss']).toBeGreaterThan(report.metrics['logLoss'] ?? 1);
    expect(probability).toBe(report.train.positives / report.train.rows);
    // Frauds of the test data are large payments; age says nothing.
    expect(report.importance.inputs[0]?.name).toBe('amount');
    expect(report.slices.list.length).toBeGreaterThan(1);
    const amounts = report.slices.list.filter(({ input }) => input === 'amount');
    expect(amounts.reduce((sum, { rows }) => sum + rows, 0)).toBe(report.test.rows);
    expect(amounts.reduce((sum, { positives }) => sum + positives, 0)).toBe(report.test.positives);
    expect(report.inputs.map(({ name, quantiles }) => [name, quantiles.length])).toEqual([
      ['amount', 11],
      ['age', 11],
    ]);
    const markdown = await text(version?.card?.markdown.digest);
    expect(markdown).toContain('# Model card: linear');
    expect(markdown).toContain(`| dataset | ${version?.lineage.dataset ?? ''} |`);
    expect(await text(version?.card?.html.digest)).toMatch(
      /^<!doctype html>[^]*<svg[^]*ROC curve[^]*<\/html>\n$/,
    );
  });

  it('that repeats another does nothing again and gives the same version', async () => {
    const neighbours = new Neighbours(objects, warehouse);
    neighbours.fraudEvery = 8;
    const service = await startTrain(neighbours);
    const first = await until(service, (await start(service, 'trees')).id, isOver);
    const second = await until(service, (await start(service, 'trees')).id, isOver);
    expect(first.state).toBe('done');
    // A gate that is not met does not fail the run.
    expect(first.gates.map(({ passed }) => passed)).toEqual([false]);
    expect(second).toMatchObject({
      state: 'done',
      version: first.version,
      metrics: first.metrics,
      gates: first.gates,
    });
    expect(states(second)).toEqual(['done', ...Array<string>(5).fill('reused')]);
    expect(second.steps.slice(1).map((step) => step.key)).toEqual(
      first.steps.slice(1).map((step) => step.key),
    );
    expect(neighbours.versions).toHaveLength(1);
    // What was lost is made again, and comes out the same.
    const onnx = neighbours.versions[0]?.onnx.digest ?? '';
    await objects.remove(onnx);
    const third = await until(service, (await start(service, 'trees')).id, isOver);
    expect(third).toMatchObject({ state: 'done', version: first.version });
    expect(states(third)).toEqual(['done', 'reused', 'done', 'reused', 'reused', 'reused']);
    expect(await objects.has(onnx)).toBe(true);
    expect(neighbours.versions).toHaveLength(1);
    await stop(service);
  });

  it('takes the clock of the features when no instant is given, and waits for who is away', async () => {
    const neighbours = new Neighbours(objects, warehouse);
    neighbours.clock = AS_OF + 1;
    neighbours.failures = [new PlatformError('UNAVAILABLE', 'away'), new PlatformError('OVERLOADED', 'busy')];
    const service = await startTrain(neighbours);
    const run = await until(service, (await start(service, 'linear', {})).id, isOver);
    expect(run).toMatchObject({ state: 'done', asOf: AS_OF + 1 });
    await stop(service);
  });

  it('fails with periods and counts when a class is missing', async () => {
    const neighbours = new Neighbours(objects, warehouse);
    neighbours.fraudEvery = ROWS * 2;
    const service = await startTrain(neighbours);
    const run = await until(service, (await start(service, 'linear')).id, isOver);
    expect(run.state).toBe('failed');
    expect(run.error).toMatch(
      /^UNPROCESSABLE: .* training 2024-03-01 \.\. 2024-03-04 has 1500 rows, 1 positive; test 2024-03-05 \.\. /,
    );
    expect(states(run)).toEqual(['done', 'failed', ...Array<string>(4).fill('waiting')]);
    expect(run.finishedAt).not.toBeNull();
    await stop(service);
  });

  it('fails when a part stays away for longer than it waits', async () => {
    const neighbours = new Neighbours(objects, warehouse);
    neighbours.failures = Array.from({ length: 9 }, () => new PlatformError('UNAVAILABLE', 'away'));
    const service = await startTrain(neighbours, { set: { waitMs: 0 } });
    const run = await until(service, (await start(service, 'linear')).id, isOver);
    expect(run).toMatchObject({ state: 'failed', error: 'UNAVAILABLE: away' });
    // Each attempt of the job tried once.
    expect(neighbours.failures).toHaveLength(6);
    await stop(service);
  });
});

describe('interruptions', () => {
  it('at any step cost that step only, and the result is the same', async () => {
    const reference = new Neighbours(objects, warehouse);
    reference.fraudEvery = 10;
    const first = await startTrain(reference);
    const whole = await until(first, (await start(first, 'linear')).id, isOver);
    await stop(first);
    for (const at of ['dataset', 'split', 'fit', 'evaluate', 'bundle'] as const) {
      await postgres.tables.query('delete from train_step; delete from train_bundle;');
      const neighbours = new Neighbours(objects, warehouse);
      neighbours.fraudEvery = 10;
      const reached = gate();
      const stuck = <TResult>(): Promise<TResult> => {
        reached.open();
        return new Promise(() => undefined);
      };
      const doomed = await startTrain(neighbours, {
        ...(at === 'split' ? { warehouse: { session: stuck } } : {}),
        compute: {
          run: (task, input, options) => (task === at ? stuck() : compute.run(task, input, options)),
        },
        call: ((route: { name: string }, input: never) =>
          (at === 'dataset' && route.name === 'buildDataset') ||
          (at === 'bundle' && route.name === 'registerVersion')
            ? stuck()
            : neighbours.answer(route, input)) as ServiceHost['call'],
      });
      const { id: runId } = await start(doomed, 'linear');
      await reached.passed;
      const stopped = stop(doomed);
      const tasks: string[] = [];
      const heir = await startTrain(neighbours, {
        compute: {
          run: (task, input, options) => {
            tasks.push(task);
            return compute.run(task, input, options);
          },
        },
      });
      const run = await until(heir, runId, isOver);
      await stopped;
      await stop(heir);
      expect(run).toMatchObject({ state: 'done', gates: whole.gates });
      const made = ({ versions }: Neighbours): unknown[] =>
        versions.map(({ onnx, metrics, report, card }) => ({ onnx, metrics, report, card }));
      expect(made(neighbours)).toEqual(made(reference));
      // What was done is not done again.
      expect(neighbours.built).toHaveLength(1);
      expect(tasks).toEqual({ evaluate: ['evaluate'], bundle: [] }[at as string] ?? ['fit', 'evaluate']);
    }
  });

  it('by a cancellation end the work at once', async () => {
    const neighbours = new Neighbours(objects, warehouse);
    neighbours.fraudEvery = 11;
    const service = await startTrain(neighbours);
    const { id: runId } = await start(service, 'endless');
    const running = await until(service, runId, (run) => (run.steps[2]?.progress ?? 0) > 0);
    expect(running.state).toBe('running');
    expect(running.steps[2]).toMatchObject({
      name: 'fit',
      state: 'running',
      note: expect.stringContaining('of 10000') as string,
    });
    expect(await cancel(service, runId)).toMatchObject({ state: 'cancelled', version: null });
    expect(await cancel(service, runId)).toMatchObject({ state: 'cancelled' });
    // The only thread is free for the next run.
    const next = await until(service, (await start(service, 'linear')).id, isOver);
    expect(next.state).toBe('done');
    expect(neighbours.versions).toHaveLength(1);
    expect((await read(service, runId)).state).toBe('cancelled');
    await stop(service);
  });

  it('by another attempt leave the run to that one', async () => {
    const neighbours = new Neighbours(objects, warehouse);
    const reached = gate();
    const released = gate();
    const call = (async (route: { name: string }, input: never) => {
      if (route.name === 'buildDataset') {
        reached.open();
        await released.passed;
      }
      return neighbours.answer(route, input);
    }) as ServiceHost['call'];
    const service = await startTrain(neighbours, { call });
    const { id: runId } = await start(service, 'linear');
    await reached.passed;
    // Another process claims the run, as it does when this one was silent for too long.
    await postgres.tables.query('update train_run set epoch = epoch + 1 where id = $1', [runId]);
    released.open();
    await stop(service);
    const run = await read(service, runId);
    expect(run).toMatchObject({ state: 'running', version: null });
    expect(neighbours.versions).toHaveLength(0);
  });

  it('by jobs that were given up fail the run', async () => {
    const neighbours = new Neighbours(objects, warehouse);
    const idle = await startTrain(neighbours, {
      set: { concurrency: 0, watchMs: 100 },
      jobs: {
        ...postgres.jobs,
        status: async (_queue, runId) => ({ id: runId, state: 'failed', attempt: 2, error: 'too silent' }),
      },
    });
    await idle.ready();
    const { id: runId } = await start(idle, 'linear');
    const run = await until(idle, runId, isOver);
    expect(run).toMatchObject({
      state: 'failed',
      error: 'INTERNAL: The run was given up after 0 attempts: too silent',
    });
    await stop(idle);
  });

  it('by processes that died too often get one more attempt for steps that were done meanwhile', async () => {
    const neighbours = new Neighbours(objects, warehouse);
    const idle = await startTrain(neighbours, { set: { concurrency: 0, watchMs: 100 } });
    const { id: stuck } = await start(idle, 'linear');
    const made = await Promise.all([1, 2].map((ms) => start(idle, 'linear', { asOf: AS_OF + ms })));
    const advanced = made.map((run) => run.id);
    for (const [index, run] of advanced.entries()) {
      const values = [`step ${index}`, run];
      await postgres.tables.query(
        `insert into train_step values ($1, 'split', $2, '{}', '{}', 1, 1)`,
        values,
      );
    }
    const giveUp = (runs: readonly string[]): Promise<unknown> =>
      postgres.tables.query(
        `update pgboss.job set state = 'failed', retry_count = retry_limit where id = any($1::uuid[])`,
        [runs],
      );
    await giveUp([stuck, ...advanced]);
    const error = 'INTERNAL: The run was given up after 0 attempts: its process ended each time';
    expect(await until(idle, stuck, isOver)).toMatchObject({ state: 'failed', error });
    for (const run of advanced) {
      await vi.waitUntil(async () => (await postgres.jobs.status('train', run))?.state === 'retry', PATIENCE);
      expect((await read(idle, run)).state).toBe('queued');
    }
    // The attempt was for that step: without another one there is no second.
    await giveUp(advanced.slice(0, 1));
    expect(await until(idle, advanced[0] ?? '', isOver)).toMatchObject({ state: 'failed', error });
    await stop(idle);
    const busy = await startTrain(neighbours);
    expect((await until(busy, advanced[1] ?? '', isOver)).state).toBe('done');
    await stop(busy);
  });
});

describe('limits', () => {
  it.each([
    ['of all runs', { runsMax: 1 }, ['linear', 'trees', 'linear']],
    ['of runs of a model', { modelRunsMax: 1 }, ['linear', 'linear', 'linear']],
  ])('%s hold over all processes', async (_, limits, models) => {
    const neighbours = new Neighbours(objects, warehouse);
    neighbours.fraudEvery = 13;
    const set = { concurrency: 2, watchMs: 100, ...limits };
    const [one] = await Promise.all([startTrain(neighbours, { set }), startTrain(neighbours, { set })]);
    const started = await Promise.all(models.map((model) => start(one, model)));
    let most = 0;
    const ended = await Promise.all(
      started.map(({ id: runId }) =>
        until(one, runId, (run) => {
          void postgres.tables
            .query<{ n: number }>(`select count(*)::int as n from train_run where state = 'running'`)
            .then(([row]) => (most = Math.max(most, row?.n ?? 0)));
          return isOver(run);
        }),
      ),
    );
    expect(ended.map((run) => run.state)).toEqual(['done', 'done', 'done']);
    expect(most).toBe(1);
  });

  it('count no run whose process died, although every worker waits', async () => {
    const neighbours = new Neighbours(objects, warehouse);
    const idle = await startTrain(neighbours, { set: { concurrency: 0, watchMs: 600_000 } });
    const [dead, next] = [await start(idle, 'linear'), await start(idle, 'trees')];
    await stop(idle);
    // It ran when its process died; its job comes behind the other.
    await postgres.tables.query(`update train_run set state = 'running', epoch = 1 where id = $1`, [dead.id]);
    await postgres.tables.query('update pgboss.job set priority = -1 where id = $1', [dead.id]);
    const busy = await startTrain(neighbours, { set: { watchMs: 100, runsMax: 1 } });
    expect((await until(busy, next.id, isOver)).state).toBe('done');
    expect((await until(busy, dead.id, isOver)).state).toBe('done');
  });

  it('of runs of a model keep no other model waiting', async () => {
    const neighbours = new Neighbours(objects, warehouse);
    const set = { concurrency: 2, watchMs: 100, modelRunsMax: 1 };
    const service = await startTrain(neighbours, { set });
    const long = [await start(service, 'endless'), await start(service, 'endless')];
    const other = await until(service, (await start(service, 'linear')).id, isOver);
    expect(other.state).toBe('done');
    const states = await Promise.all(long.map(async ({ id: runId }) => (await read(service, runId)).state));
    expect(states.sort()).toEqual(['queued', 'running']);
    for (const { id: runId } of long) await cancel(service, runId);
  });
});

describe('calls', () => {
  it('with an idempotency key start one run', async () => {
    const idle = await startTrain(new Neighbours(objects, warehouse), { set: { concurrency: 0 } });
    const body = { asOf: AS_OF, idempotencyKey: 'once' };
    const [one, two] = await Promise.all([start(idle, 'linear', body), start(idle, 'linear', body)]);
    expect(two.id).toBe(one.id);
    expect((await start(idle, 'trees', body)).id).not.toBe(one.id);
    await expect(start(idle, 'linear', { idempotencyKey: 'once' })).rejects.toMatchObject({
      code: 'CONFLICT',
    });
    await cancel(idle, one.id);
    await stop(idle);
  });

  it('list the runs of a model, newest first', async () => {
    const idle = await startTrain(new Neighbours(objects, warehouse), { set: { concurrency: 0 } });
    const made: string[] = [];
    for (let index = 0; index < 5; index += 1) made.unshift((await start(idle, 'endless')).id);
    const list = async (query: object): Promise<{ runs: Run[]; next: string | null }> =>
      routes.listRuns.result.parse(await invoke(idle, 'listRuns', { params: { model: 'endless' }, query }));
    const first = await list({ limit: 3 });
    expect(first.runs.map((run) => run.id)).toEqual(made.slice(0, 3));
    const second = await list({ limit: 1_000, after: first.next });
    expect(second.runs.map((run) => run.id).slice(0, 2)).toEqual(made.slice(3));
    expect(second.next).toBeNull();
    for (const runId of made) await cancel(idle, runId);
    await stop(idle);
  });

  it('for what is not there or cannot be are refused', async () => {
    const idle = await startTrain(new Neighbours(objects, warehouse), { set: { concurrency: 0 } });
    await expect(start(idle, 'other')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
    await expect(start(idle, 'ungateable')).rejects.toMatchObject({ code: 'UNPROCESSABLE' });
    await expect(read(idle, 'other')).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
    await expect(cancel(idle, 'a\0')).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
    expect(() => train.options.parse({ conccurrency: 1 })).toThrow();
    await stop(idle);
  });
});
