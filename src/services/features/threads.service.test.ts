import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { callRoute, type TestWorld, testWorld } from '../../../test/support/service-host.ts';
import { orders, returns } from '../../../test/support/shop-sources.ts';
import {
  partitionOf,
  PlatformError,
  type Positions,
  positionsOfRow,
  routes,
  SOURCE_PARTITIONS,
  sourceTopic,
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
  sum,
  vector,
} from '../../define/index.ts';
import type { Readiness, RunningService } from '../../runtime/index.ts';
import { features } from './index.ts';

const returned = label('returned', { of: orders, from: returns, on: 'orderId', maturesAfter: '1h' });
const customer = defineFeatures('customer', { from: orders, key: 'customerId', hop: 'exact' }, (o) => ({
  n: count().over('1d'),
  total: mean(o.total).over('1d'),
}));
const risk = defineFeatures('risk', { from: returned.matured(), key: 'shopId', hop: 'exact' }, (o) => ({
  n: count().over('7d'),
  rate: mean(o.returned).over('7d').orElse(0),
}));
const shop = defineFeatures('shop', { from: orders, key: 'shopId' }, (o) => ({
  total: sum(o.total).over('1d', '7d'),
  customers: distinct(o.customerId).over('7d'),
}));
const exact = vector('exact', { candidate: orders, customer, risk });
const tiled = vector('tiled', { candidate: orders, customer, shop });
const model = defineModel('m', { vector: exact, label: returned, trainer: logistic() });
const other = defineModel('t', { vector: tiled, label: returned, trainer: logistic() });
const app = defineApp('shop', {
  decisions: { d: decision('d', { model, subject: 'customerId' }) },
  models: [other],
});

const START = Date.UTC(2026, 0, 5);
const MINUTE = 60_000;
const CUSTOMERS = 40;
const SHOPS = 30;
const OPTIONS = { clock: 'event', snapshotRecords: 200, archiveMs: 600_000 };

function order(serial: number): Record<string, unknown> {
  return {
    orderId: `o${String(serial)}`,
    at: START + serial * MINUTE - (serial % 9 === 0 ? 90 * MINUTE : 0),
    customerId: `c${String((serial * 7) % CUSTOMERS)}`,
    shopId: `s${String((serial * 11) % SHOPS)}`,
    total: (serial % 900) / 100,
  };
}

/** Appends orders, some of them twice and some with a return, a few at a time. */
async function write(world: TestWorld, from: number, to: number): Promise<Positions> {
  const positions: Record<string, number[]> = {};
  for (let start = from; start < to; start += 50) {
    const records = new Map<string, Uint8Array[]>();
    const add = (name: string, keyed: unknown, record: object): void => {
      const place = `${name}/${String(partitionOf(String(keyed), SOURCE_PARTITIONS))}`;
      records.set(place, [...(records.get(place) ?? []), Buffer.from(JSON.stringify(record))]);
    };
    for (let serial = start; serial < Math.min(to, start + 50); serial += 1) {
      const made = order(serial);
      add('orders', made['customerId'], made);
      if (serial % 6 === 0) add('orders', made['customerId'], { ...made, total: 99 });
      if (serial % 4 === 0) {
        const outcome = { returnId: `r${String(serial)}`, at: made['at'], orderId: made['orderId'] };
        add('returns', made['orderId'], outcome);
      }
    }
    for (const [place, bytes] of records) {
      const [name = '', partition] = place.split('/');
      const offset = await world.postgres.log.append(sourceTopic(name), Number(partition), bytes);
      const reached = (positions[name] ??= Array.from({ length: SOURCE_PARTITIONS }, () => 0));
      reached[Number(partition)] = offset + bytes.length;
    }
  }
  return positions;
}

async function read(
  service: RunningService,
  name: string,
  after: Positions,
  serial: number,
): Promise<VectorRead> {
  const candidates = Array.from({ length: 40 }, (_, index) => ({
    ...order(serial + index),
    orderId: `x${String(index)}`,
    at: START + serial * MINUTE,
  }));
  const body = { candidates, after, waitMs: 60_000 };
  for (;;) {
    try {
      return await callRoute(service, routes.readVector, { params: { vector: name }, body });
    } catch (error) {
      // On a busy machine a thread may be away for longer than a read waits.
      if (!PlatformError.is(error) || error.code !== 'UNAVAILABLE') throw error;
    }
  }
}

/** Threads that start while it is there. */
class StartedThreads {
  readonly #workers: Worker[] = [];
  readonly #note = (message: unknown): void => {
    this.#workers.push((message as { worker: Worker }).worker);
  };

  constructor() {
    subscribe('worker_threads', this.#note);
  }

  get living(): readonly Worker[] {
    return this.#workers.filter(({ threadId }) => threadId >= 0);
  }

  [Symbol.dispose](): void {
    unsubscribe('worker_threads', this.#note);
  }
}

async function untilReady(service: RunningService): Promise<Readiness[]> {
  const seen: Readiness[] = [];
  await expect
    .poll(
      async () => {
        const readiness = await service.ready();
        seen.push(readiness);
        return readiness.ready;
      },
      { timeout: 120_000, interval: 2 },
    )
    .toBe(true);
  return seen;
}

describe('threads of the features service', () => {
  it.each([1, 3])(
    'may end in the middle of a stream: values are those of an undisturbed service (%i threads)',
    async (threads) => {
      await using world = await testWorld({ threads });
      await using undisturbed = await testWorld();
      using started = new StartedThreads();
      const service = await world.start(features, app, OPTIONS);
      const expected = await undisturbed.start(features, app, OPTIONS);
      expect(started.living).toHaveLength(threads);
      await untilReady(service);
      const served: { vector: string; serial: number; read: VectorRead }[] = [];
      const look = async (after: Positions, serial: number): Promise<void> => {
        for (const name of ['exact', 'tiled'])
          served.push({ vector: name, serial, read: await read(service, name, after, serial) });
      };
      await look(await write(world, 0, 400), 400);
      // One is ended from outside, in the middle of records and reads.
      let writing = write(world, 400, 600);
      await started.living[0]?.terminate();
      const whileAway = await untilReady(service);
      expect(whileAway[0]).toMatchObject({
        ready: false,
        reason: expect.stringContaining('THREAD_EXITED') as unknown,
      });
      await look(await writing, 600);
      // One throws.
      writing = write(world, 600, 800);
      started.living.at(-1)?.postMessage({ id: 0, call: 'apply', ask: null, clock: 0 });
      await look(await writing, 800);
      await untilReady(service);
      expect(started.living).toHaveLength(threads);
      const text = await world.metrics.text();
      expect(text).toMatch(/^features_thread_failures_total\{.*reason="THREAD_EXITED".*\} 1$/m);
      expect(text).toMatch(/^features_thread_failures_total\{.*reason="THREAD_THREW".*\} 1$/m);
      await write(undisturbed, 0, 800);
      const last = await write(undisturbed, 800, 801);
      const lastToo = await write(world, 800, 801);
      expect(lastToo).toEqual(last);
      for (const name of ['exact', 'tiled']) {
        const own = await read(service, name, lastToo, 801);
        const wanted = await read(expected, name, last, 801);
        expect(own.rows).toEqual(wanted.rows);
        expect(own.others).toBeUndefined();
      }
      // And whatever was answered meanwhile can be recomputed.
      for (const { vector: name, serial, read: answer } of served) {
        const receipts = answer.rows.map((row, index) => ({
          candidate: { ...order(serial + index), orderId: `x${String(index)}`, at: START + serial * MINUTE },
          asOf: row.asOf,
          ...positionsOfRow(answer, row),
        }));
        const replayed = await callRoute(service, routes.replayVector, {
          params: { vector: name },
          body: { hash: answer.hash, receipts },
        });
        expect(replayed.rows.map(({ values }) => values)).toEqual(answer.rows.map(({ values }) => values));
      }
      await service.stop(5_000);
      await expected.stop(5_000);
      expect(started.living).toHaveLength(0);
    },
    300_000,
  );

  it('go on from their snapshots after the whole process is gone', async () => {
    await using world = await testWorld({ threads: 2 });
    const first = await world.start(features, app, OPTIONS);
    const after = await write(world, 0, 500);
    const before = await read(first, 'tiled', after, 500);
    await first.stop(5_000);
    const snapshots = await world.postgres.tables.query('select 1 from features_snapshot');
    expect(snapshots).toHaveLength(17);
    // In another number of threads, and in none.
    for (const threads of [3, 0]) {
      const again = await world.start(features, app, { ...OPTIONS, threads });
      await untilReady(again);
      const now = await read(again, 'tiled', after, 500);
      expect(now.rows).toEqual(before.rows);
      await again.stop(5_000);
    }
  });
});
