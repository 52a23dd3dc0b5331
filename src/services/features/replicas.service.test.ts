import { describe, expect, it } from 'vitest';
import { callRoute, type TestWorld, testWorld } from '../../../test/support/service-host.ts';
import { orders, returns } from '../../../test/support/shop-sources.ts';
import {
  type FeaturesStatus,
  partitionOf,
  type Positions,
  positionsOfRow,
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
  label,
  last,
  logistic,
  mean,
  sum,
  vector,
} from '../../define/index.ts';
import type { RunningService } from '../../runtime/index.ts';
import { features } from './index.ts';

const returned = label('returned', { of: orders, from: returns, on: 'orderId', maturesAfter: '1s' });
const customer = defineFeatures(
  'customer',
  { from: orders, key: 'customerId', hop: 'exact', closed: 'right' },
  (o) => ({ n: count().over('1h'), total: mean(o.total).over('1h'), latest: last(o.total).over('1h') }),
);
const shop = defineFeatures('shop', { from: orders, key: 'shopId', hop: 'exact' }, (o) => ({
  n: count().over('1h'),
  total: sum(o.total).over('1h'),
}));
const risk = defineFeatures('risk', { from: returned.matured(), key: 'shopId', hop: 'exact' }, (o) => ({
  n: count().over('1h'),
  rate: mean(o.returned).over('1h').orElse(0),
}));
const tiles = defineFeatures('tiles', { from: orders, key: 'shopId' }, (o) => ({
  n: count().over('1h'),
  total: sum(o.total).over('1d'),
}));
const tilesToo = defineFeatures('tiles_too', { from: orders, key: 'customerId' }, (o) => ({
  total: sum(o.total).over('1h'),
}));
const basket = vector('basket', { candidate: orders, total: (c) => c.total, customer, shop, risk });
const tiled = vector('tiled', { candidate: orders, tiles, tilesToo, customer });
const model = defineModel('m', { vector: basket, label: returned, trainer: logistic() });
const other = defineModel('t', { vector: tiled, label: returned, trainer: logistic() });
const app = defineApp('shop', {
  decisions: { d: decision('d', { model, subject: 'customerId' }) },
  models: [other],
});

const OPTIONS = { snapshotRecords: 40, archiveMs: 600_000 };
const CUSTOMERS = 40;
const SHOPS = 30;

interface Served {
  readonly vector: string;
  readonly candidate: Record<string, unknown>;
  readonly read: VectorRead;
  readonly row: number;
}

/** Orders that arrive all the time, and readers that ask for vectors all the time, until it ends. */
class Traffic {
  readonly #world: TestWorld;
  /** Whom readers may ask. */
  readonly asked: RunningService[] = [];
  readonly served: Served[] = [];
  readonly errors: unknown[] = [];
  readonly #positions: Record<string, number[]> = {};
  readonly #loops: Promise<void>[];
  #serial = 0;
  #over = false;

  constructor(world: TestWorld, service: RunningService) {
    this.#world = world;
    this.asked.push(service);
    this.#loops = [this.#write(), this.#read('basket'), this.#read('basket'), this.#read('tiled')];
  }

  async end(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#loops);
  }

  async #write(): Promise<void> {
    while (!this.#over) {
      const order = this.#order();
      await this.#append('orders', String(order['customerId']), order);
      // A third is returned, some before they are mature; some orders come twice with other values.
      if (this.#serial % 3 === 0)
        await this.#append('returns', String(order['orderId']), {
          returnId: `r${String(this.#serial)}`,
          at: Number(order['at']) + (this.#serial % 2) * 500,
          orderId: order['orderId'],
        });
      if (this.#serial % 7 === 0)
        await this.#append('orders', String(order['customerId']), { ...order, shopId: 's0', total: 99 });
      await pause(8);
    }
  }

  async #read(name: string): Promise<void> {
    for (let turn = 0; !this.#over; turn += 1) {
      const service = this.asked[turn % this.asked.length];
      if (service === undefined) throw new Error('nobody can be asked');
      const candidates = Array.from({ length: 5 }, () => this.#order());
      const after = structuredClone(this.#positions) as Positions;
      const ownWrites = turn % 2 === 0;
      try {
        const read = await callRoute(service, routes.readVector, {
          params: { vector: name },
          body: { candidates, record: turn % 4 === 0, ...(ownWrites ? { after } : {}) },
        });
        if (ownWrites) expectAfter(read, after);
        for (const [row, candidate] of candidates.entries())
          this.served.push({ vector: name, candidate, read, row });
      } catch (error) {
        this.errors.push(error);
      }
      await pause(15);
    }
  }

  #order(): Record<string, unknown> {
    this.#serial += 1;
    return {
      orderId: `o${String(this.#serial)}`,
      at: Date.now(),
      customerId: `c${String((this.#serial * 7) % CUSTOMERS)}`,
      shopId: `s${String((this.#serial * 11) % SHOPS)}`,
      total: (this.#serial % 900) / 100,
    };
  }

  async #append(name: string, keyed: string, record: object): Promise<void> {
    const partition = partitionOf(keyed, SOURCE_PARTITIONS);
    const bytes = Buffer.from(JSON.stringify(record));
    const offset = await this.#world.postgres.log.append(sourceTopic(name), partition, [bytes]);
    const positions = (this.#positions[name] ??= Array.from({ length: SOURCE_PARTITIONS }, () => 0));
    positions[partition] = offset + 1;
  }
}

/** Every owner that took part has applied what the reader had written. */
function expectAfter(read: VectorRead, after: Positions): void {
  for (const set of [read.positions, ...(read.others ?? [])]) {
    for (const [name, wanted] of Object.entries(after))
      for (const [partition, offset] of (set[name] === undefined ? [] : wanted).entries())
        expect(set[name]?.[partition] ?? 0).toBeGreaterThanOrEqual(offset);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function statusOf(service: RunningService): Promise<FeaturesStatus> {
  return callRoute(service, routes.getFeaturesStatus, {});
}

/** Waits until the replicas own so many state partitions, and nothing moves any more. */
async function waitForOwners(
  service: RunningService,
  wanted: Readonly<Record<string, number>>,
): Promise<void> {
  const owners = async (): Promise<unknown> => {
    const { statePartitions } = await statusOf(service);
    const counts: Record<string, number> = {};
    for (const { state, replica } of statePartitions) {
      const owner = state === 'owned' ? String(replica) : state;
      counts[owner] = (counts[owner] ?? 0) + 1;
    }
    return counts;
  };
  await expect.poll(owners, { timeout: 30_000, interval: 100 }).toEqual(wanted);
}

async function expectReplays(service: RunningService, served: readonly Served[]): Promise<void> {
  for (const name of ['basket', 'tiled']) {
    const own = served.filter((item) => item.vector === name);
    expect(own.length).toBeGreaterThan(50);
    const hash = own[0]?.read.hash;
    const receipts = own.map(({ candidate, read, row }) => {
      const found = read.rows[row];
      if (found === undefined) throw new Error('a row is missing');
      return { candidate, asOf: found.asOf, ...positionsOfRow(read, found) };
    });
    const replayed = await callRoute(service, routes.replayVector, {
      params: { vector: name },
      body: { hash, receipts },
    });
    for (const [index, item] of own.entries())
      expect(replayed.rows[index]?.values, JSON.stringify(receipts[index])).toEqual(
        item.read.rows[item.row]?.values,
      );
  }
}

describe.each([0, 2])('several features replicas, state in %i threads', (threads) => {
  it('share the state, hand it over and take it over, and serve nothing that replay does not find', async () => {
    await using world = await testWorld({ threads });
    const start = (name: string): Promise<RunningService> =>
      world.start(features, app, OPTIONS, undefined, name);
    const first = await start('features-1');
    await waitForOwners(first, { 'features-1': STATE_PARTITIONS });
    const traffic = new Traffic(world, first);
    const second = await start('features-2');
    const third = await start('features-3');
    await expect.poll(async () => (await third.ready()).ready, { timeout: 20_000 }).toBe(true);
    traffic.asked.push(second, third);
    await expect
      .poll(
        async () =>
          (await statusOf(first)).replicas.map(({ partitions }) => partitions).sort((one, two) => one - two),
        { timeout: 30_000 },
      )
      .toEqual([5, 5, 6]);
    await pause(500);
    // One goes in good order.
    traffic.asked.splice(1, 1);
    await second.leave?.(20_000);
    await second.stop(2_000);
    await waitForOwners(first, { 'features-1': 8, 'features-3': 8 });
    await pause(500);
    // One is gone from one moment to the next: reads wait for the end of its leases.
    traffic.asked.pop();
    const before = traffic.served.length;
    world.crash(third);
    await waitForOwners(first, { 'features-1': STATE_PARTITIONS });
    await expect.poll(() => traffic.served.length, { timeout: 20_000 }).toBeGreaterThan(before + 30);
    // It comes back under its name.
    const again = await start('features-3');
    traffic.asked.push(again);
    await waitForOwners(first, { 'features-1': 8, 'features-3': 8 });
    await pause(500);
    await traffic.end();
    expect(traffic.errors).toEqual([]);
    // Rows of which groups stood at different positions are what this is about.
    expect(traffic.served.some(({ read }) => read.others !== undefined)).toBe(true);
    await expectReplays(first, traffic.served);
    const dataset = await callRoute(again, routes.buildDataset, {
      body: { vector: 'basket', from: 0, to: Date.now() + 1_000, knowledge: 'as-served' },
    });
    expect(dataset.rows).toBeGreaterThan(20);
    await using session = await world.warehouse.session();
    const path = await world.objects.path(dataset.file.digest);
    const { columns } = await session.query(`select * from read_parquet('${path}') order by id`);
    for (const name of dataset.names) expect(columns.get(name), name).toEqual(columns.get(`served_${name}`));
    await again.stop(2_000);
    await first.stop(2_000);
  }, 180_000);

  it('an owner that was paused beyond its lease finds out before it answers', async () => {
    await using world = await testWorld({ threads });
    const first = await world.start(features, app, OPTIONS, undefined, 'features-1');
    const second = await world.start(features, app, OPTIONS, undefined, 'features-2');
    await waitForOwners(second, { 'features-1': 8, 'features-2': 8 });
    const traffic = new Traffic(world, second);
    await pause(500);
    world.pause(first);
    await waitForOwners(second, { 'features-2': STATE_PARTITIONS });
    const epochs = (await statusOf(second)).statePartitions.map(({ epoch }) => epoch);
    const before = traffic.served.length;
    await expect.poll(() => traffic.served.length, { timeout: 20_000 }).toBeGreaterThan(before + 20);
    world.resume(first);
    // It has not applied what came meanwhile: a read that it answered by itself would not reach these positions.
    const heads = await world.postgres.log.ranges(sourceTopic('orders'));
    const candidate = { orderId: 'x', at: Date.now(), customerId: 'c1', shopId: 's1', total: 1 };
    const read = await callRoute(first, routes.readVector, {
      params: { vector: 'basket' },
      body: { candidates: [candidate] },
    });
    const reached = read.positions['orders'] ?? [];
    for (const [partition, { next }] of heads.entries())
      expect(reached[partition]).toBeGreaterThanOrEqual(next - 5);
    await waitForOwners(second, { 'features-1': 8, 'features-2': 8 });
    const later = (await statusOf(second)).statePartitions.map(({ epoch }) => epoch);
    expect(later.every((epoch, partition) => epoch >= (epochs[partition] ?? 0))).toBe(true);
    traffic.asked.push(first);
    await pause(500);
    await traffic.end();
    expect(traffic.errors).toEqual([]);
    await expectReplays(second, traffic.served);
    await first.stop(2_000);
    await second.stop(2_000);
  }, 120_000);
});
