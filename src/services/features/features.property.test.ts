import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { duckdbWarehouse } from '../../adapters/duckdb/index.ts';
import { partitionOf } from '../../contract/index.ts';
import {
  asOf,
  boolean,
  count,
  decision,
  defineApp,
  defineModel,
  distinct,
  embedding,
  features,
  type FieldExpressions,
  first,
  firstK,
  histogram,
  hourOfDay,
  id,
  key,
  label,
  last,
  lastK,
  logistic,
  max,
  mean,
  min,
  money,
  number,
  percentile,
  ratio,
  source,
  std,
  sum,
  timestamp,
  topK,
  variance,
  vector,
} from '../../define/index.ts';
import type { Warehouse } from '../../runtime/index.ts';
import { type CheckResult, checkSubject } from './check/check.ts';
import { compareStreams } from './check/compare.ts';
import { explain } from './check/explain.ts';
import { Fleet } from './check/fleet.ts';
import { offlineRows } from './check/offline.ts';
import { play, type Played } from './check/play.ts';
import {
  PARTITIONS,
  REPLICAS,
  restingStep,
  STATE_PARTITIONS,
  type Step,
  type Stream,
} from './check/stream.ts';
import { planSubject, type Subject } from './check/subject.ts';
import { OnlineState } from './online/online-state.ts';
import { compilePlan } from './plan.ts';
import { originalOf } from './check/test-original.ts';

const orders = source('orders', {
  id: 'orderId',
  time: 'at',
  key: 'customerId',
  fields: {
    orderId: id(),
    at: timestamp(),
    customerId: key(),
    shopId: key(),
    total: money('EUR'),
    weight: number({ optional: true }),
    gift: boolean(),
    spot: embedding(2, { optional: true }),
  },
});
const returns = source('returns', {
  id: 'returnId',
  time: 'at',
  key: 'orderId',
  fields: { returnId: id(), at: timestamp(), orderId: key(), isBroken: boolean({ optional: true }) },
});
const seen = label('seen', {
  of: orders,
  from: returns,
  on: 'orderId',
  where: (r) => r.isBroken,
  confirmed: true,
  maturesAfter: '2h',
});
const returned = label('returned', { of: orders, from: returns, on: 'orderId', maturesAfter: '2h' });

const aggregates = (o: {
  total: Parameters<typeof sum>[0];
  weight: Parameters<typeof sum>[0];
  gift: Parameters<typeof sum>[0];
}) => ({
  n: count().over('1h', '1d'),
  total: sum(o.total).over('1h', '1d'),
  mean: mean(o.total).over('1h'),
  low: min(o.weight).over('1d'),
  high: max(o.total).over('1h'),
  latest: last(o.weight).over('1d').orElse(-1),
  gifts: mean(o.gift).over('1d'),
});
const exactLeft = features('exact_left', { from: orders, key: 'customerId', hop: 'exact' }, aggregates);
const exactRight = features(
  'exact_right',
  { from: orders, key: 'shopId', hop: 'exact', closed: 'right', where: (o) => o.total.atLeast(3) },
  aggregates,
);
const ignoring = features(
  'ignoring',
  { from: orders, key: 'customerId', hop: 'exact', closed: 'right', candidate: 'ignore' },
  (o) => ({ n: count().over('1h'), w: sum(o.weight).over('1d') }),
);
const tiled = features('tiled', { from: orders, key: 'customerId', where: (o) => o.gift.not() }, aggregates);
const risk = features(
  'risk',
  { from: returned.matured(), key: 'shopId', hop: 'exact', closed: 'right' },
  (o) => ({
    n: count().over('1h', '1d'),
    rate: mean(o.returned).over('1d').orElse(0),
    lost: max(o.total).over('1d'),
  }),
);
const returnedOnly = features(
  'returned_only',
  { from: returned.matured(), key: 'customerId', hop: 'exact', where: (o) => o.returned },
  (o) => ({ n: count().over('1d'), value: sum(o.total).over('1d') }),
);
const exactVector = vector('exact_vector', {
  candidate: orders,
  exactLeft,
  exactRight,
  ignoring,
  risk,
  returnedOnly,
});
const mixedVector = vector('mixed_vector', {
  candidate: orders,
  tiled,
  exactLeft,
  doubled: (c) => c.total.plus(c.total),
});
const model = defineModel('m', { vector: exactVector, label: returned, trainer: logistic() });
const mixed = defineModel('mixed', { vector: mixedVector, label: returned, trainer: logistic() });
const app = defineApp('shop', {
  decisions: { d: decision('d', { model, subject: 'customerId' }) },
  models: [mixed],
});

/** The aggregates and options that the first app does not have. */
type Order = FieldExpressions<typeof orders.fields>;
const rich = (o: Order) => ({
  variance: variance(o.weight).over('1h', '1d'),
  std: std(o.total).over('1d'),
  first: first(o.weight).over('1d').orElse(-7),
  earliest: firstK(o.total, 2).over('1h'),
  latest: lastK(o.weight, 3).over('1d'),
  buckets: histogram(o.total, [-1, 2.5, 10]).over('1h'),
  fresh: last(o.weight).over('1d').ttl('30m').orElse(-1),
  lively: count().over('1d').ttl('1h'),
  gifts: count().over('1d').where(o.gift),
  large: sum(o.total).over('1d').where(o.total.atLeast(5)),
  newest: max(o.at).over('1d'),
  spot: mean(o.spot).over('1d'),
  lastSpot: last(o.spot).over('1h'),
  seconds: mean(o.total).over('1s', '90s'),
  sameShop: last(o.shopId).over('1d').value().equals(o.shopId),
  sinceLast: asOf().toNumber().minus(last(o.at).over('1d').value().toNumber()).orElse(-1),
  hour: hourOfDay(first(o.at).over('1h').value()),
  share: ratio(sum(o.total).over('1h'), sum(o.total).over('1d')),
  jump: o.total.toNumber().greaterThan(max(o.total).over('1h').value().orElse(0)),
});
const sketched = (o: Order) => ({
  shops: distinct(o.shopId).over('1h', '1d'),
  totals: distinct(o.total, { exactUpTo: 3 }).over('1d'),
  often: topK(o.weight, 2, { distinctMax: 4 }).over('1d'),
  which: topK(o.weight, 2, { of: 'values' }).over('1h'),
  middle: percentile(o.total, 0.5).over('1h', '1d'),
  high: percentile(o.weight, 0.9, { accuracy: 0.05 }).over('1d').ttl('2h').orElse(-1),
  each: ratio(count().over('1d'), distinct(o.customerId).over('1d')),
  total: sum(o.total).over('1d'),
});
const richGroups = {
  richLeft: features('rich_left', { from: orders, key: 'customerId', hop: 'exact' }, rich),
  richRight: features(
    'rich_right',
    { from: orders, key: 'shopId', hop: 'exact', closed: 'right', where: (o) => o.total.atLeast(1) },
    rich,
  ),
  richIgnoring: features(
    'rich_ignoring',
    { from: orders, key: 'customerId', hop: 'exact', candidate: 'ignore' },
    rich,
  ),
  richRisk: features(
    'rich_risk',
    { from: returned.matured(), key: 'shopId', hop: 'exact', closed: 'right' },
    (o) => ({
      variance: variance(o.returned).over('1d'),
      returnedLast: lastK(o.returned, 2).over('1d'),
      lost: histogram(o.total, [5]).over('1d'),
      returnedTotal: sum(o.total).over('1d').where(o.returned).ttl('6h'),
    }),
  ),
  richSeen: features(
    'rich_seen',
    { from: seen.matured(), key: 'shopId', hop: 'exact', closed: 'right' },
    (o) => ({
      n: count().over('1h', '1d'),
      rate: mean(o.seen).over('1d'),
      broken: sum(o.total).over('1d').where(o.seen),
    }),
  ),
  sketchedExact: features('sketched_exact', { from: orders, key: 'shopId', hop: 'exact' }, sketched),
  sketchedRisk: features(
    'sketched_risk',
    { from: returned.matured(), key: 'shopId', hop: 'exact', closed: 'right' },
    (o) => ({
      customers: distinct(o.customerId, { exactUpTo: 1 }).over('1d').where(o.returned),
      middle: percentile(o.total, 0.5).over('1d'),
      rate: mean(o.returned).over('1d'),
    }),
  ),
};
const richVector = vector('rich_vector', { candidate: orders, ...richGroups });
const richTiledVector = vector('rich_tiled_vector', {
  candidate: orders,
  richTiled: features('rich_tiled', { from: orders, key: 'customerId', where: (o) => o.gift.not() }, (o) => ({
    ...rich(o),
    everCount: count().over('ever'),
    everLast: last(o.weight).over('ever').ttl('3h'),
    everFirst: firstK(o.total, 2).over('ever'),
    everSpread: std(o.weight).over('ever', '1d'),
    everShare: ratio(count().over('1d'), count().over('ever')),
  })),
  sketchedTiled: features('sketched_tiled', { from: orders, key: 'shopId' }, (o) => ({
    ...sketched(o),
    everShops: distinct(o.customerId, { exactUpTo: 1 }).over('ever'),
  })),
});
const richApp = defineApp('rich', {
  decisions: {
    d: decision('d', {
      model: defineModel('rich', { vector: richVector, label: returned, trainer: logistic() }),
      subject: 'customerId',
    }),
  },
  models: [defineModel('rich_tiled', { vector: richTiledVector, label: returned, trainer: logistic() })],
});

const HOUR = 3_600_000;

/** All groups of an app together, in vectors of several groups whose state partitions have several owners. */
describe('vectors, online and offline', () => {
  const plan = compilePlan(app);
  const richPlan = compilePlan(richApp);
  const subject = planSubject('shop', plan);
  let directory: string;
  let warehouse: Warehouse;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tandem-features-'));
    warehouse = duckdbWarehouse({ directory });
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });
  afterAll(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  const order = {
    source: 'orders',
    record: { customerId: 'a', shopId: 'a', total: 5, weight: 1, gift: false },
  };
  const check = (what: Subject, runs: number, seed: number): Promise<CheckResult> =>
    checkSubject(what, { warehouse, runs, seed, streams: { stepsMax: 90 } });

  it.each([subject, planSubject('rich', richPlan)])(
    'are equal on any stream: late, early, doubled, tied, handed over, restarted (rules 3 to 10): $name',
    async (what) => {
      const runs = Number(process.env['PROPERTY_RUNS'] ?? (what.isShared ? 128 : 16));
      const { failure, values, counts } = await check(what, runs, Number(process.env['PROPERTY_SEED'] ?? 7));
      expect(failure === undefined ? 'equal' : explain(failure.mismatch)).toBe('equal');
      expect(values).toBeGreaterThan(runs * 100);
      // No source here takes corrections.
      const { corrections: _, deletions: __, ...others } = counts;
      expect(Math.min(...Object.values(others))).toBeGreaterThan(0);
    },
    600_000,
  );

  it('agree on variances to 1e-9 where values lie far from 0 (rule 8)', async () => {
    const steps = Array.from({ length: 80 }, (_, index): Step[] => {
      const record = { ...order.record, weight: 1e9 + Math.sin(index * 7.3) * 3 };
      const event = { ...restingStep('event'), source: 'orders', wait: 60_000, record };
      return index % 8 === 7
        ? [event, { ...event, ...restingStep('read'), source: 'orders', record }]
        : [event];
    }).flat();
    const rich = planSubject('rich', richPlan);
    const played = play(rich, { salt: 0, clock: 'wall', steps });
    let compared = 0;
    for (const vectorPlan of richPlan.vectors.values()) {
      const reads = played.reads.filter((read) => read.vector === vectorPlan);
      const asked = reads.map((read) => ({ read, stream: 0 }));
      const rows = await offlineRows(warehouse, rich, vectorPlan, [played], asked);
      for (const [row, { values }] of reads.entries()) {
        for (const [index, value] of values.entries()) {
          const other = rows[row]?.[index] ?? null;
          if (!/_(variance|std)_/.test(vectorPlan.names[index] ?? '') || value === null || other === null)
            continue;
          expect(Math.abs(value - other), vectorPlan.names[index]).toBeLessThanOrEqual(
            1e-9 * Math.abs(other),
          );
          if (value > 1) compared += 1;
        }
      }
    }
    expect(compared).toBeGreaterThan(50);
  });

  /** Plays steps by hand and expects every value to be equal; gives what was read. */
  const expectEqual = async (steps: readonly Step[]): Promise<Played> => {
    const stream: Stream = { salt: 0, clock: 'wall', steps };
    const { mismatches, values, played } = await compareStreams(subject, warehouse, [stream]);
    expect(mismatches.map(explain)).toEqual([]);
    expect(values).toBeGreaterThan(0);
    const [first] = played;
    if (first === undefined) throw new Error('nothing was played');
    return first;
  };

  it('do not depend on whether the id of a candidate older than every window is still remembered', async () => {
    const { reads } = await expectEqual([
      { ...restingStep('event'), ...order, late: 24 * HOUR },
      { ...restingStep('readStored'), ...order, wait: 3 * HOUR },
      // Saving forgets what no window can see.
      { ...restingStep('restart'), flag: true },
      { ...restingStep('readStored'), ...order },
    ]);
    expect(reads).toHaveLength(4);
  });

  describe.each(['behind', 'ahead of'] as const)(
    'taken over by a replica that is %s its snapshot',
    (where) => {
      // Keys of streams end in their salt.
      const partition = partitionOf('a.0', STATE_PARTITIONS);
      const owner = partition % REPLICAS;
      const taker = owner === 1 ? 2 : 1;
      const returns = [...plan.sources.keys()].indexOf('returns');
      const returnsOf = (logPartition: number): number => {
        for (let pick = taker; ; pick += REPLICAS)
          if (
            pick % plan.sources.size === returns &&
            Math.floor(pick / REPLICAS) % PARTITIONS === logPartition
          )
            return pick;
      };
      const shard = { pick: taker + REPLICAS * partition };
      const deliverReturns = [0, 1, 2].map((item) => ({ ...restingStep('deliver'), pick: returnsOf(item) }));
      const deliverAll = { ...restingStep('deliver'), pick: taker, isAligned: true };
      const prepare = { ...restingStep('prepare'), ...shard, flag: true };
      const steps: Step[] = [
        { ...restingStep('event'), ...order },
        { ...restingStep('deliver'), pick: owner, isAligned: true },
        { ...restingStep('save'), ...shard },
        { ...restingStep('event'), source: 'returns', wait: 60_000 },
        ...(where === 'behind' ? [...deliverReturns, prepare, deliverAll] : [deliverAll, prepare]),
        { ...restingStep('finish'), ...shard, flag: true },
        { ...restingStep('read'), ...order, wait: 3 * HOUR },
      ];
      const rateOf = (played: Played): number | null | undefined => {
        const read = played.reads.find((item) => item.vector.vector.name === 'exact_vector');
        return read?.values[read.vector.names.indexOf('risk_rate_1d')];
      };

      it('a shard marks an event by an outcome that its snapshot does not cover', async () => {
        expect(rateOf(await expectEqual(steps))).toBe(1);
      });

      it.runIf(where === 'ahead of')('and would be found out if it did not', async () => {
        const catchUp = originalOf(OnlineState.prototype, 'catchUp');
        vi.spyOn(OnlineState.prototype, 'catchUp').mockImplementation(function (
          this: OnlineState,
          shards,
          source,
          ...record
        ) {
          if (source !== 'returns') catchUp.call(this, shards, source, ...record);
        });
        const { mismatches, played } = await compareStreams(subject, warehouse, [
          { salt: 0, clock: 'wall', steps },
        ]);
        expect(played.map(rateOf)).toEqual([0]);
        expect(mismatches).toHaveLength(1);
      });
    },
  );

  it('would be found different if all groups of a row were of the first owner', async () => {
    const read = originalOf(Fleet.prototype, 'read');
    vi.spyOn(Fleet.prototype, 'read').mockImplementation(function (this: Fleet, ...parameters) {
      const row = read.apply(this, parameters);
      return row && { ...row, positions: row.positions.map(() => row.positions[0] ?? {}) };
    });
    const { failure } = await check(subject, 512, 7);
    expect(failure).toBeDefined();
  }, 600_000);
});
