import { describe, expect, it } from 'vitest';
import { callRoute, type TestWorld, testWorld } from '../../../test/support/service-host.ts';
import {
  partitionOf,
  type Positions,
  routes,
  SOURCE_PARTITIONS,
  sourceTopic,
  STATE_PARTITIONS,
  type VectorRead,
} from '../../contract/index.ts';
import {
  asOf,
  count,
  decision,
  defineApp,
  defineModel,
  distinct,
  embedding,
  features as defineFeatures,
  id,
  key,
  label,
  last,
  lastK,
  logistic,
  mean,
  money,
  percentile,
  ratio,
  source,
  std,
  sum,
  timestamp,
  topK,
  vector,
} from '../../define/index.ts';
import { features } from './index.ts';

const visits = source('visits', {
  id: 'visitId',
  time: 'at',
  key: 'customerId',
  fields: {
    visitId: id(),
    at: timestamp(),
    customerId: key(),
    shopId: key(),
    spent: money('EUR'),
    taste: embedding(3),
  },
});
const complaints = source('complaints', {
  id: 'complaintId',
  time: 'at',
  key: 'visitId',
  fields: { complaintId: id(), at: timestamp(), visitId: key() },
});
const complained = label('complained', {
  of: visits,
  from: complaints,
  on: 'visitId',
  maturesAfter: '1d',
});
const customer = defineFeatures('customer', { from: visits, key: 'customerId' }, (v) => ({
  n: count().over('1d', 'ever'),
  large: count().over('1d').where(v.spent.atLeast(4)),
  spread: std(v.spent).over('ever'),
  shops: distinct(v.shopId, { exactUpTo: 2 }).over('1d', 'ever'),
  usual: percentile(v.spent, 0.5).over('ever'),
  often: topK(v.shopId, 2).over('ever'),
  taste: mean(v.taste).over('1d'),
  fresh: last(v.spent).over('ever').ttl('1h').orElse(-1),
  share: ratio(sum(v.spent).over('1d'), sum(v.spent).over('ever')),
}));
const shop = defineFeatures('shop', { from: visits, key: 'shopId', hop: 'exact' }, (v) => ({
  recent: lastK(v.spent, 2).over('1d'),
  same: last(v.customerId).over('7d').value().equals(v.customerId),
  quiet: asOf().toNumber().minus(last(v.at).over('7d').value().toNumber()),
}));
const visit = vector('visit', { candidate: visits, customer, shop });
const model = defineModel('m', { vector: visit, label: complained, trainer: logistic() });
const app = defineApp('shop', { decisions: { d: decision('d', { model, subject: 'customerId' }) } });

const START = Date.UTC(2026, 0, 5);
const MINUTE = 60_000;
const EVENT_CLOCK = { clock: 'event', snapshotRecords: 20, archiveMs: 600_000 };

function made(serial: number): Readonly<Record<string, unknown>> & { readonly customerId: string } {
  return {
    visitId: `v${String(serial)}`,
    at: START + serial * 20 * MINUTE,
    customerId: `c${String(serial % 3)}`,
    shopId: `s${String((serial * 7) % 5)}`,
    spent: (serial % 7) + 0.5,
    taste: [serial, serial / 8, -serial],
  };
}

async function append(world: TestWorld, from: number, to: number): Promise<Positions> {
  const positions = Array.from({ length: SOURCE_PARTITIONS }, () => 0);
  for (let serial = from; serial < to; serial += 1) {
    const record = made(serial);
    const partition = partitionOf(record.customerId, SOURCE_PARTITIONS);
    const bytes = Buffer.from(JSON.stringify(record));
    positions[partition] = (await world.postgres.log.append(sourceTopic('visits'), partition, [bytes])) + 1;
  }
  return { visits: positions };
}

describe.each([0, 2])('aggregates of every kind, in a service, state in %i threads', (threads) => {
  it('have the values that can be checked by hand (rule 7)', async () => {
    await using world = await testWorld({ threads });
    const service = await world.start(features, app, EVENT_CLOCK);
    // Customer c0 was at s0, s1, s2 and s3 for 0.50, 3.50, 6.50 and 2.50, an hour apart, and is now at s1 for 5.00.
    const after = await append(world, 0, 10);
    const candidate = { ...made(12), shopId: 's1', spent: 5, at: START + 240 * MINUTE };
    const result: VectorRead = await callRoute(service, routes.readVector, {
      params: { vector: 'visit' },
      body: { candidates: [candidate], after },
    });
    const values = Object.fromEntries(
      result.names.map((name, index) => [name, result.rows[0]?.values[index]]),
    );
    expect(values).toMatchObject({
      customer_n_1d: 5,
      customer_n_ever: 5,
      customer_large_1d: 2,
      customer_shops_1d: 4,
      customer_often_ever_1: 2,
      customer_often_ever_2: 1,
      customer_taste_1d_1: (0 + 3 + 6 + 9 + 12) / 5,
      customer_taste_1d_3: -(0 + 3 + 6 + 9 + 12) / 5,
      customer_fresh_ever: 5,
      customer_share: 1,
      shop_recent_1d_1: 5,
      // The latest visit of s1 is v8 at 160 minutes, of c2, for 1.50.
      shop_recent_1d_2: 1.5,
      shop_same: 1,
      shop_quiet: 0,
    });
    expect(values['customer_usual_ever']).toBeCloseTo(3.5, 1);
    expect(values['customer_spread_ever']).toBeCloseTo(Math.sqrt(4.24), 12);
    await service.stop(1_000);
  });

  it('go on from a snapshot after a crash, equal their datasets, and are replayed bit for bit (rules 5, 8, 13)', async () => {
    await using world = await testWorld({ threads });
    const first = await world.start(features, app, EVENT_CLOCK);
    const served: VectorRead[] = [];
    const readAt = async (
      service: typeof first,
      serials: readonly number[],
      after: Positions,
      record: boolean,
    ): Promise<VectorRead> =>
      callRoute(service, routes.readVector, {
        params: { vector: 'visit' },
        body: { candidates: serials.map((serial) => made(serial)), after, record },
      });
    let after: Positions = {};
    for (let batch = 0; batch < 6; batch += 1) {
      after = await append(world, batch * 20, batch * 20 + 20);
      served.push(await readAt(first, [batch * 20 + 17, batch * 20 + 19, batch * 20 + 20], after, true));
    }
    const before = await readAt(first, [122], after, false);
    await expect
      .poll(async () => (await world.postgres.tables.query('select 1 as x from features_snapshot')).length, {
        timeout: 20_000,
      })
      .toBe(1 + STATE_PARTITIONS);
    world.crash(first);
    const second = await world.start(features, app, EVENT_CLOCK);
    const again = await readAt(second, [122], after, false);
    expect(again.rows).toEqual(before.rows);

    const dataset = await callRoute(second, routes.buildDataset, {
      body: { vector: 'visit', from: START, to: START + 121 * 20 * MINUTE, knowledge: 'as-served' },
    });
    expect(dataset.rows).toBe(18);
    await using session = await world.warehouse.session();
    const path = await world.objects.path(dataset.file.digest);
    const { columns } = await session.query(`select * from read_parquet('${path}') order by id`);
    const spread = dataset.names.filter((name) => name.startsWith('customer_spread'));
    for (const name of dataset.names) {
      const [found, wanted] = [columns.get(name), columns.get(`served_${name}`)];
      if (!spread.includes(name)) expect(found, name).toEqual(wanted);
      else
        for (const [row, value] of (found as Float64Array).entries())
          expect(value).toBeCloseTo((wanted as Float64Array)[row] ?? Number.NaN, 9);
    }
    const sample = served[3];
    if (sample === undefined) throw new Error('nothing was served');
    const replayed = await callRoute(second, routes.replayVector, {
      params: { vector: 'visit' },
      body: {
        hash: sample.hash,
        receipts: sample.rows.map((row, index) => ({
          candidate: made([77, 79, 80][index] ?? 0),
          asOf: row.asOf,
          positions: sample.positions,
        })),
      },
    });
    expect(replayed.rows).toEqual(sample.rows);
    await second.stop(1_000);
  });
});
