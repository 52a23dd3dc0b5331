import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { callRoute, testWorld, type TestWorld } from '../../../test/support/service-host.ts';
import { PlatformError, routes, type Run, type Schedule, sourceTopic } from '../../contract/index.ts';
import {
  type App,
  defineApp,
  defineModel,
  every,
  id,
  key,
  label,
  logistic,
  number,
  onNewLabels,
  type RetrainRule,
  source,
  text,
  timestamp,
  vector,
} from '../../define/index.ts';
import type { Clock, RunningService, ServiceDefinition, ServiceHost } from '../../runtime/index.ts';
import { train, type TrainOptions } from './index.ts';
import { app as shop } from './test-host.ts';

vi.setConfig({ testTimeout: 60_000 });
const PATIENCE = { timeout: 30_000, interval: 20 };
const HOUR_MS = 3_600_000;
const START = Date.parse('2026-11-28T00:30:00Z');
/** Looks of both processes, after which what was due is queued. */
const LOOKS = 6;

/** A clock that the test drives: sleeps are real and short, instants are not. */
class DrivenClock implements Clock {
  nowMs = START;
  sleeps = 0;
  now(): number {
    return this.nowMs;
  }
  monotonic(): number {
    return this.nowMs;
  }
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return;
    await new Promise((resolve) => setTimeout(resolve, Math.min(ms, 10)));
    this.sleeps += 1;
  }
}

let world: TestWorld;
let clock: DrivenClock;
let directory: string;
const services = new Set<RunningService>();
const logs: string[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'schedules-'));
  world = await testWorld();
  await world.postgres.migrate([train.migrations]);
}, 60_000);

beforeEach(async () => {
  clock = new DrivenClock();
  await world.postgres.tables.query('truncate train_run, train_step, train_schedule, train_schedule_rule');
});

afterEach(async () => {
  for (const service of services) await stop(service);
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

function appWith(retrain: RetrainRule | readonly RetrainRule[]): App {
  const { linear, trees } = Object.fromEntries(shop.models);
  if (linear === undefined || trees === undefined) throw new Error('the shop has other models');
  const { vector, label, trainer, split } = linear;
  return defineApp('scheduled', {
    decisions: {},
    models: [defineModel('linear', { vector, label, trainer, split, retrain }), trees],
  });
}

/** Starts a process of train on the driven clock; it queues runs and works on none unless told so. */
async function start(app: App, changes: Partial<ServiceHost<TrainOptions>> = {}): Promise<RunningService> {
  const driven: ServiceDefinition<TrainOptions> = {
    ...train,
    start: (host) =>
      train.start({
        ...host,
        clock,
        logger: { ...host.logger, info: (message) => void logs.push(message) },
        ...changes,
      }),
  };
  const service = await world.start(driven, app, { concurrency: 0, watchMs: 100 });
  services.add(service);
  return service;
}

async function stop(service: RunningService): Promise<void> {
  services.delete(service);
  await service.stop(0);
}

/** Lets every process look some times at what the clock shows. */
async function look(): Promise<void> {
  const until = clock.sleeps + LOOKS * Math.max(services.size, 1);
  await vi.waitUntil(() => clock.sleeps >= until, PATIENCE);
}

async function runs(on: RunningService, model = 'linear'): Promise<Run[]> {
  const { runs: found } = await callRoute(on, routes.listRuns, { params: { model }, query: {} });
  return found.toReversed();
}

async function end(
  state: 'done' | 'failed',
  positions?: readonly number[],
  source = 'reports',
): Promise<void> {
  const { tables } = world.postgres;
  const ended = await tables.query<{ id: string }>(
    `update train_run set state = $1, finished_at = $2 where state in ('queued', 'running') returning id`,
    [state, clock.nowMs],
  );
  if (positions === undefined) return;
  for (const { id } of ended) {
    await tables.query(`insert into train_step values ($1, 'dataset', $2, $3, '{}', 1, 1)`, [
      `dataset of ${id}`,
      id,
      JSON.stringify({ positions: { [source]: positions } }),
    ]);
  }
}

async function schedule(on: RunningService): Promise<Schedule | undefined> {
  return (await callRoute(on, routes.listSchedules, {})).schedules[0];
}

describe('a rule by time', () => {
  it('is one run for each due instant, whoever looks, and one for all that passed meanwhile', async () => {
    const app = appWith(every('1h'));
    const one = await start(app);
    await start(app);
    await look();
    expect(await runs(one)).toEqual([]);
    for (let hour = 1; hour <= 4; hour += 1) {
      clock.nowMs = START + hour * HOUR_MS;
      await look();
      await end('done');
      await look();
      expect(await runs(one)).toHaveLength(hour);
    }
    expect((await runs(one)).every((run) => run.reason === 'scheduled' && run.asOf === null)).toBe(true);
    expect(await runs(one, 'trees')).toEqual([]);
    // Nobody runs for a night, and the clock is set back by a day once somebody does.
    for (const service of services) await stop(service);
    clock.nowMs += 9 * HOUR_MS;
    const two = await start(app);
    await look();
    await end('done');
    await look();
    expect(await runs(two)).toHaveLength(5);
    clock.nowMs -= 3 * HOUR_MS;
    await look();
    expect(await schedule(two)).toMatchObject({ rules: [{ rule: 'every 1h', isDue: false }] });
    expect(await runs(two)).toHaveLength(5);
    clock.nowMs += 4 * HOUR_MS;
    for (let times = 0; times < 3; times += 1) {
      await look();
      await end('done');
    }
    // Due again is only what comes after the newest that ran.
    expect(await runs(two)).toHaveLength(6);
    const keys = await world.postgres.tables.query<{ key: string }>(
      'select idempotency_key as key from train_run order by id',
    );
    expect(keys.map(({ key }) => key)).toEqual(
      [1, 2, 3, 4, 13, 14].map(
        (hour) => `due:${new Date(START + hour * HOUR_MS - HOUR_MS / 2).toISOString()}`,
      ),
    );
    expect(logs).toContain('run scheduled');
    expect(await world.metrics.text()).toMatch(
      /train_runs_scheduled_total\{model="linear",reason="scheduled"\} 6\n[^]*train_schedule_next_seconds\{model="linear"\} 1800\n/,
    );
  });

  it('waits for its open run, and queues the newest instant behind it', async () => {
    const service = await start(appWith(every('1h')));
    await look();
    clock.nowMs += HOUR_MS;
    await look();
    clock.nowMs += 5 * HOUR_MS;
    await look();
    expect(await runs(service)).toHaveLength(1);
    expect(await schedule(service)).toMatchObject({ rules: [{ isDue: true }], lastRun: { state: 'queued' } });
    // One that somebody asks for does not count.
    const asked = await callRoute(service, routes.startRun, { params: { model: 'linear' }, body: {} });
    expect(asked.reason).toBe('asked');
    await end('done');
    await look();
    expect((await runs(service)).map(({ reason }) => reason)).toEqual(['scheduled', 'asked', 'scheduled']);
  });

  it('comes to nothing or to a run with its job when the process dies while it decides', async () => {
    const app = appWith(every('1h'));
    let failures = 0;
    const broken = await start(app, {
      jobs: {
        ...world.postgres.jobs,
        send: () => {
          failures += 1;
          return Promise.reject(new PlatformError('UNAVAILABLE', 'the process died here'));
        },
      },
    });
    await look();
    clock.nowMs += HOUR_MS;
    await vi.waitUntil(() => failures > 0, PATIENCE);
    expect(await runs(broken)).toEqual([]);
    await stop(broken);
    const heir = await start(app);
    await look();
    const [run] = await runs(heir);
    expect(await world.postgres.jobs.status('train', run?.id ?? '')).toMatchObject({ state: 'queued' });
  });

  it('lets failures pass for longer and longer, without skipping what is due', async () => {
    const service = await start(appWith(every('10s')));
    await look();
    const after: number[] = [];
    for (let seconds = 1; seconds <= 400; seconds += 10) {
      clock.nowMs = START + seconds * 1_000 + 10_000;
      const before = (await runs(service)).length;
      await look();
      if ((await runs(service)).length > before) after.push(seconds);
      await end('failed');
    }
    expect(after).toEqual([1, 61, 181]);
    expect((await schedule(service))?.notBefore).toBe(START + 191_000 + 240_000);
  });

  it('queues nothing while it is paused, whoever starts again, and nothing that passed meanwhile', async () => {
    const app = appWith(every('1h'));
    const first = await start(app);
    await look();
    const call = { params: { model: 'linear' } };
    expect(await callRoute(first, routes.pauseSchedule, call)).toMatchObject({ pausedAt: START });
    await stop(first);
    const second = await start(app);
    clock.nowMs += 5 * HOUR_MS;
    await look();
    expect(await world.metrics.text()).toMatch(/train_schedule_next_seconds\{model="linear"\} \+Inf\n/);
    expect(await callRoute(second, routes.resumeSchedule, call)).toMatchObject({
      pausedAt: null,
      lastRun: null,
    });
    await look();
    expect(await runs(second)).toEqual([]);
    clock.nowMs += HOUR_MS;
    await look();
    expect(await runs(second)).toHaveLength(1);
    await expect(
      callRoute(second, routes.pauseSchedule, { params: { model: 'trees' } }),
    ).rejects.toMatchObject({ code: 'UNPROCESSABLE' });
    await expect(
      callRoute(second, routes.resumeSchedule, { params: { model: 'none' } }),
    ).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
  });
});

describe('a rule by labels', () => {
  it('is one run for so many more outcomes than the last run knew, or was asked for', async () => {
    const { log } = world.postgres;
    const topic = sourceTopic('reports');
    const app = appWith([every('400d'), onNewLabels(10)]);
    const one = await start(app);
    await start(app);
    await look();
    await log.createTopic(topic, { partitions: 2 });
    const add = async (count: number): Promise<void> => {
      await log.append(
        topic,
        1,
        Array.from({ length: count }, () => Buffer.from('{}')),
      );
      await look();
    };
    const minute = async (): Promise<void> => {
      clock.nowMs += 60_000;
      await look();
    };
    await add(9);
    await minute();
    expect(await runs(one)).toEqual([]);
    await add(1);
    await minute();
    await minute();
    expect((await runs(one)).map(({ reason }) => reason)).toEqual(['new-labels']);
    // The run knew 15, for more came until it read them.
    await add(12);
    await end('done', [0, 15]);
    await minute();
    expect(await schedule(one)).toMatchObject({
      rules: [{ labels: null }, { rule: '10 new labels', isDue: false, labels: { seen: 22, dueAt: 25 } }],
    });
    await add(3);
    await minute();
    expect(await runs(one)).toHaveLength(2);
    // It fails: only as many more are a reason for another one.
    await end('failed');
    for (let times = 0; times < 5; times += 1) await minute();
    await add(9);
    await minute();
    expect(await runs(one)).toHaveLength(2);
    await add(1);
    await minute();
    expect(await runs(one)).toHaveLength(3);
  });

  it.each([
    { confirmed: false, what: 'outcomes that meet the condition of its label' },
    { confirmed: true, what: 'all outcomes where each makes an event known' },
  ])('counts $what, and says after how many records to look again', async ({ confirmed }) => {
    const findings = `findings_${String(confirmed)}`;
    const service = await start(practice(findings, confirmed));
    const topic = sourceTopic(findings);
    await world.postgres.log.createTopic(topic, { partitions: 2 });
    let made = 0;
    const add = async (partition: number, ...found: string[]): Promise<void> => {
      const records = found.map((finding) => {
        made += 1;
        return { findingId: `f${String(made)}`, at: START, caseId: `c${String(made)}`, finding };
      });
      await world.postgres.log.append(
        topic,
        partition,
        records.map((record) => Buffer.from(JSON.stringify(record))),
      );
      clock.nowMs += 60_000;
      await look();
    };
    await add(0, 'malignant', 'benign', 'benign');
    await add(1, 'benign', 'malignant');
    const rule = async (): Promise<unknown> => (await schedule(service))?.rules[0];
    if (confirmed) {
      expect(await runs(service)).toHaveLength(1);
      return;
    }
    expect(await rule()).toMatchObject({ isDue: false, labels: { source: findings, seen: 5, dueAt: 6 } });
    expect(await runs(service)).toEqual([]);
    await add(0, 'benign');
    expect(await rule()).toMatchObject({ isDue: false, labels: { seen: 6, dueAt: 7 } });
    await add(0, 'benign', 'malignant');
    expect((await runs(service)).map(({ reason }) => reason)).toEqual(['new-labels']);
    // The run knew all but the last; one that is no event is no outcome either.
    await end('done', [4, 2], findings);
    await world.postgres.log.append(topic, 1, [Buffer.from('malignant')]);
    await add(1, 'malignant');
    expect(await rule()).toMatchObject({ isDue: false, labels: { seen: 10, dueAt: 11 } });
    await add(1, 'malignant');
    expect(await runs(service)).toHaveLength(2);
  });
});

/** An app whose cases are malignant if a finding says so. */
function practice(findings: string, confirmed: boolean): App {
  const cases = source('cases', {
    id: 'caseId',
    time: 'at',
    key: 'caseId',
    fields: { caseId: id(), at: timestamp(), size: number() },
  });
  const found = source(findings, {
    id: 'findingId',
    time: 'at',
    key: 'caseId',
    fields: { findingId: id(), at: timestamp(), caseId: key(), finding: text() },
  });
  const malignant = label('malignant', {
    of: cases,
    from: found,
    on: 'caseId',
    where: (f) => f.finding.equals('malignant'),
    confirmed,
    maturesAfter: '3d',
  });
  const sizes = vector('sizes', { candidate: cases, size: (c) => c.size });
  const model = defineModel('linear', {
    vector: sizes,
    label: malignant,
    trainer: logistic(),
    retrain: onNewLabels(3),
  });
  return defineApp('practice', { decisions: {}, models: [model] });
}

describe('the order of runs', () => {
  it('is that asked ones go first, and that models take turns', async () => {
    const service = await start(appWith(every('1h')));
    await look();
    clock.nowMs += HOUR_MS;
    await look();
    const ask = (model: string): Promise<Run> =>
      callRoute(service, routes.startRun, { params: { model }, body: {} });
    for (const model of ['linear', 'linear', 'linear', 'trees', 'trees']) await ask(model);
    await stop(service);
    const order: string[] = [];
    const done = await world.postgres.jobs.work<{ run: string }>('train', 1, async ({ payload }) => {
      const [run] = await world.postgres.tables.query<{ model: string; reason: string }>(
        'select model, reason from train_run where id = $1',
        [payload.run],
      );
      if (run !== undefined) order.push(`${run.model} ${run.reason}`);
    });
    await vi.waitUntil(() => order.length >= 6, PATIENCE);
    await done(1_000);
    expect(order).toEqual([
      'trees asked',
      'linear asked',
      'trees asked',
      'linear asked',
      'linear asked',
      'linear scheduled',
    ]);
  });
});
