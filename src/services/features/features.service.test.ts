import { describe, expect, it } from 'vitest';
import { callRoute, type TestWorld, testWorld } from '../../../test/support/service-host.ts';
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
  features as defineFeatures,
  id,
  key,
  label,
  logistic,
  max,
  mean,
  money,
  pick,
  source,
  timestamp,
  vector,
} from '../../define/index.ts';
import { WAREHOUSE_DEFAULTS } from '../../adapters/duckdb/options.ts';
import type { RunningService } from '../../runtime/index.ts';
import { features } from './index.ts';

const orders = source('orders', {
  id: 'orderId',
  time: 'at',
  key: 'customerId',
  fields: { orderId: id(), at: timestamp(), customerId: key(), shopId: key(), total: money('EUR') },
});
const returns = source('returns', {
  id: 'returnId',
  time: 'at',
  key: 'orderId',
  fields: { returnId: id(), at: timestamp(), orderId: key() },
});
const returned = label('returned', { of: orders, from: returns, on: 'orderId', maturesAfter: '1d' });
const customer = defineFeatures(
  'customer',
  { from: orders, key: 'customerId', hop: 'exact', closed: 'right' },
  (o) => ({
    n: count().over('1d', '7d'),
    total: mean(o.total).over('7d'),
  }),
);
const shop = defineFeatures(
  'shop',
  { from: returned.matured(), key: 'shopId', hop: 'exact', closed: 'right' },
  (o) => ({
    n: count().over('7d'),
    rate: mean(o.returned).over('7d').orElse(0),
  }),
);
const basket = vector('basket', { candidate: orders, total: (c) => c.total, customer, shop });
const model = defineModel('m', { vector: basket, label: returned, trainer: logistic() });
const app = defineApp('shop', { decisions: { d: decision('d', { model, subject: 'customerId' }) } });

const DAY = 86_400_000;
const START = Date.UTC(2026, 0, 5);

interface Order {
  readonly orderId: string;
  readonly at: number;
  readonly customerId: string;
  readonly shopId: string;
  readonly total: number;
}

function order(serial: number): Order {
  return {
    orderId: `o${String(serial)}`,
    at: START + serial * 1_800_000,
    customerId: `c${String(serial % 5)}`,
    shopId: `s${String(serial % 3)}`,
    total: (serial % 7) + 0.25,
  };
}

async function append(
  world: TestWorld,
  name: string,
  keyField: string,
  records: readonly object[],
): Promise<Positions> {
  const positions = Array.from({ length: SOURCE_PARTITIONS }, () => 0);
  for (const record of records) {
    const partition = partitionOf(String((record as Record<string, unknown>)[keyField]), SOURCE_PARTITIONS);
    const offset = await world.postgres.log.append(sourceTopic(name), partition, [
      Buffer.from(JSON.stringify(record)),
    ]);
    positions[partition] = offset + 1;
  }
  return { [name]: positions };
}

function read(
  service: RunningService,
  candidates: readonly object[],
  after: Positions,
  record = false,
): Promise<VectorRead> {
  return callRoute(service, routes.readVector, {
    params: { vector: 'basket' },
    body: { candidates, after, record },
  });
}

const EVENT_CLOCK = { clock: 'event', snapshotRecords: 50, archiveMs: 600_000 };

describe.each([0, 2])('the features service, state in %i threads', (threads) => {
  it('reads its own writes, with values that can be checked by hand', async () => {
    await using world = await testWorld({ threads });
    const service = await world.start(features, app, EVENT_CLOCK);
    const made = [order(0), order(5), order(10)];
    const after = await append(world, 'orders', 'customerId', made);
    const result = await read(service, [{ ...order(15), total: 9.75 }], after);
    expect(result.names).toEqual([
      'total',
      'customer_n_1d',
      'customer_n_7d',
      'customer_total_7d',
      'shop_n_7d',
      'shop_rate_7d',
    ]);
    // Customer c0 ordered for 0.25, 5.25 and 3.25 before, and 9.75 now; nothing has matured.
    expect(result.rows[0]?.values).toEqual([9.75, 4, 4, (0.25 + 5.25 + 3.25 + 9.75) / 4, 0, 0]);
    await service.stop(1_000);
  });

  it('goes on after a crash from snapshot and log, with equal values and nothing counted twice', async () => {
    await using world = await testWorld({ threads });
    const first = await world.start(features, app, EVENT_CLOCK);
    const early = Array.from({ length: 120 }, (_, serial) => order(serial));
    let after = await append(world, 'orders', 'customerId', [...early, ...early.slice(0, 10)]);
    await append(world, 'returns', 'orderId', [{ returnId: 'r1', at: order(3).at + 1_000, orderId: 'o3' }]);
    const candidates = [order(119), order(118)];
    const before = await read(first, candidates, after);
    // Snapshots of the core and of each state partition exist by now or soon; then it crashes, and more records come.
    await expect
      .poll(async () => (await world.postgres.tables.query('select 1 as x from features_snapshot')).length, {
        timeout: 10_000,
      })
      .toBe(1 + STATE_PARTITIONS);
    world.crash(first);
    const late = Array.from({ length: 30 }, (_, index) => order(120 + index));
    after = await append(world, 'orders', 'customerId', late);
    // Nobody may take the partitions before the leases have ended: the first read waits for that.
    const second = await world.start(features, app, EVENT_CLOCK);
    const again = await read(second, candidates, after);
    expect(again.rows).toEqual(before.rows);
    // What the crashed replica last said of itself counts until its lease has ended everywhere.
    const applied = async (): Promise<{ sum: number | undefined; duplicates: number | undefined }> => {
      const status = await callRoute(second, routes.getFeaturesStatus, {});
      const own = status.sources.find((item) => item.source === 'orders');
      return {
        sum: own?.applied.reduce((sum, offset) => sum + offset, 0),
        duplicates: own?.duplicates,
      };
    };
    await expect.poll(applied, { timeout: 20_000 }).toEqual({ sum: 160, duplicates: 10 });
    await second.stop(1_000);
  });

  it('frees keys and ids that no window can see any more, and says what the others take', async () => {
    await using world = await testWorld();
    const service = await world.start(features, app, EVENT_CLOCK);
    const sizes = async (): Promise<unknown> => {
      const status = await callRoute(service, routes.getFeaturesStatus, {});
      const group = status.groups.find((item) => item.group === 'customer');
      const own = status.sources.find((item) => item.source === 'orders');
      return { keys: group?.keys, bytesPerKey: group?.bytesPerKey, ids: own?.ids };
    };
    const early = Array.from({ length: 20 }, (_, serial) => order(serial));
    await append(world, 'orders', 'customerId', early);
    const customers = new Set(early.map(({ customerId }) => customerId)).size;
    expect(customers).toBeGreaterThan(1);
    const bytesPerKey = expect.any(Number) as number;
    await expect.poll(sizes, { timeout: 20_000 }).toEqual({ keys: customers, bytesPerKey, ids: 20 });
    const later = { ...order(20), at: order(20).at + 60 * DAY };
    const after = await append(world, 'orders', 'customerId', [later]);
    await expect.poll(sizes, { timeout: 20_000 }).toEqual({ keys: 1, bytesPerKey, ids: 1 });
    const gone = early.find(({ customerId }) => customerId !== later.customerId) ?? order(0);
    const stranger = { ...gone, customerId: 'stranger', orderId: 'of-a-stranger', at: later.at + 1 };
    const result = await read(service, [{ ...gone, orderId: 'new', at: later.at + 1 }, stranger], after);
    expect(result.rows[0]?.values).toEqual(result.rows[1]?.values);
    await service.stop(1_000);
  });

  it('builds datasets that equal what was served, censors what has not matured, and replays bit for bit', async () => {
    await using world = await testWorld({ threads });
    const service = await world.start(features, app, EVENT_CLOCK);
    const served: VectorRead[] = [];
    for (let day = 0; day < 6; day += 1) {
      const made = Array.from({ length: 48 }, (_, index) => order(day * 48 + index));
      const positions = await append(world, 'orders', 'customerId', made);
      const outcomes = made.filter((item) => Number(item.orderId.slice(1)) % 4 === 0);
      const reported = outcomes.map((item) => ({
        returnId: `r${item.orderId}`,
        at: item.at + 3_600_000,
        orderId: item.orderId,
      }));
      Object.assign(positions, await append(world, 'returns', 'orderId', reported));
      served.push(await read(service, made, positions, true));
    }
    const request = {
      vector: 'basket',
      label: 'returned',
      from: START,
      to: START + 6 * DAY,
      asOf: START + 5 * DAY,
    };
    const latest = await callRoute(service, routes.buildDataset, {
      body: { ...request, knowledge: 'latest' },
    });
    // The orders of day 4 mature by the end of day 5; those of the last day and a bit do not.
    expect(latest.rows + latest.censored).toBe(6 * 48);
    expect(latest.rows).toBe(4 * 48 + 1);
    expect(latest.positives).toBe(49);
    const repeated = await callRoute(service, routes.buildDataset, {
      body: { ...request, knowledge: 'latest' },
    });
    expect(repeated).toEqual(latest);
    const asServed = await callRoute(service, routes.buildDataset, {
      body: { ...request, label: undefined, knowledge: 'as-served' },
    });
    expect(asServed.rows).toBe(6 * 48);
    const columns = await parquetColumns(world, asServed.file.digest);
    for (const name of asServed.names) expect(columns.get(name), name).toEqual(columns.get(`served_${name}`));

    const sample = served[4];
    if (sample === undefined) throw new Error('nothing was served');
    const receipts = sample.rows.slice(0, 7).map((row, index) => ({
      candidate: order(4 * 48 + index),
      asOf: row.asOf,
      positions: sample.positions,
    }));
    const replayed = await callRoute(service, routes.replayVector, {
      params: { vector: 'basket' },
      body: { hash: sample.hash, receipts },
    });
    expect(replayed.rows).toEqual(sample.rows.slice(0, 7));
    await service.stop(1_000);
  });

  it('builds more datasets at a time than there are sessions, of records that are not archived yet', async () => {
    await using world = await testWorld({ threads });
    const service = await world.start(features, app, { ...EVENT_CLOCK, archiveMs: 3_600_000 });
    const made = Array.from({ length: 48 }, (_, serial) => order(serial));
    await read(service, made.slice(-1), await append(world, 'orders', 'customerId', made));
    const built = await Promise.all(
      Array.from({ length: WAREHOUSE_DEFAULTS.sessionsMax + 1 }, (_, index) =>
        callRoute(service, routes.buildDataset, {
          body: {
            vector: 'basket',
            from: START + index,
            to: START + DAY,
            asOf: START + DAY,
            knowledge: 'latest',
          },
        }),
      ),
    );
    expect(built.map(({ rows }) => rows)).toEqual([48, 47, 47]);
    await service.stop(1_000);
  });

  it('rebuilds datasets bit for bit from their manifests, whatever came since', async () => {
    await using world = await testWorld({ threads });
    const service = await world.start(features, app, { ...EVENT_CLOCK, archiveFilesMax: 2 });
    const made = Array.from({ length: 96 }, (_, serial) => order(serial));
    const send = async (some: typeof made): Promise<void> => {
      const positions = await append(world, 'orders', 'customerId', some);
      const back = some.filter((item) => Number(item.orderId.slice(1)) % 4 === 0);
      const outcomes = back.map((item) => ({
        returnId: `r${item.orderId}`,
        at: item.at + 3_600_000,
        orderId: item.orderId,
      }));
      Object.assign(positions, await append(world, 'returns', 'orderId', outcomes));
      await read(service, some, positions, true);
    };
    await send(made.slice(0, 48));
    const request = {
      vector: 'basket',
      label: 'returned',
      from: START,
      to: START + 2 * DAY,
      asOf: START + 1.5 * DAY,
    };
    const build = (knowledge: string): Promise<Dataset> =>
      callRoute(service, routes.buildDataset, { body: { ...request, knowledge } });
    const built = [await build('latest'), await build('as-served')];
    expect(built[0]).toMatchObject({ rows: 25, censored: 23, knowledge: 'latest' });
    expect(built[1]).toMatchObject({ rows: 25, censored: 23, knowledge: 'as-served', receipts: 1 });

    // More events within the period, late ones among them, more receipts, merged files of the archive.
    await send(made.slice(48));
    await append(world, 'orders', 'customerId', [{ ...order(2), orderId: 'late', total: 5 }, order(3)]);
    await read(service, made.slice(0, 9), {}, true);
    for (const knowledge of ['latest', 'as-served']) {
      const later = await build(knowledge);
      expect(built.map((item) => item.file.digest)).not.toContain(later.file.digest);
    }
    for (const manifest of built) {
      const rebuild = (body: object): Promise<DatasetRebuild> =>
        callRoute(service, routes.rebuildDataset, { params: { id: manifest.id }, body });
      const file = { recorded: manifest.file, rebuilt: manifest.file, equal: true };
      expect(await rebuild({})).toMatchObject({ ...file, wasStored: true, isStored: true });
      const bytes = await world.objects.get(manifest.file.digest);
      await world.objects.remove(manifest.file.digest);
      expect(await rebuild({ store: false })).toMatchObject({ ...file, wasStored: false, isStored: false });
      expect(await world.objects.has(manifest.file.digest)).toBe(false);
      expect(await rebuild({})).toMatchObject({ ...file, wasStored: false, isStored: true });
      expect(Buffer.from(await world.objects.get(manifest.file.digest)).equals(bytes)).toBe(true);
      expect(await callRoute(service, routes.getDataset, { params: { id: manifest.id } })).toEqual(manifest);
    }

    // A manifest that says something else than what comes out.
    const [first] = built;
    const wrong = { ...first, id: `sha256:${'1'.repeat(64)}`, asOf: START + 1.25 * DAY };
    await world.postgres.tables.query('insert into features_dataset (id, manifest) values ($1, $2)', [
      wrong.id,
      JSON.stringify(wrong),
    ]);
    const other = await callRoute(service, routes.rebuildDataset, { params: { id: wrong.id }, body: {} });
    expect(other).toMatchObject({ equal: false, recorded: first?.file, wasStored: true, isStored: true });
    expect(await world.objects.has(other.rebuilt.digest)).toBe(false);
    const changed = { ...wrong, id: `sha256:${'2'.repeat(64)}`, vectorHash: `sha256:${'3'.repeat(64)}` };
    await world.postgres.tables.query('insert into features_dataset (id, manifest) values ($1, $2)', [
      changed.id,
      JSON.stringify(changed),
    ]);
    const refused = callRoute(service, routes.rebuildDataset, { params: { id: changed.id }, body: {} });
    await expect(refused).rejects.toMatchObject({ code: 'UNPROCESSABLE' });

    const page = await callRoute(service, routes.listDatasets, { query: { limit: 4 } });
    const rest = await callRoute(service, routes.listDatasets, { query: { limit: 4, after: page.next } });
    expect(page.datasets).toHaveLength(4);
    expect([...page.datasets, ...rest.datasets].map((item) => item.id).toSorted()).toEqual(
      [...new Set([...page.datasets, ...rest.datasets].map((item) => item.id))].toSorted(),
    );
    expect(rest).toMatchObject({ next: null, datasets: [{}, {}] });
    await service.stop(1_000);
  });

  it('is rebuilt from the archive when the snapshot is lost and the log has dropped what was archived', async () => {
    await using world = await testWorld({ threads });
    const first = await world.start(features, app, EVENT_CLOCK);
    const made = Array.from({ length: 90 }, (_, serial) => order(serial));
    const positions = await append(world, 'orders', 'customerId', made);
    const outcome = { returnId: 'r1', at: order(3).at + 1_000, orderId: 'o3' };
    Object.assign(positions, await append(world, 'returns', 'orderId', [outcome]));
    const candidates = made.slice(80);
    const before = await read(first, candidates, positions);
    // A dataset has everything archived.
    const whole = { vector: 'basket', from: START, to: START + DAY, knowledge: 'latest' };
    await callRoute(first, routes.buildDataset, { body: whole });
    await first.stop(1_000);
    await world.postgres.tables.query('delete from features_snapshot');
    for (const name of ['orders', 'returns']) {
      const keepFrom = (await world.postgres.log.ranges(sourceTopic(name))).map((range) => range.next);
      await world.postgres.log.retain(sourceTopic(name), Date.now() + DAY, keepFrom);
    }
    const dropped = await world.postgres.log.ranges(sourceTopic('orders'));
    expect(dropped.some((range) => range.first > 0)).toBe(true);
    const second = await world.start(features, app, EVENT_CLOCK);
    expect((await read(second, candidates, positions)).rows).toEqual(before.rows);
    const more = await append(world, 'orders', 'customerId', [order(90)]);
    expect((await read(second, [order(91)], more)).rows).toHaveLength(1);
    await second.stop(1_000);
  });

  it('goes on from the archive when retention has overtaken it', async () => {
    await using world = await testWorld({ threads });
    const slow = await world.start(features, app, EVENT_CLOCK);
    const made = Array.from({ length: 60 }, (_, serial) => order(serial));
    const some = await append(world, 'orders', 'customerId', made.slice(0, 20));
    await read(slow, [order(61)], some);
    world.pause(slow);
    // What its reads of the log wait for comes; the rest comes and goes before it reads again.
    await append(world, 'orders', 'customerId', made.slice(20, 40));
    const fast = await world.start(features, app, EVENT_CLOCK);
    const positions = await append(world, 'orders', 'customerId', made.slice(40));
    const expected = await read(fast, [order(61)], positions);
    const whole = { vector: 'basket', from: START, to: START + DAY, knowledge: 'latest' };
    await callRoute(fast, routes.buildDataset, { body: whole });
    const keepFrom = (await world.postgres.log.ranges(sourceTopic('orders'))).map((range) => range.next);
    await world.postgres.log.retain(sourceTopic('orders'), Date.now() + DAY, keepFrom);
    await fast.stop(1_000);
    world.resume(slow);
    expect((await read(slow, [order(61)], positions)).rows).toEqual(expected.rows);
    await slow.stop(1_000);
  });

  it('builds a new vector from history beside a replica that answers the old one, and says how far it is', async () => {
    const grown = defineFeatures(
      'customer',
      { from: orders, key: 'customerId', hop: 'exact', closed: 'right' },
      (o) => ({
        n: count().over('1d', '7d'),
        most: max(o.total).over('7d'),
        total: mean(o.total).over('7d'),
      }),
    );
    const same = vector('basket', {
      candidate: orders,
      total: (c) => c.total,
      customer: pick(grown, 'n_1d', 'n_7d', 'total_7d'),
      shop,
    });
    const wide = vector('wide', { candidate: orders, customer: grown });
    const old = defineModel('m', { vector: same, label: returned, trainer: logistic() });
    const wider = defineModel('wider', { vector: wide, label: returned, trainer: logistic() });
    const next = defineApp('shop', {
      decisions: { d: decision('d', { model: wider, subject: 'customerId' }) },
      models: [old],
    });
    await using world = await testWorld({ threads });
    const first = await world.start(features, app, EVENT_CLOCK);
    const made = Array.from({ length: 90 }, (_, serial) => order(serial));
    const positions = await append(world, 'orders', 'customerId', made);
    const candidate = order(91);
    const before = await read(first, [candidate], positions);
    const wanted = { params: { vector: 'wide' }, body: { candidates: [candidate], after: positions } };
    const readWide = (service: RunningService): Promise<VectorRead> =>
      callRoute(service, routes.readVector, wanted);
    await expect(readWide(first)).rejects.toMatchObject({ code: 'VECTOR_NOT_FOUND' });
    // Most of history is in the archive alone.
    const whole = { vector: 'basket', from: START, to: START + DAY, knowledge: 'latest' };
    await callRoute(first, routes.buildDataset, { body: whole });
    for (const name of ['orders', 'returns']) {
      const keepFrom = (await world.postgres.log.ranges(sourceTopic(name))).map((range) => range.next);
      await world.postgres.log.retain(sourceTopic(name), Date.now() + DAY, keepFrom);
    }

    const second = await world.start(features, next, EVENT_CLOCK);
    world.pause(second);
    await expect(readWide(first)).rejects.toMatchObject({
      code: 'BACKFILL_RUNNING',
      retryable: true,
      details: { vector: 'wide', percent: expect.any(Number) },
    });
    expect((await read(first, [candidate], positions)).rows).toEqual(before.rows);
    const waiting = await second.ready();
    expect(waiting).toMatchObject({ ready: false, progress: expect.any(Number) });
    expect(waiting.reason).toMatch(/features are built from the log: \d+ % of 90 records/);
    world.resume(second);
    await expect.poll(async () => (await second.ready()).ready, { timeout: 30_000 }).toBe(true);
    const again = await read(second, [candidate], positions);
    expect({ hash: again.hash, rows: again.rows }).toEqual({ hash: before.hash, rows: before.rows });
    const [row] = (await readWide(second)).rows;
    const totals = [...made, candidate].filter((item) => item.customerId === candidate.customerId);
    expect(row?.values[2]).toBe(Math.max(...totals.map((item) => item.total)));
    // Who is asked and does not have it says that another one does, so that the caller goes there.
    await expect
      .poll(() => readWide(first).catch((error: unknown) => error), { timeout: 10_000 })
      .toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    await first.stop(1_000);
    await second.stop(1_000);
  });

  it('is not moved by a rehearsal or a read of another time, so that history can still be read', async () => {
    await using world = await testWorld({ threads });
    const service = await world.start(features, app, EVENT_CLOCK);
    const made = Array.from({ length: 20 }, (_, serial) => order(serial));
    const after = await append(world, 'orders', 'customerId', made);
    const before = await read(service, [order(12)], after);
    const today = { ...order(99), at: Date.now() };
    await callRoute(service, routes.readVector, {
      params: { vector: 'basket' },
      body: { candidates: [today], atClock: true },
    });
    await read(service, [today], after);
    // The next record would drop what a clock of today no longer needs.
    await append(
      world,
      'orders',
      'customerId',
      Array.from({ length: 20 }, (_, index) => order(20 + index)),
    );
    expect((await read(service, [order(12)], after)).rows).toEqual(before.rows);
    await service.stop(1_000);
  });

  it('answers bad requests with codes', async () => {
    await using world = await testWorld({ threads });
    const service = await world.start(features, app, {});
    const attempt = (body: object, name = 'basket'): Promise<unknown> =>
      callRoute(service, routes.readVector, { params: { vector: name }, body });
    await expect(attempt({ candidates: [{ orderId: 'x' }] })).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    await expect(attempt({ candidates: [order(1)] }, 'nothing')).rejects.toMatchObject({
      code: 'VECTOR_NOT_FOUND',
    });
    await expect(
      attempt({ candidates: [{ ...order(1), at: Date.now() + 3_600_000 }] }),
    ).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      details: { code: 'TIME_IN_FUTURE' },
    });
    await expect(
      attempt({ candidates: [order(1)], after: { orders: [99, 0, 0, 0, 0, 0, 0, 0] }, waitMs: 20 }),
    ).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    await service.stop(1_000);
  });
});

async function parquetColumns(world: TestWorld, digest: string): Promise<ReadonlyMap<string, unknown>> {
  await using session = await world.warehouse.session();
  const path = await world.objects.path(digest);
  return (await session.query(`select * from read_parquet('${path}') order by id`)).columns;
}
