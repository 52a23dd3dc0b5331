import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { duckdbWarehouse } from '../../../adapters/duckdb/index.ts';
import { partitionOf } from '../../../contract/index.ts';
import {
  count,
  defineApp,
  distinct,
  type FeatureGroup,
  features,
  id,
  integer,
  key,
  max,
  mean,
  min,
  source,
  type Source,
  sum,
  text,
  timestamp,
  vector,
} from '../../../define/index.ts';
import type { Warehouse } from '../../../runtime/index.ts';
import { compilePlan } from '../plan.ts';
import { comparePlayed } from './compare.ts';
import { Fleet } from './fleet.ts';
import type { Arrival, Read } from './play.ts';
import { PARTITIONS, REPLICAS, STATE_PARTITIONS } from './stream.ts';
import { planSubject, type Subject } from './subject.ts';

/**
 * Streams and golden outputs of another engine's tests (Arroyo, MIT or Apache-2.0): its windowed queries as features, read at
 * the ends of its windows. The data is not part of the repository.
 */
const FOLDER = process.env['STREAMING_DATA'] ?? resolve('../shared/data/streaming-arroyo');

/** Golden outputs that our windows cannot express, and why. */
const NOT_EXPRESSED: Readonly<Record<string, string>> = {
  session_window: 'a session has no fixed length: features have windows of a stated length',
  global_session_window: 'the same',
  offset_impulse_join:
    'pairs the rows of two streams and lists them: a feature is one value of a key that is asked for',
};

const cars = source('cars', {
  id: 'row',
  time: 'timestamp',
  key: 'all',
  fields: {
    row: id(),
    timestamp: timestamp(),
    driver_id: integer(),
    driver: key(),
    event_type: key(),
    location: text(),
    all: key(),
  },
});
const impulse = source('impulse', {
  id: 'row',
  time: 'timestamp',
  key: 'all',
  fields: { row: id(), timestamp: timestamp(), counter: integer(), remainder: key(), all: key() },
});
/** Who asks is no event of either. */
const questions = source('questions', {
  id: 'row',
  time: 'at',
  key: 'all',
  fields: { row: id(), at: timestamp(), driver: key(), event_type: key(), remainder: key(), all: key() },
});

const numbers = (o: { readonly counter: Parameters<typeof sum>[0] }) => ({
  min: min(o.counter).over('400d'),
  max: max(o.counter).over('400d'),
  sum: sum(o.counter).over('400d'),
  count: count().over('400d'),
  avg: mean(o.counter).over('400d'),
});

/** Drivers by kind of event in each hour: what the two sides of a join count is two features of one group. */
const drivers = features('drivers', { from: cars, key: 'all' }, (o) => ({
  dropoffs: distinct(o.driver_id).over('1h').where(o.event_type.equals('dropoff')),
  pickups: distinct(o.driver_id).over('1h').where(o.event_type.equals('pickup')),
}));
const driversByHour = (golden: readonly Golden[]): Question[] =>
  golden.map((row) => ({
    at: instant(row['hour']) + HOUR,
    key: {},
    values: named(row, ['drivers', 'pickups']),
  }));

interface Case {
  readonly group: FeatureGroup;
  /** What each golden row asks for, in the order of the group's features: who, when, and the values. */
  readonly rows: (golden: readonly Golden[]) => Question[];
}

interface Question {
  readonly at: number;
  readonly key: Readonly<Record<string, string>>;
  readonly values: readonly (number | null)[];
}

type Golden = Readonly<Record<string, string | number>>;
type Updated = { readonly after: Golden | null };

const HOUR = 3_600_000;
const END = Date.UTC(2023, 11, 1);
const instant = (text: string | number | undefined): number => Date.parse(`${String(text)}Z`);
const number = (row: Golden, name: string): number => Number(row[name]);
const named = (row: Golden, names: readonly string[]): number[] => names.map((name) => number(row, name));
const after = (golden: readonly Golden[]): Golden[] =>
  (golden as unknown as readonly Updated[]).flatMap((row) => (row.after === null ? [] : [row.after]));

const CASES: Readonly<Record<string, Case>> = {
  hourly_by_event_type: {
    group: features('hourly', { from: cars, key: 'event_type' }, () => ({ n: count().over('1h') })),
    rows: (golden) =>
      golden.map((row) => ({
        at: instant(row['hour']) + HOUR,
        key: { event_type: String(row['event_type']) },
        values: named(row, ['count']),
      })),
  },
  tight_watermark: {
    group: features('tight', { from: cars, key: 'all' }, () => ({ n: count().over('1h') })),
    rows: (golden) =>
      golden.map((row) => ({ at: instant(row['timestamp']), key: {}, values: named(row, ['count']) })),
  },
  month_loose_watermark: {
    group: features('month', { from: cars, key: 'all' }, () => ({ n: count().over('30d') })),
    rows: (golden) =>
      golden.map((row) => ({
        at: instant(row['month']) + 30 * 24 * HOUR,
        key: {},
        values: named(row, ['count']),
      })),
  },
  sliding_window_end: {
    group: features('sliding', { from: impulse, key: 'all', hop: '100ms' }, (o) => ({
      count: count().over('10s'),
      min: min(o.counter).over('10s'),
      max: max(o.counter).over('10s'),
    })),
    rows: (golden) =>
      golden.map((row) => ({
        at: instant(row['end']),
        key: {},
        values: named(row, ['count', 'min', 'max']),
      })),
  },
  windowed_inner_join: { group: drivers, rows: driversByHour },
  windowed_outer_join: { group: drivers, rows: driversByHour },
  aggregates: {
    group: features('aggregates', { from: impulse, key: 'all' }, numbers),
    rows: (golden) =>
      after(golden).map((row) => ({
        at: END,
        key: {},
        values: named(row, ['min', 'max', 'sum', 'count', 'avg']),
      })),
  },
  grouped_aggregates: {
    // The key of a group is a field: whoever sends the events computes the remainder.
    group: features('grouped', { from: impulse, key: 'remainder' }, numbers),
    rows: (golden) =>
      after(golden).map((row) => ({
        at: END,
        key: { remainder: String(row['counter_mod']) },
        values: named(row, ['min', 'max', 'sum', 'count', 'avg']),
      })),
  },
  /** Of its 32 columns those with an aggregate of ours: no bits, no correlation and regression, no approximations. */
  every_aggregate: {
    group: features('every', { from: cars, key: 'event_type' }, (o) => ({
      cnt: count().over('400d'),
      max: max(o.driver_id).over('400d'),
      min: min(o.driver_id).over('400d'),
      sum: sum(o.driver_id).over('400d'),
      any: max(o.driver_id.greaterThan(0)).over('400d'),
      all: min(o.driver_id.greaterThan(0)).over('400d'),
      avg: mean(o.driver_id).over('400d'),
    })),
    rows: (golden) => {
      // A log of updates: the last row of each type is the result.
      const latest = new Map(after(golden).map((row) => [row['event_type'], row]));
      return [...latest].map(([type, row]) => ({
        at: END,
        key: { event_type: String(type) },
        values: named(row, [
          'cnt',
          'max_driver',
          'min_driver',
          'sum_driver',
          'bool_or_driver',
          'bool_and_driver',
          'avg_driver',
        ]),
      }));
    },
  },
};

const read = (name: string): Golden[] =>
  readFileSync(join(FOLDER, name), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Golden);

const isThere = existsSync(FOLDER);
if (!isThere)
  process.stderr.write(`\nSKIPPED: golden outputs of streams: there is no ${FOLDER} (STREAMING_DATA)\n\n`);

describe.runIf(isThere)('golden outputs of another engine', () => {
  let directory: string;
  let warehouse: Warehouse;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tandem-streaming-'));
    warehouse = duckdbWarehouse({ directory });
  });
  afterAll(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  it.each(Object.entries(CASES))('%s', async (name, { group, rows }) => {
    const golden = rows(read(`golden/${name}.json`));
    expect(golden.length).toBeGreaterThan(0);
    const reads = await ask(subjectOf(group), warehouse, golden);
    expect(reads.map(({ values }) => values.map(rounded))).toEqual(golden.map(({ values }) => values));
  });

  it('active_drivers: counted over the features of all drivers', async () => {
    const group = features('driver', { from: cars, key: 'driver' }, () => ({ n: count().over('400d') }));
    const drivers = [...new Set(read('cars.json').map((row) => String(row['driver_id'])))];
    const asked = drivers.map((driver) => ({ at: END, key: { driver }, values: [] }));
    const reads = await ask(subjectOf(group), warehouse, asked);
    const active = reads.filter(({ values }) => Number(values[0]) > 85).length;
    expect([{ drivers: active }]).toEqual(after(read('golden/active_drivers.json')));
  });

  it('lists what is not expressed', () => {
    const listed = ['active_drivers', ...Object.keys(CASES), ...Object.keys(NOT_EXPRESSED)];
    const files = readdirSync(join(FOLDER, 'golden')).map((file) => file.replace('.json', ''));
    expect(listed.sort()).toEqual(files.sort());
  });
});

/** The golden means are rounded to four places. */
function rounded(value: number | null): number | null {
  return value === null ? null : Math.round(value * 10_000) / 10_000;
}

function subjectOf(group: FeatureGroup): Subject {
  const byName = <TItem extends { readonly name: string }>(...items: TItem[]): Map<string, TItem> =>
    new Map(items.map((item) => [item.name, item]));
  const base = defineApp('streaming', { decisions: {}, sources: [questions, group.from.source] });
  const asked = vector('asked', {
    candidate: questions,
    group: group as FeatureGroup<string, 'all'>,
  });
  return planSubject('streaming', compilePlan({ ...base, groups: byName(group), vectors: byName(asked) }));
}

/** Puts the events in the log in the order of the file, then asks: online, and the others must agree. */
async function ask(subject: Subject, warehouse: Warehouse, questioned: readonly Question[]): Promise<Read[]> {
  const { plan } = subject;
  const [vectorPlan] = plan.vectors.values();
  const [group] = plan.groups;
  if (vectorPlan === undefined || group === undefined) throw new Error('there is no vector');
  const fleet = new Fleet({
    plan,
    partitions: new Map([...plan.sources.keys()].map((name) => [name, PARTITIONS])),
    replicas: REPLICAS,
    statePartitions: STATE_PARTITIONS,
    clock: 'wall',
    readBehindMs: 0,
  });
  const stream: Source = group.group.from.source;
  const arrivals: Arrival[] = [];
  for (const [index, row] of read(`${stream.name}.json`).entries()) {
    const record =
      stream.name === 'cars'
        ? { ...row, row: index, driver: row['driver_id'], all: 'all' }
        : {
            row: index,
            timestamp: row['timestamp'],
            counter: row['counter'],
            remainder: Number(row['counter']) % 5,
            all: 'all',
          };
    const result = plan.sources.get(stream.name)?.read(record);
    if (result === undefined || !('event' in result)) throw new Error(JSON.stringify(result));
    const partition = partitionOf(result.event.key, PARTITIONS);
    const offset = fleet.append(stream.name, partition, result.event);
    const place = { source: stream.name, partition, offset };
    arrivals.push({ ...place, event: result.event, step: index, appendedAt: 0, record });
  }
  // All of it is ahead of the clock: held, until the clock passes the windows' ends one after the other.
  for (let replica = 0; replica < REPLICAS; replica += 1) fleet.deliverAll(replica, 0);
  const reads: Read[] = [];
  const order = [...questioned.entries()].sort(([, left], [, right]) => left.at - right.at);
  for (const [index, { at, key: asked }] of order) {
    const candidate = {
      row: `q${String(index)}`,
      at,
      driver: '-',
      event_type: '-',
      remainder: '-',
      all: 'all',
    };
    const result = vectorPlan.candidate.read({ ...candidate, ...asked });
    if (!('event' in result)) throw new Error(JSON.stringify(result));
    const row = fleet.read(vectorPlan, result.event, at, at);
    if (row === undefined) throw new Error('the read was refused');
    reads[index] = { step: index, vector: vectorPlan, event: result.event, instant: at, ...row };
  }
  const played = { stream: { salt: 0, clock: 'wall' as const, steps: [] }, arrivals, reads, quarantined: 0 };
  const { mismatches, values } = await comparePlayed(subject, warehouse, [played]);
  expect(values).toBe(questioned.length * group.features.length);
  expect(mismatches).toEqual([]);
  return reads;
}
