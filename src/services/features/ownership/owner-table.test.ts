import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestWorld, testWorld } from '../../../../test/support/service-host.ts';
import { STATE_PARTITIONS } from '../../../contract/index.ts';
import { migrations } from '../migrations.ts';
import { holdsClaim, OwnerTable } from './owner-table.ts';

const FACTS = { clock: null, applied: {}, groups: [] };
/** Long enough for a slow machine. */
const LEASE_MS = 60_000;

describe('the table of owners', () => {
  let world: TestWorld;
  beforeAll(async () => {
    world = await testWorld();
    await world.postgres.migrate([migrations]);
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  async function table(definitions: string, instance: string, replica = instance, leaseMs = LEASE_MS) {
    const { tables, signals } = world.postgres;
    const made = new OwnerTable({ tables, signals, definitions, instance, replica, leaseMs });
    await made.prepare();
    await made.announce(FACTS);
    return made;
  }

  it('gives a partition to one of those who claim it at the same time', async () => {
    const replicas = await Promise.all(['a', 'b', 'c'].map((name) => table('race', name)));
    const claims = await Promise.all(
      Array.from({ length: STATE_PARTITIONS }, (_, partition) =>
        Promise.all(replicas.map((replica) => replica.claim(partition, false))),
      ),
    );
    for (const results of claims) expect(results.filter((claim) => claim !== undefined)).toHaveLength(1);
  });

  it('keeps a live lease from everybody but the next start of the same replica, and then the old one out', async () => {
    const first = await table('again', 'start-1', 'features-1');
    const claim = await first.claim(3, false);
    if (claim === undefined) throw new Error('the partition is free');
    const other = await table('again', 'start-9', 'features-2');
    expect(await other.claim(3, true)).toBeUndefined();
    const next = await table('again', 'start-2', 'features-1');
    expect(await next.claim(3, false)).toBeUndefined();
    expect(await next.claim(3, true)).toEqual({ partition: 3, epoch: claim.epoch + 1 });
    expect(await first.renew([claim])).toEqual(new Set());
    const { tables } = world.postgres;
    const held = (instance: string, epoch: number): Promise<boolean> =>
      tables.transaction((tx) => holdsClaim(tx, 'again', instance, { partition: 3, epoch }));
    expect([await held('start-1', claim.epoch), await held('start-2', claim.epoch + 1)]).toEqual([
      false,
      true,
    ]);
  });

  it('lets a lease run out', async () => {
    const short = await table('expiry', 'a', 'a', 200);
    await short.claim(0, false);
    const other = await table('expiry', 'b');
    await expect.poll(() => other.claim(0, false), { timeout: 10_000 }).toEqual({ partition: 0, epoch: 2 });
  });

  it('hands a partition over to who is ready, once, and raises its epoch', async () => {
    const owner = await table('give', 'a');
    const taker = await table('give', 'b');
    const third = await table('give', 'c');
    const claim = await owner.claim(5, false);
    if (claim === undefined) throw new Error('the partition is free');
    expect(await taker.reserve(5)).toBe(true);
    expect(await third.reserve(5)).toBe(false);
    expect(await taker.renewReservations([5], [true])).toEqual(new Set([5]));
    const before = (await owner.rows())[5];
    expect(before).toMatchObject({ instance: 'a', live: true, taker: 'b', takerReady: true, epoch: 1 });
    expect(await owner.give(claim, 'b')).toBe(true);
    expect(await owner.give(claim, 'c')).toBe(false);
    await taker.cancel([5]);
    const after = (await owner.rows())[5];
    expect(after).toMatchObject({ instance: 'b', live: true, taker: null, takerReady: false, epoch: 2 });
    expect(await owner.renew([claim])).toEqual(new Set());
  });

  it('frees everything of a replica that goes', async () => {
    const owner = await table('go', 'a');
    await owner.claim(1, false);
    await owner.reserve(2);
    await owner.withdraw();
    const other = await table('go', 'b');
    expect(await other.replicas()).toMatchObject([{ instance: 'b', replica: 'b', facts: FACTS }]);
    expect(await other.claim(1, false)).toEqual({ partition: 1, epoch: 2 });
    expect(await other.reserve(2)).toBe(true);
  });

  it('keeps replicas with other definitions apart', async () => {
    const old = await table('old', 'a');
    const young = await table('young', 'b');
    expect(await old.claim(0, false)).toEqual({ partition: 0, epoch: 1 });
    expect(await young.claim(0, false)).toEqual({ partition: 0, epoch: 1 });
    expect((await young.replicas()).map(({ instance }) => instance)).toEqual(['b']);
  });
});
