import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { duckdbWarehouse } from '../../../adapters/duckdb/index.ts';
import {
  count,
  decision,
  defineApp,
  defineModel,
  distinct,
  features,
  id,
  key,
  label,
  last,
  logistic,
  money,
  source,
  sum,
  timestamp,
  variance,
  vector,
} from '../../../define/index.ts';
import type { Warehouse } from '../../../runtime/index.ts';
import { compilePlan } from '../plan.ts';
import { type ChosenPlan, choosePlan } from './choose-plan.ts';
import type { Knowledge } from './point-in-time.ts';

const DAY_MS = 86_400_000;
const START = Date.UTC(2026, 0, 5);
const DAYS = 90;

const payments = source('payments', {
  id: 'paymentId',
  time: 'at',
  key: 'customerId',
  fields: { paymentId: id(), at: timestamp(), customerId: key(), amount: money('EUR') },
});
const reports = source('reports', {
  id: 'reportId',
  time: 'at',
  key: 'paymentId',
  fields: { reportId: id(), at: timestamp(), paymentId: key() },
});
const fraud = label('fraud', { of: payments, from: reports, on: 'paymentId', maturesAfter: '1h' });
const of = { from: payments, key: 'customerId' } as const;
const mixed = features('mixed', of, (t) => ({
  n: count().over('1h', '30d'),
  total: sum(t.amount).over('30d'),
}));
const short = features('short', of, () => ({ n: count().over('1h') }));
const newest = features('newest', of, (t) => ({ last: last(t.amount).over('1d', '30d') }));
const tied = features('tied', { ...of, hop: 'exact', closed: 'right' }, (t) => ({
  last: last(t.amount).over('30d'),
}));
const spread = features('spread', of, (t) => ({ spread: variance(t.amount).over('30d') }));
const people = features('people', of, (t) => ({ n: distinct(t.amount).over('30d') }));
const all = vector('all', { candidate: payments, mixed, short, newest, tied, spread, people });
const model = defineModel('fraud', { vector: all, label: fraud, trainer: logistic() });
const plan = compilePlan(
  defineApp('choice', { decisions: { score: decision('score', { model, subject: 'customerId' }) } }),
);

describe('the way to compute a group', () => {
  let directory: string;
  let warehouse: Warehouse;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tandem-choice-'));
    warehouse = duckdbWarehouse({ directory, threads: 1 });
  });
  afterAll(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  /** Of events of ninety days, spread evenly over keys but for one in `hotOneIn`, and a row for every tenth of them. */
  async function choose(
    group: string,
    {
      events,
      keys,
      hotOneIn = 0,
    }: { readonly events: number; readonly keys: number; readonly hotOneIn?: number },
    knowledge: Knowledge = 'latest',
  ): Promise<ChosenPlan> {
    const found = plan.groups.find((item) => item.group.name === group);
    if (found === undefined) throw new Error(group);
    await using session = await warehouse.session();
    const hot = hotOneIn === 0 ? 'false' : `i % ${String(hotOneIn)} = 0`;
    await session.run(`create temp table events_payments as
      select ${String(START)} + i * ${String(DAYS * DAY_MS)} // ${String(events)} as _time,
        case when ${hot} then 'hot' else 'c' || (i % ${String(keys)}) end as "customerId"
      from range(${String(events)}) t(i)`);
    await session.run(`create temp table q as
      select "customerId" as "candidate_customerId" from events_payments using sample 10 percent (bernoulli, 1)`);
    return await choosePlan(session, found, knowledge, 'q');
  }

  const FEW = { events: 20_000, keys: 1_000 };
  const MANY = { events: 20_000, keys: 20 };

  it.each([
    ['mixed', FEW, 'join'],
    ['mixed', MANY, 'tiles'],
    ['short', FEW, 'join'],
    ['short', MANY, 'near'],
    ['newest', FEW, 'join'],
    ['newest', MANY, 'newest'],
    ['tied', MANY, 'tiles'],
    ['spread', MANY, 'near'],
    ['people', MANY, 'replay'],
    ['people', FEW, 'replay'],
  ] as const)('%s, %j: %s', async (group, data, method) => {
    expect((await choose(group, data)).method).toBe(method);
  });

  it('says by what it was chosen, and takes tiles only for windows with many events', async () => {
    const { tiled, statistics } = await choose('mixed', MANY);
    expect(tiled.map(({ windowMs }) => windowMs)).toEqual([30 * DAY_MS]);
    expect(statistics).toMatchObject({
      events: 20_000,
      keys: 20,
      hottestKeyEvents: 1_000,
      eventsPerRow: 1_000,
    });
  });

  it('sees one hot key among many cold ones', async () => {
    const { method, statistics } = await choose('mixed', { events: 20_000, keys: 10_000, hotOneIn: 4 });
    expect(statistics?.hottestKeyEvents).toBe(5_000);
    expect(method).toBe('tiles');
  });

  it('is a join where each row knew something else', async () => {
    expect(await choose('mixed', MANY, 'as-served')).toEqual({ method: 'join', tiled: [] });
  });

  it('is a join where there is nothing', async () => {
    expect((await choose('mixed', { events: 0, keys: 1 })).method).toBe('join');
  });
});
