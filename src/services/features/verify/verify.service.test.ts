import { describe, expect, it } from 'vitest';
import { callRoute, type TestWorld, testWorld } from '../../../../test/support/service-host.ts';
import {
  partitionOf,
  type Positions,
  positionsOfRow,
  routes,
  SOURCE_PARTITIONS,
  sourceTopic,
  type Verification,
} from '../../../contract/index.ts';
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
  mean,
  money,
  source,
  sum,
  timestamp,
  vector,
} from '../../../define/index.ts';
import type { Caller, RunningService } from '../../../runtime/index.ts';
import { serve } from '../../serve/index.ts';
import { insertEntries, type NewEntry, vectorIdOf } from '../../serve/ledger-store.ts';
import { features } from '../index.ts';
import { claimVerification, finishVerification, insertVerification } from './verification-store.ts';

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
const customer = defineFeatures('customer', { from: orders, key: 'customerId' }, (o) => ({
  n: count().over('1d'),
  total: sum(o.total).over('7d'),
}));
const shop = defineFeatures(
  'shop',
  { from: returned.matured(), key: 'shopId', hop: 'exact', closed: 'right' },
  (o) => ({ rate: mean(o.returned).over('7d').orElse(0) }),
);
const basket = vector('basket', { candidate: orders, total: (c) => c.total, customer, shop });
const model = defineModel('m', { vector: basket, label: returned, trainer: logistic() });
const app = defineApp('shop', { decisions: { d: decision('d', { model, subject: 'customerId' }) } });

const START = Date.UTC(2026, 0, 5);
const VALUES = 4;

function order(serial: number): Record<string, unknown> & { orderId: string; at: number } {
  return {
    orderId: `o${String(serial)}`,
    at: START + serial * 3_600_000,
    customerId: `c${String(serial % 5)}`,
    shopId: `s${String(Math.floor(serial / 2) % 3)}`,
    total: (serial % 7) + 0.25,
  };
}

async function append(
  world: TestWorld,
  name: string,
  keyField: string,
  records: readonly Record<string, unknown>[],
): Promise<Positions> {
  const positions = Array.from({ length: SOURCE_PARTITIONS }, () => 0);
  for (const record of records) {
    const partition = partitionOf(String(record[keyField]), SOURCE_PARTITIONS);
    const offset = await world.postgres.log.append(sourceTopic(name), partition, [
      Buffer.from(JSON.stringify(record)),
    ]);
    positions[partition] = offset + 1;
  }
  return { [name]: positions };
}

/** The features service and the ledger of the serve service on one database, with decisions on every third event. */
class Shop implements AsyncDisposable {
  readonly world: TestWorld;
  readonly ledger: RunningService;
  service: RunningService;
  #serial = 0;

  private constructor(world: TestWorld, ledger: RunningService, service: RunningService) {
    this.world = world;
    this.ledger = ledger;
    this.service = service;
  }

  static async open(): Promise<Shop> {
    const world = await testWorld();
    const ledger = await world.start(serve, app);
    return new Shop(world, ledger, await Shop.start(world, ledger));
  }

  static start(world: TestWorld, ledger: RunningService, options = {}): Promise<RunningService> {
    const call = ((route, input) => callRoute(ledger, route, input)) as Caller;
    return world.start(features, app, { clock: 'event', archiveMs: 600_000, ...options }, call);
  }

  /** Decides on `decisions` events, with others, late ones, doubled ones and outcomes between them. */
  async decide(decisions: number): Promise<string[]> {
    const vectorId = await vectorIdOf(this.world.postgres.tables, basket);
    const ids: string[] = [];
    for (let made = 0; made < decisions; made += 1) {
      const serial = (this.#serial += 3);
      const between = [order(serial), order(serial + 1), order(Math.max(0, serial - 8)), order(serial)];
      const after = await append(this.world, 'orders', 'customerId', between);
      const outcome = {
        returnId: `r${String(serial)}`,
        at: order(serial).at + 1_000,
        orderId: `o${String(serial)}`,
      };
      Object.assign(after, await append(this.world, 'returns', 'orderId', [outcome]));
      const request = order(serial + 2);
      const read = await callRoute(this.service, routes.readVector, {
        params: { vector: 'basket' },
        body: { candidates: [request], after },
      });
      const [row] = read.rows;
      if (row === undefined) throw new Error('nothing was read');
      const entry = { decisionId: uuidOf(serial), request, values: row.values, asOf: row.asOf };
      await this.insert({ ...entry, ...positionsOfRow(read, row), vectorId });
      ids.push(entry.decisionId);
    }
    return ids;
  }

  async insert(
    entry: Pick<NewEntry, 'decisionId' | 'request' | 'values' | 'asOf' | 'positions' | 'vectorId'>,
  ): Promise<void> {
    const rest = {
      decision: 'd',
      subject: 'c0',
      release: 'd-1',
      score: 0.5,
      outcome: 'negative',
      traceId: null,
    };
    await insertEntries(this.world.postgres.tables, [{ ...rest, at: START, ...entry }]);
  }

  async verify(body: object = {}): Promise<Verification> {
    const whole = { since: START, until: START + 1_000_000 };
    const asked = await callRoute(this.service, routes.startVerification, { body: { ...whole, ...body } });
    const get = (): Promise<Verification> =>
      callRoute(this.service, routes.getVerification, { params: { id: asked.id } });
    await expect.poll(async () => (await get()).endedAt, { timeout: 60_000 }).not.toBeNull();
    return get();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.service.stop(1_000);
    await this.ledger.stop(1_000);
    await this.world[Symbol.asyncDispose]();
  }
}

/** An id of version 7 whose time is START and so many milliseconds. */
function uuidOf(ms: number): string {
  const time = (START + ms).toString(16).padStart(12, '0');
  const rest = ms.toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${rest}`;
}

describe('verifications of served features', () => {
  it('find that all came out equal, and name the value, row and feature that did not', async () => {
    await using running = await Shop.open();
    const ids = await running.decide(30);
    const equal = await running.verify();
    expect(equal).toMatchObject({
      state: 'done',
      decisions: 30,
      rows: 30,
      values: 30 * VALUES,
      mismatches: 0,
      notRecomputable: 0,
      differences: [],
    });
    // Values that say something: tiles and matured labels.
    const served = await callRoute(running.ledger, routes.readLedger, { body: { ids } });
    expect(new Set(served.entries.map(({ values }) => values[1])).size).toBeGreaterThan(2);
    expect(served.entries.some(({ values }) => (values[3] ?? 0) > 0)).toBe(true);

    // As if the online state had been wrong by the least there is.
    const wrong = ids[7] ?? '';
    const was = served.entries.find(({ decisionId }) => decisionId === wrong)?.values[2] ?? 0;
    await running.world.postgres.tables.query(
      `update serve_ledger set entry = jsonb_set(entry::jsonb, '{values,2}', $2::jsonb)::json where decision_id = $1`,
      [wrong, String(was + 0.01)],
    );
    const found = await running.verify();
    expect(found).toMatchObject({ rows: 30, values: 30 * VALUES, mismatches: 1 });
    expect(found.features[0]).toMatchObject({
      vector: 'basket',
      feature: 'customer_total_7d',
      values: 30,
      mismatches: 1,
    });
    expect(found.differences).toEqual([
      {
        decisionId: wrong,
        at: START,
        vector: 'basket',
        feature: 'customer_total_7d',
        served: was + 0.01,
        recomputed: was,
      },
    ]);
    const text = await running.world.metrics.text();
    expect(text).toContain('features_mismatches_total{vector="basket"} 1');
    expect(text).toContain(`features_verified_values_total{vector="basket"} ${String(60 * VALUES)}`);

    const listed = await callRoute(running.service, routes.listVerifications, { query: { valuesMin: 1 } });
    expect(listed.verifications.map((item) => item.id)).toEqual([found.id, equal.id]);
    expect(JSON.stringify(listed)).not.toContain(wrong);
    const none = await callRoute(running.service, routes.listVerifications, { query: { valuesMin: 1_000 } });
    expect(none.verifications).toEqual([]);
  });

  it('draw a sample, and count apart what cannot be recomputed', async () => {
    await using running = await Shop.open();
    const ids = await running.decide(12);
    expect(await running.verify({ sample: 5 })).toMatchObject({ decisions: 12, rows: 5, mismatches: 0 });

    const tables = running.world.postgres.tables;
    const [entry] = (await callRoute(running.ledger, routes.readLedger, { body: { ids } })).entries;
    if (entry === undefined) throw new Error('the ledger is empty');
    const vectorId = await vectorIdOf(tables, basket);
    const other = await vectorIdOf(tables, { ...basket, hash: `sha256:${'0'.repeat(64)}` });
    const { request, values, asOf, positions } = entry;
    const known = { request, values, asOf, positions, vectorId };
    await running.insert({ ...known, decisionId: uuidOf(9_001), vectorId: other });
    await running.insert({ ...known, decisionId: uuidOf(9_002), request: { ...request, total: 'much' } });
    // Read at positions that the log has lost.
    const lost = { ...positions, orders: (positions['orders'] ?? []).map((offset) => offset + 1_000) };
    await running.insert({ ...known, decisionId: uuidOf(9_003), positions: lost });
    const apart = await running.verify();
    expect(apart).toMatchObject({ decisions: 15, rows: 12, values: 12 * VALUES, notRecomputable: 3 });
    expect(apart.reasons).toHaveLength(3);
    expect(apart.reasons).toEqual(
      expect.arrayContaining([
        { reason: 'definition-changed', rows: 1 },
        { reason: 'contract-changed', rows: 1 },
        { reason: 'log-missing', rows: 1 },
      ]),
    );

    const [file] = await tables.query<{ digest: string }>(
      `select digest from features_archive_file where source = 'orders' limit 1`,
    );
    await running.world.objects.remove(file?.digest ?? '');
    const gone = await running.verify();
    expect(gone).toMatchObject({ state: 'done', rows: 0, values: 0, mismatches: 0, notRecomputable: 15 });
    expect(gone.reasons).toContainEqual({ reason: 'archive-missing', rows: 13 });
  });

  it('come by the schedule, once for all replicas, and refuse what makes no sense', async () => {
    await using running = await Shop.open();
    const { world } = running;
    const hourly = { verifyMs: 3_600_000, verifySample: 10 };
    const more = [
      await Shop.start(world, running.ledger, hourly),
      await Shop.start(world, running.ledger, hourly),
    ];
    const list = (): Promise<{ since: number; until: number; state: string }[]> =>
      callRoute(running.service, routes.listVerifications, {}).then((page) => page.verifications);
    await expect
      .poll(async () => (await list()).map(({ state }) => state), { timeout: 30_000 })
      .toEqual(['done']);
    const [scheduled] = await list();
    expect((scheduled?.until ?? 0) - (scheduled?.since ?? 0)).toBe(3_600_000);
    expect((scheduled?.until ?? 0) % 3_600_000).toBe(0);
    for (const service of more) await service.stop(1_000);

    const ask = (body: object): Promise<Verification> =>
      callRoute(running.service, routes.startVerification, { body });
    const first = await ask({ sample: 3, idempotencyKey: 'k' });
    expect((await ask({ sample: 3, idempotencyKey: 'k' })).id).toBe(first.id);
    await expect(ask({ sample: 4, idempotencyKey: 'k' })).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(ask({ since: 5, until: 5 })).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    const missing = callRoute(running.service, routes.getVerification, { params: { id: 'none' } });
    await expect(missing).rejects.toMatchObject({ code: 'VERIFICATION_NOT_FOUND' });
  });

  it('fail with a reason when the ledger cannot be read, and are not ended by who lost them', async () => {
    await using running = await Shop.open();
    const { world } = running;
    const { tables } = world.postgres;
    const made = { id: uuidOf(1), createdAt: START, since: 0, until: 1, sample: 1, seed: 1 };
    await insertVerification(tables, { ...made, idempotencyKey: undefined, requestHash: '' });
    const before = await claimVerification(tables, made.id);
    const now = await claimVerification(tables, made.id);
    if (before === undefined || now === undefined) throw new Error('it could not be claimed');
    expect(await finishVerification(tables, before, { at: 1, error: 'late' })).toBe(false);
    expect(await finishVerification(tables, now, { at: 2, error: 'known' })).toBe(true);
    expect(await claimVerification(tables, made.id)).toBeUndefined();

    await tables.query('drop table serve_ledger cascade');
    const failed = await running.verify();
    expect(failed).toMatchObject({ state: 'failed', values: 0 });
    expect(failed.error).toContain('INTERNAL');
  });
});
