import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { duckdbWarehouse, type DuckdbWarehouseOptions } from '../../../adapters/duckdb/index.ts';
import {
  count,
  decision,
  defineApp,
  defineModel,
  features,
  id,
  key,
  label,
  last,
  logistic,
  max,
  mean,
  min,
  money,
  number,
  source,
  sum,
  timestamp,
  vector,
} from '../../../define/index.ts';
import type { WarehouseSession } from '../../../runtime/index.ts';
import { compilePlan } from '../plan.ts';
import { type Method, possiblePlans } from './choose-plan.ts';
import { computeGroup } from './compute-group.ts';
import { eventsSql } from './event-tables.ts';
import { storedQueryTableSql } from './query-table.ts';
import { literal } from './sql.ts';

const EVENTS = 800_000;
/** Those of them that are rows of the dataset, the last ones. */
const ROWS = 160_000;
const KEYS = 2_000;
const START = Date.UTC(2026, 0, 5);
/** Two hundred hours. */
const STEP_MS = 900;
/** Less than what the events alone take. */
const SMALL_BYTES = 160 * 1_048_576;

const payments = source('payments', {
  id: 'paymentId',
  time: 'at',
  key: 'customerId',
  fields: { paymentId: id(), at: timestamp(), customerId: key(), amount: money('EUR'), distance: number() },
});
const reports = source('reports', {
  id: 'reportId',
  time: 'at',
  key: 'paymentId',
  fields: { reportId: id(), at: timestamp(), paymentId: key() },
});
const fraud = label('fraud', { of: payments, from: reports, on: 'paymentId', maturesAfter: '1h' });
const customer = features('customer', { from: payments, key: 'customerId' }, (t) => ({
  count: count().over('1h', '5d'),
  total: sum(t.amount).over('1h', '5d'),
  far: mean(t.distance).over('5d'),
  least: min(t.amount).over('5d'),
  most: max(t.distance).over('1h'),
  last: last(t.amount).over('5d'),
}));
const spending = vector('spending', { candidate: payments, customer });
const model = defineModel('fraud', { vector: spending, label: fraud, trainer: logistic() });
const plan = compilePlan(
  defineApp('spilling', { decisions: { score: decision('score', { model, subject: 'customerId' }) } }),
);

describe('a dataset larger than memory', () => {
  let directory: string;
  let file: string;
  let expected: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tandem-spilling-'));
    file = join(directory, 'payments.parquet');
    await using session = await duckdbWarehouse({ directory }).session();
    await session.run(`copy (
      select 0::bigint as _partition, i as _offset, 0::bigint as _appended_at,
        'payment number ' || (case when i > 500 and i % 50 = 0 then i - 500 else i end) as "paymentId",
        ${String(START)} + i * ${String(STEP_MS)} as "at",
        'customer number ' || (hash(i) % ${String(KEYS)}) as "customerId",
        (hash(i + 1) % 100000)::bigint as amount, (hash(i + 2) % 100003)::double / 7 as distance
      from range(${String(EVENTS)}) t(i)
    ) to ${literal(file)} (format parquet)`);
    expected = await build({ directory }, 'join');
  }, 600_000);
  afterAll(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  /** The sha256 of the file of a dataset. */
  async function build(
    options: DuckdbWarehouseOptions,
    method: Method,
    after: (session: WarehouseSession) => void = () => undefined,
  ): Promise<string> {
    const vectorPlan = plan.vectors.get('spending');
    const [group] = vectorPlan?.groups ?? [];
    const chosen = group && possiblePlans(group).find((item) => item.method === method);
    if (vectorPlan === undefined || group === undefined || chosen === undefined) throw new Error(method);
    await using session = await duckdbWarehouse({ threads: 2, ...options }).session();
    const positions = [Number.MAX_SAFE_INTEGER];
    const rows = `read_parquet(${literal(file)})`;
    await session.run(eventsSql(payments, { rows, positions, horizonMs: plan.horizonMs }));
    await session.run(
      storedQueryTableSql(vectorPlan, START + (EVENTS - ROWS) * STEP_MS, START + EVENTS * STEP_MS),
    );
    await computeGroup(session, {
      group,
      candidate: vectorPlan.candidate,
      knowledge: 'latest',
      rows: 'q',
      pause: () => Promise.resolve(),
      chosen,
    });
    after(session);
    const path = join(session.scratch, 'dataset.parquet');
    await session.run(`copy (
      select q.as_of, "candidate_paymentId", g.* from q join group_${String(group.index)} g on g.q = q.q order by g.q
    ) to ${literal(path)} (format parquet, compression zstd)`);
    return createHash('sha256').update(readFileSync(path)).digest('hex');
  }

  it.each(['join', 'near', 'tiles'] as const)(
    'spills and has the same bytes (%s)',
    async (method) => {
      let spilled = 0;
      const digest = await build({ directory, memoryBytesMax: SMALL_BYTES }, method, ({ scratch }) => {
        const folder = join(scratch, '.spill');
        for (const name of readdirSync(folder)) spilled += statSync(join(folder, name)).size;
      });
      expect(spilled).toBeGreaterThan(0);
      expect(digest).toBe(expected);
    },
    600_000,
  );

  it('fails with STORAGE_FULL where it finds no room for that, and can be built again', async () => {
    const full = { directory, memoryBytesMax: SMALL_BYTES, spillBytesMax: 4 * 1_048_576 };
    await expect(build(full, 'tiles')).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    expect(await build({ directory, memoryBytesMax: SMALL_BYTES }, 'tiles')).toBe(expected);
  }, 600_000);
});
