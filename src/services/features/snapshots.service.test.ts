import { readFile, rm, truncate, writeFile } from 'node:fs/promises';
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
  count,
  decision,
  defineApp,
  defineModel,
  features as defineFeatures,
  id,
  key,
  label,
  logistic,
  money,
  source,
  sum,
  timestamp,
  vector,
} from '../../define/index.ts';
import type { RunningService } from '../../runtime/index.ts';
import { features } from './index.ts';

const sales = source('sales', {
  id: 'saleId',
  time: 'at',
  key: 'shopId',
  fields: { saleId: id(), at: timestamp(), shopId: key(), total: money('EUR') },
});
const refunds = source('refunds', {
  id: 'refundId',
  time: 'at',
  key: 'saleId',
  fields: { refundId: id(), at: timestamp(), saleId: key() },
});
const refunded = label('refunded', { of: sales, from: refunds, on: 'saleId', maturesAfter: '1d' });
const shop = defineFeatures('shop', { from: sales, key: 'shopId' }, (s) => ({
  n: count().over('1h', '30d'),
  total: sum(s.total).over('30d'),
}));
const till = vector('till', { candidate: sales, shop });
const model = defineModel('m', { vector: till, label: refunded, trainer: logistic() });
const app = defineApp('shops', { decisions: { d: decision('d', { model, subject: 'shopId' }) } });

const SHOPS = 40;
const OPTIONS = { snapshotRecords: 1, archiveMs: 600_000 };
const PLACES = ['core', 'partition-03', 'partition-09'];

function sale(serial: number): { saleId: string; at: number; shopId: string; total: number } {
  const at = Date.now() - 1_000 - (serial % 7) * 1_000;
  return { saleId: `s${String(serial)}`, at, shopId: `shop-${String(serial % SHOPS)}`, total: serial / 4 };
}

async function append(world: TestWorld, from: number, to: number): Promise<Positions> {
  const positions = Array.from({ length: SOURCE_PARTITIONS }, () => 0);
  for (let serial = from; serial < to; serial += 1) {
    const made = sale(serial);
    const partition = partitionOf(made.shopId, SOURCE_PARTITIONS);
    const record = Buffer.from(JSON.stringify(made));
    positions[partition] = (await world.postgres.log.append(sourceTopic('sales'), partition, [record])) + 1;
  }
  return { sales: positions };
}

async function read(service: RunningService, after: Positions): Promise<(number | null)[][]> {
  const candidates = Array.from({ length: SHOPS }, (_, index) => ({
    ...sale(index),
    saleId: `new-${String(index)}`,
  }));
  const body = { candidates, after };
  const result: VectorRead = await callRoute(service, routes.readVector, {
    params: { vector: 'till' },
    body,
  });
  return result.rows.map(({ values }) => values);
}

type Saved = { readonly name: string; readonly digest: string };

function saved(world: TestWorld): Promise<Saved[]> {
  return world.postgres.tables.query<Saved>('select name, digest from features_snapshot order by name');
}

/** Puts other bytes in the place of a snapshot, with the digest that they have. */
async function replace(world: TestWorld, { name, digest }: Saved, bytes: Uint8Array): Promise<void> {
  await world.objects.remove(digest);
  const stored = await world.objects.put(bytes);
  await world.postgres.tables.query('update features_snapshot set digest = $2 where name = $1', [
    name,
    stored.digest,
  ]);
}

const DAMAGES: readonly {
  readonly what: string;
  readonly damage: (world: TestWorld, snapshot: Saved) => Promise<void>;
  /** What the log says of it. */
  readonly reason: RegExp;
}[] = [
  {
    what: 'was torn',
    damage: async (world, { digest }) => truncate(await world.objects.path(digest), 100),
    reason: /is damaged on disk/,
  },
  {
    what: 'has one wrong bit',
    async damage(world, { digest }) {
      const path = await world.objects.path(digest);
      const bytes = await readFile(path);
      const middle = bytes.length >> 1;
      bytes[middle] = (bytes[middle] ?? 0) ^ 1;
      await writeFile(path, bytes);
    },
    reason: /is damaged on disk/,
  },
  {
    what: 'is gone',
    damage: async (world, { digest }) => rm(await world.objects.path(digest)),
    reason: /not|no object/i,
  },
  {
    what: 'was saved by an older version',
    async damage(world, snapshot) {
      const bytes = Uint8Array.from(await world.objects.get(snapshot.digest));
      new DataView(bytes.buffer).setUint32(4, 0, true);
      await replace(world, snapshot, bytes);
    },
    reason: /format 0, expected/,
  },
  {
    what: 'has sections of another form',
    async damage(world, snapshot) {
      // Whole by its digest and of the right format: its header, then a text that is none, of 4 bytes.
      const bytes = new Uint8Array(24);
      bytes.set((await world.objects.get(snapshot.digest)).subarray(0, 8));
      const view = new DataView(bytes.buffer);
      view.setBigInt64(8, -4n, true);
      view.setUint32(16, snapshot.name.length, true);
      await replace(world, snapshot, bytes);
    },
    reason: /JSON/,
  },
];

describe('a snapshot of the feature state', () => {
  it.each(DAMAGES)('that $what is built anew from the log, and a line says so', async (damaged) => {
    await using world = await testWorld();
    const first = await world.start(features, app, OPTIONS, undefined, 'features-1');
    let after = await append(world, 0, 120);
    const before = await read(first, after);
    // Each of them covers all records, so that none would be found by reading on from where it is.
    const covered = async (): Promise<number> => {
      const rows = await world.postgres.tables.query<{ positions: Record<string, number[]> }>(
        'select positions from features_snapshot',
      );
      return rows.filter(
        ({ positions }) => positions['sales']?.reduce((sum, offset) => sum + offset, 0) === 120,
      ).length;
    };
    await expect.poll(covered, { timeout: 30_000 }).toBe(1 + STATE_PARTITIONS);
    world.crash(first);
    for (const snapshot of await saved(world))
      if (PLACES.includes(snapshot.name)) await damaged.damage(world, snapshot);

    const second = await world.start(features, app, OPTIONS, undefined, 'features-1');
    expect(await read(second, after)).toEqual(before);
    const told = world.warnings.filter(({ message }) => message.startsWith('A snapshot cannot be used'));
    expect(told.map(({ fields }) => String(fields['name'])).sort()).toEqual(PLACES);
    for (const { fields } of told) expect(fields['error']).toMatch(damaged.reason);
    // It goes on, and the next snapshots are whole.
    after = await append(world, 120, 160);
    const [row] = await read(second, after);
    expect(row?.slice(0, 2)).toEqual([5, 5]);
    await second.stop(1_000);
  });
});
