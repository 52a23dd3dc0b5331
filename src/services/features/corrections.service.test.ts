import { describe, expect, it } from 'vitest';
import { callRoute, type TestWorld, testWorld } from '../../../test/support/service-host.ts';
import { orders as plainOrders, returns } from '../../../test/support/shop-sources.ts';
import {
  type Dataset,
  type DatasetRebuild,
  partitionOf,
  type Positions,
  routes,
  SOURCE_PARTITIONS,
  sourceTopic,
  STATE_PARTITIONS,
  type VectorRead,
} from '../../contract/index.ts';
import {
  count,
  decision,
  defineApp,
  defineModel,
  distinct,
  features as defineFeatures,
  label,
  logistic,
  mean,
  source,
  sum,
  vector,
} from '../../define/index.ts';
import type { RunningService } from '../../runtime/index.ts';
import { features } from './index.ts';

/** The same definitions, over orders that are corrected or not. */
function shopApp(corrections: boolean): ReturnType<typeof defineApp> {
  const keys = { id: 'orderId', time: 'at', key: 'customerId' } as const;
  const orders = source('orders', { ...keys, fields: plainOrders.fields, corrections });
  const returned = label('returned', { of: orders, from: returns, on: 'orderId', maturesAfter: '1h' });
  const customer = defineFeatures('customer', { from: orders, key: 'customerId' }, (o) => ({
    n: count().over('7d'),
    total: sum(o.total).over('7d'),
  }));
  const shop = defineFeatures('shop', { from: orders, key: 'shopId', hop: 'exact' }, (o) => ({
    n: count().over('7d'),
    people: distinct(o.customerId).over('7d'),
  }));
  const risk = defineFeatures(
    'risk',
    { from: returned.matured(), key: 'shopId', hop: 'exact', closed: 'right' },
    (o) => ({ n: count().over('7d'), rate: mean(o.returned).over('7d') }),
  );
  const basket = vector('basket', { candidate: orders, customer, shop, risk });
  const model = defineModel('m', { vector: basket, label: returned, trainer: logistic() });
  return defineApp('shop', { decisions: { d: decision('d', { model, subject: 'customerId' }) } });
}

const app = shopApp(true);
const HOUR = 3_600_000;
const START = Date.UTC(2026, 0, 5);
const EVENT_CLOCK = { clock: 'event', snapshotRecords: 5, snapshotMs: 1_000, archiveMs: 600_000 };
const PATIENCE = { timeout: 60_000, interval: 50 };

/** Twelve orders, one each hour, of three customers in two shops. */
function order(serial: number): Record<string, unknown> {
  return {
    orderId: `o${String(serial)}`,
    at: START + serial * HOUR,
    customerId: `c${String(serial % 3)}`,
    shopId: `s${String(serial % 2)}`,
    total: 10 + serial,
  };
}

/** What is asked about: a new order, later than all others, of customer c0 in shop s0. */
const ASKED = { ...order(24), orderId: 'asked', total: 1 };

async function append(world: TestWorld, name: string, records: readonly object[]): Promise<Positions> {
  const positions = Array.from({ length: SOURCE_PARTITIONS }, () => 0);
  for (const record of records as readonly Record<string, unknown>[]) {
    const partition = partitionOf(String(record['customerId'] ?? record['orderId']), SOURCE_PARTITIONS);
    const bytes = [Buffer.from(JSON.stringify(record))];
    positions[partition] = (await world.postgres.log.append(sourceTopic(name), partition, bytes)) + 1;
  }
  return { [name]: positions };
}

function read(service: RunningService, candidate: object, after: Positions = {}): Promise<VectorRead> {
  return callRoute(service, routes.readVector, {
    params: { vector: 'basket' },
    body: { candidates: [candidate], after, record: true },
  });
}

async function valuesOf(service: RunningService, after?: Positions): Promise<readonly (number | null)[]> {
  return (await read(service, ASKED, after)).rows[0]?.values ?? [];
}

async function build(service: RunningService, knowledge: string): Promise<Dataset> {
  const body = {
    vector: 'basket',
    label: 'returned',
    knowledge,
    from: START,
    to: START + 48 * HOUR,
    asOf: START + 48 * HOUR,
  };
  return callRoute(service, routes.buildDataset, { body });
}

async function columnsOf(
  world: TestWorld,
  { file }: Dataset,
): Promise<ReadonlyMap<string, ArrayLike<unknown>>> {
  await using session = await world.warehouse.session();
  const path = await world.objects.path(file.digest);
  return (await session.query(`select * from read_parquet('${path}') order by "time", id`)).columns;
}

async function snapshots(world: TestWorld): Promise<number> {
  return (await world.postgres.tables.query('select 1 as x from features_snapshot')).length;
}

describe('the features service over a source with corrections', () => {
  it('computes values from what is left, before and after a crash, and datasets as they were and as they are', async () => {
    await using world = await testWorld();
    const first = await world.start(features, app, EVENT_CLOCK);
    const made = Array.from({ length: 12 }, (_, serial) => order(serial));
    const after = await append(world, 'orders', made);
    Object.assign(after, await append(world, 'returns', [{ returnId: 'r', at: START + 1, orderId: 'o0' }]));
    // c0: o0 o3 o6 o9 = 58; s0: o0 o2 ... o10, one of which came back.
    const before = await read(first, ASKED, after);
    expect(before.rows[0]?.values).toEqual([5, 59, 7, 3, 6, 1 / 6]);
    const asServed = await build(first, 'as-served');
    const latest = await build(first, 'latest');
    expect([asServed.rows, latest.rows]).toEqual([1, 12]);
    await expect.poll(() => snapshots(world), PATIENCE).toBe(1 + STATE_PARTITIONS);
    world.crash(first);

    // o3 becomes dearer, o6 moves to shop s1, o0 is deleted, o9 too; what is late changes nothing.
    const corrected = await append(world, 'orders', [
      { ...order(3), total: 100, _revision: 5 },
      { ...order(6), shopId: 's1', _revision: 1 },
      { orderId: 'o0', customerId: 'c0', _revision: 1, _deleted: true },
      { orderId: 'o9', customerId: 'c0', _revision: 2, _deleted: true },
      { ...order(3), total: 1, _revision: 4 },
      { ...order(3), total: 2, _revision: 5 },
      { ...order(9), total: 3, _revision: 1 },
      order(0),
      { orderId: 'early', customerId: 'c0', _revision: 1, _deleted: true },
      { ...order(5), orderId: 'early', customerId: 'c0' },
    ]);
    const second = await world.start(features, app, EVENT_CLOCK);
    // c0: o3 o6 = 116; s0: o2 o4 o8 o10, none of which came back.
    const expected = [3, 117, 5, 3, 4, 0];
    expect(await valuesOf(second, corrected)).toEqual(expected);
    const status = await callRoute(second, routes.getFeaturesStatus, {});
    expect(status.sources.find((item) => item.source === 'orders')?.duplicates).toBe(5);
    await second.stop(1_000);

    const third = await world.start(features, app, EVENT_CLOCK);
    const stored = await read(third, { ...order(3), total: 100 }, corrected);
    expect(await valuesOf(third)).toEqual(expected);
    // A higher revision brings a deleted event back.
    const back = await append(world, 'orders', [{ ...order(9), total: 4, _revision: 9 }]);
    expect(await valuesOf(third, back)).toEqual([4, 121, 5, 3, 4, 0]);

    const laterLatest = await build(third, 'latest');
    const laterServed = await build(third, 'as-served');
    expect([laterLatest.rows, laterServed.rows]).toEqual([11, 5]);
    const columns = await columnsOf(world, laterServed);
    for (const name of laterServed.names)
      expect(columns.get(name), name).toEqual(columns.get(`served_${name}`));
    const totals = await columnsOf(world, laterLatest);
    expect(Array.from(totals.get('id') ?? [])).toEqual([
      'o1',
      'o2',
      'o3',
      'o4',
      'o5',
      'o6',
      'o7',
      'o8',
      'o9',
      'o10',
      'o11',
    ]);
    expect(Array.from(totals.get('customer_total_7d') ?? [])).toEqual([
      11, 12, 100, 25, 27, 116, 42, 45, 120, 62, 66,
    ]);

    // Those of before the corrections come out again, byte for byte.
    for (const manifest of [asServed, latest]) {
      const rebuilt: DatasetRebuild = await callRoute(third, routes.rebuildDataset, {
        params: { id: manifest.id },
        body: {},
      });
      expect(rebuilt).toMatchObject({ equal: true, recorded: manifest.file });
    }
    const receipts = [
      { candidate: ASKED, asOf: before.rows[0]?.asOf, positions: before.positions },
      { candidate: { ...order(3), total: 100 }, asOf: stored.rows[0]?.asOf, positions: stored.positions },
    ];
    const replayed = await callRoute(third, routes.replayVector, {
      params: { vector: 'basket' },
      body: { hash: before.hash, receipts },
    });
    expect(replayed.rows).toEqual([...before.rows, ...stored.rows]);
    await third.stop(1_000);
  });

  it('begins with a history from before the source took corrections, archived and merged', async () => {
    await using world = await testWorld();
    const options = { ...EVENT_CLOCK, archiveFilesMax: 2 };
    const plain = await world.start(features, shopApp(false), options);
    const made = Array.from({ length: 12 }, (_, serial) => order(serial));
    const after = await append(world, 'orders', made);
    expect(await valuesOf(plain, after)).toEqual([5, 59, 7, 3, 6, 0]);
    expect((await build(plain, 'latest')).rows).toBe(12);
    await plain.stop(1_000);

    const service = await world.start(features, app, options);
    for (const [revision, total] of [20, 30, 40].entries()) {
      const corrected = await append(world, 'orders', [{ ...order(3), total, _revision: revision + 1 }]);
      expect(await valuesOf(service, corrected)).toEqual([5, 46 + total, 7, 3, 6, 0]);
      const columns = await columnsOf(world, await build(service, 'latest'));
      expect(Array.from(columns.get('customer_total_7d') ?? [])[3]).toBe(10 + total);
    }
    await service.stop(1_000);
  });
});
