import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../adapters/system/index.ts';
import { workerThreads } from '../../../adapters/threads/index.ts';
import { type Event, partitionOf, PlatformError } from '../../../contract/index.ts';
import {
  count,
  decision,
  defineApp,
  defineModel,
  distinct,
  features,
  id,
  key,
  label,
  last,
  logistic,
  max,
  mean,
  money,
  source,
  sum,
  timestamp,
  vector,
} from '../../../define/index.ts';
import type { ColumnValues, Logger, Metrics, ResultColumns, Threads } from '../../../runtime/index.ts';
import { archiveColumns, archiveRow } from '../offline/event-tables.ts';
import { compilePlan, type Plan } from '../plan.ts';
import { plainDefinitions } from './definitions.ts';
import { LocalState, type StateOptions } from './local-state.ts';
import { STATE_THREAD, type StateRequest } from './messages.ts';
import type { GroupRows, ReadAsk, ReadAt, Records, StateHost } from './state-host.ts';
import { ThreadedState } from './threaded-state.ts';

const PARTITIONS = 4;
const STATE_PARTITIONS = 5;
const START = Date.UTC(2026, 0, 5);
const KEYS = 7;

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
const returned = label('returned', { of: orders, from: returns, on: 'orderId', maturesAfter: '10s' });
const customer = features(
  'customer',
  { from: orders, key: 'customerId', hop: 'exact', closed: 'right' },
  (o) => ({ n: count().over('1m'), total: mean(o.total).over('1m'), latest: last(o.total).over('1m') }),
);
const risk = features('risk', { from: returned.matured(), key: 'shopId', hop: 'exact' }, (o) => ({
  rate: mean(o.returned).over('2m').orElse(0),
}));
const shop = features('shop', { from: orders, key: 'shopId' }, (o) => ({
  total: sum(o.total).over('1m', '5m'),
  most: max(o.total).over('5m'),
  customers: distinct(o.customerId).over('5m'),
}));
const exact = vector('exact', { candidate: orders, total: (c) => c.total, customer, risk });
const tiled = vector('tiled', { candidate: orders, customer, shop });
const bare = vector('bare', { candidate: orders, total: (c) => c.total });
const models = [exact, tiled, bare].map((item) =>
  defineModel(item.name, { vector: item, label: returned, trainer: logistic() }),
);
const [model] = models;
if (model === undefined) throw new Error('there is a model');
const app = defineApp('shop', { decisions: { d: decision('d', { model, subject: 'customerId' }) }, models });
const plan = compilePlan(app);

const threads = workerThreads(
  new Map([[STATE_THREAD, new URL('./state-thread.ts', import.meta.url)]]),
) satisfies Threads;
const logger: Logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
const metrics: Metrics = {
  counter: () => ({ add: () => undefined }),
  gauge: () => ({ set: () => undefined }),
  histogram: () => ({ observe: () => undefined }),
};

function hostOf(threadCount: number, eventClock: boolean): StateHost {
  const state: StateOptions = {
    partitions: new Map([...plan.sources.keys()].map((name) => [name, PARTITIONS])),
    readBehindMs: 60_000,
    statePartitions: STATE_PARTITIONS,
    eventClock,
  };
  if (threadCount === 0)
    return new LocalState(plan, state, {
      sliceMs: 8,
      monotonic: () => performance.now(),
      turn: async () => {},
    });
  const definitions = plainDefinitions(app);
  const clock = systemClock();
  const core = (): Promise<undefined> => Promise.resolve(undefined);
  return new ThreadedState({
    plan,
    definitions,
    state,
    threads,
    count: threadCount,
    clock,
    logger,
    metrics,
    core,
  });
}

/** Numbers that look like chance and are the same in each run. */
class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }
}

/** A log in memory, and the same steps for every host: records, reads, snapshots, moves of state partitions. */
class Scenario {
  readonly #host: StateHost;
  readonly #eventClock: boolean;
  readonly #chance: Chance;
  readonly #log = new Map<string, Uint8Array[][]>();
  readonly #events = new Map<string, Event[][]>();
  readonly #made: Record<string, unknown>[] = [];
  readonly #snapshots = new Map<number, Uint8Array>();
  #now = START;
  readonly found: unknown[] = [];

  constructor(host: StateHost, eventClock: boolean, seed: number) {
    this.#host = host;
    this.#eventClock = eventClock;
    this.#chance = new Chance(seed);
    for (const name of plan.sources.keys()) {
      this.#log.set(
        name,
        Array.from({ length: PARTITIONS }, () => []),
      );
      this.#events.set(
        name,
        Array.from({ length: PARTITIONS }, () => []),
      );
    }
  }

  async run(steps: number): Promise<void> {
    for (let partition = 0; partition < STATE_PARTITIONS; partition += 1)
      await this.#host.attach(partition, undefined);
    for (let step = 0; step < steps; step += 1) {
      this.#now += this.#chance.below(4_000);
      const kind = this.#chance.below(10);
      if (kind < 5) await this.#write();
      else if (kind < 8) await this.#read();
      else if (kind === 8) await this.#save();
      else await this.#move();
    }
    await this.#read();
    await this.#host.refresh();
    this.found.push(this.#host.sizes().map(({ group, keys, events }) => ({ group, keys, events })));
    this.found.push([...plan.sources.keys()].map((name) => this.#host.duplicates(name)));
    this.found.push(Object.fromEntries(this.#host.allPositions()));
  }

  /** Appends some records and applies one partition's, in one batch or two, or from the archive. */
  async #write(): Promise<void> {
    for (let count = this.#chance.below(30); count > 0; count -= 1) this.#append();
    const names = [...plan.sources.keys()];
    const name = names[this.#chance.below(names.length)] ?? 'orders';
    const partition = this.#chance.below(PARTITIONS);
    const from = this.#host.next(name, partition);
    const end = this.#records(name, partition).length;
    if (!this.#eventClock) this.#host.advance(this.#now);
    if (this.#chance.below(6) === 0 && end > from) {
      const rows = { source: name, partition, from, result: this.#archived(name, partition, from, end) };
      await this.#host.applyArchived(rows);
      await this.#host.skip(name, partition, from, end);
      return;
    }
    // What comes twice is left alone.
    const again = Math.max(0, from - this.#chance.below(3));
    await this.#host.apply(name, this.#batch(name, partition, again, end));
  }

  #append(): void {
    if (this.#made.length > 0 && this.#chance.below(6) === 0) {
      const order = this.#made[this.#chance.below(this.#made.length)] ?? {};
      const orderId = String(order['orderId']);
      const at = Number(order['at']) + this.#chance.below(15_000);
      this.#put('returns', orderId, { returnId: `r${orderId}`, at, orderId });
      return;
    }
    const isRepeated = this.#made.length > 0 && this.#chance.below(8) === 0;
    const order = isRepeated
      ? { ...this.#made[this.#chance.below(this.#made.length)], total: 99 }
      : {
          orderId: `o${String(this.#made.length)}`,
          // Late, and ahead of the clock.
          at: this.#now + 3_000 - this.#chance.below(40_000),
          customerId: `c${String(this.#chance.below(KEYS))}`,
          shopId: `s${String(this.#chance.below(KEYS))}`,
          total: this.#chance.below(10_000) / 100,
        };
    if (!isRepeated) this.#made.push(order);
    this.#put('orders', String((order as Record<string, unknown>)['customerId']), order);
  }

  #put(name: string, keyed: string, record: object): void {
    const partition = partitionOf(keyed, PARTITIONS);
    // Some records are no events under the present contract.
    const text = this.#chance.below(25) === 0 ? '{"none":1}' : JSON.stringify(record);
    this.#records(name, partition).push(Buffer.from(text));
  }

  async #read(): Promise<void> {
    const at = (['wanted', 'clock', 'exactly'] as const)[this.#chance.below(3)] ?? 'wanted';
    const name = ['exact', 'tiled', 'bare'][this.#chance.below(3)] ?? 'exact';
    const vectorPlan = plan.vectors.get(name);
    if (vectorPlan === undefined) throw new Error('there is the vector');
    if (!this.#eventClock) this.#host.advance(this.#now);
    // Of tiles that lie in several threads each is read from its own clock on: with one clock for all that may be later.
    const isAhead = at === 'exactly' && !vectorPlan.exact && !this.#eventClock;
    const earliest = isAhead ? Math.max(this.#host.clock, this.#now) : this.#now - 3_000;
    const asks = Array.from({ length: 1 + this.#chance.below(8) }, (): ReadAsk => {
      const made = this.#made[this.#chance.below(this.#made.length)];
      const event = readOrder({
        orderId: made?.['orderId'] ?? 'none',
        at: this.#now - this.#chance.below(5_000),
        customerId: `c${String(this.#chance.below(KEYS))}`,
        shopId: `s${String(this.#chance.below(KEYS))}`,
        total: 5,
      });
      return {
        event,
        instant: this.#eventClock ? event.time : earliest + this.#chance.below(3_000),
        groups: [...vectorPlan.groups.keys()],
      };
    });
    // With an event clock a read moves it: of two at a time nobody can say which was first.
    const first = outcomeOf(this.#host.read(vectorPlan, asks, at));
    if (this.#eventClock) await first;
    const again = isAhead ? undefined : outcomeOf(this.#host.read(vectorPlan, asks.slice(0, 1), at));
    const answers = [await first, await again];
    this.found.push({ name, at, answers });
  }

  async #save(): Promise<void> {
    await this.#host.expire();
    const partition = this.#chance.below(STATE_PARTITIONS);
    const saved = await this.#host.saveShard(partition, 1);
    if (saved === undefined) throw new Error('it is complete');
    this.#snapshots.set(partition, saved.bytes.slice());
    this.found.push({ partition, bytes: saved.bytes.length, positions: Object.fromEntries(saved.positions) });
  }

  /** Loses a state partition and brings it back from its newest snapshot, if it has one, and from the log or the archive. */
  async #move(): Promise<void> {
    const partition = this.#chance.below(STATE_PARTITIONS);
    this.#host.detach(partition);
    expect(this.#host.isComplete(partition)).toBe(false);
    this.found.push(await this.#host.attach(partition, this.#snapshots.get(partition)));
    for (const name of ['orders', 'returns']) {
      for (const gap of this.#host.gaps(partition)) {
        if (gap.source !== name) continue;
        if (this.#chance.below(2) === 0) {
          const batches = [this.#batch(name, gap.partition, Math.max(0, gap.from - 2), gap.to)];
          await this.#host.catchUp([partition], name, { to: gap.to, batches });
        } else {
          const result = this.#archived(name, gap.partition, gap.from, gap.to);
          const rows = { source: name, partition: gap.partition, from: gap.from, result };
          await this.#host.catchUpArchived([partition], rows, gap.to);
        }
      }
    }
    expect(this.#host.gaps(partition)).toEqual([]);
    expect(this.#host.isComplete(partition)).toBe(true);
  }

  #records(name: string, partition: number): Uint8Array[] {
    const records = this.#log.get(name)?.[partition];
    if (records === undefined) throw new Error('there is the partition');
    return records;
  }

  #batch(name: string, partition: number, from: number, to: number): Records {
    const records = this.#records(name, partition).slice(from, to);
    return {
      partition,
      base: from,
      count: records.length,
      record: (index) => records[index] ?? new Uint8Array(),
    };
  }

  #archived(name: string, partition: number, from: number, to: number): ResultColumns {
    const sourcePlan = sourceOf(plan, name);
    const names = archiveColumns(sourcePlan.source).map((column) => column.name);
    const rows = this.#records(name, partition)
      .slice(from, to)
      .flatMap((bytes, index) => {
        const read = sourcePlan.read(JSON.parse(Buffer.from(bytes).toString('utf8')));
        const place = { partition, offset: from + index, appendedAt: 0 };
        return 'event' in read ? [archiveRow(sourcePlan.source, place, read.event)] : [];
      });
    const columns = names.map((column, at): [string, ColumnValues] => {
      const values = rows.map((row) => row[at] ?? null);
      return values.every((value) => typeof value === 'number')
        ? [column, Float64Array.from(values)]
        : [column, values.map((value) => (typeof value === 'number' ? String(value) : value))];
    });
    return { rows: rows.length, names, columns: new Map(columns) };
  }
}

function sourceOf(compiled: Plan, name: string): NonNullable<ReturnType<Plan['sources']['get']>> {
  const found = compiled.sources.get(name);
  if (found === undefined) throw new Error(`there is no source ${name}`);
  return found;
}

function readOrder(record: unknown): Event {
  const read = sourceOf(plan, 'orders').read(record);
  if (!('event' in read)) throw new Error(JSON.stringify(read));
  return read.event;
}

/** What was found, or why not; groups that were not asked for are null. */
async function outcomeOf(read: Promise<GroupRows>): Promise<unknown> {
  try {
    const { positions, later, rows } = await read;
    return { positions, later, rows: rows.map(({ asOf, groups }) => ({ asOf, groups: [...groups] })) };
  } catch (error) {
    return PlatformError.is(error) ? error.code : String(error);
  }
}

describe.each([
  { clock: 'wall', eventClock: false },
  { clock: 'event', eventClock: true },
])('hosts of feature state, by the $clock clock', ({ eventClock }) => {
  it.each([1, 2, 3])(
    'find the same in one thread and in several (stream %i)',
    async (seed) => {
      const found = await Promise.all(
        [0, 1, 3].map(async (threadCount) => {
          const host = hostOf(threadCount, eventClock);
          const scenario = new Scenario(host, eventClock, seed);
          await scenario.run(150);
          await host.stop();
          return scenario.found;
        }),
      );
      const [expected = [], ...others] = found;
      const values = JSON.stringify(expected).match(/-?\d+(\.\d+)?/g) ?? [];
      expect(values.length).toBeGreaterThan(1_000);
      for (const other of others) expect(other).toEqual(expected);
    },
    300_000,
  );
});

describe('a read', () => {
  it('that goes with many others is answered as by itself', async () => {
    const host = hostOf(3, false);
    const scenario = new Scenario(host, false, 7);
    await scenario.run(60);
    const vectorPlan = plan.vectors.get('tiled');
    if (vectorPlan === undefined) throw new Error('there is the vector');
    const at: ReadAt = 'wanted';
    const asks = Array.from({ length: 60 }, (_, index): ReadAsk => ({
      event: readOrder({
        orderId: `x${String(index)}`,
        at: START,
        customerId: `c${String(index % KEYS)}`,
        shopId: `s${String((index * 3) % KEYS)}`,
        total: 1,
      }),
      instant: host.clock,
      groups: [0, 1],
    }));
    const together = await Promise.all(asks.map((ask) => host.read(vectorPlan, [ask], at)));
    const alone = await host.read(vectorPlan, asks, at);
    expect(together.map(({ rows }) => rows[0])).toEqual(alone.rows);
    await host.stop();
  });

  it('that is refused leaves those that it went with alone', async () => {
    const host = hostOf(2, false);
    await new Scenario(host, false, 8).run(60);
    const vectorPlan = plan.vectors.get('exact');
    if (vectorPlan === undefined) throw new Error('there is the vector');
    const event = readOrder({ orderId: 'x', at: START, customerId: 'c1', shopId: 's1', total: 1 });
    const good = { event, instant: host.clock, groups: [0, 1] };
    host.detach(host.partitionOf('c2'));
    const other = { ...good, event: readOrder({ ...event.values, total: 1, customerId: 'c2' }) };
    const [first, refused, last] = await Promise.allSettled(
      [good, other, good].map((ask) => host.read(vectorPlan, [ask], 'wanted')),
    );
    expect(first).toMatchObject({ status: 'fulfilled' });
    expect(last).toMatchObject({ status: 'fulfilled' });
    expect(refused).toMatchObject({ status: 'rejected', reason: { code: 'UNAVAILABLE' } });
    await host.stop();
  });
});

describe('a thread', () => {
  it('that answers nothing is ended and started again', async () => {
    const started: { stopped: boolean; asked: string[] }[] = [];
    const silent: Threads = {
      start(_, { onMessage }) {
        const thread = { stopped: false, asked: [] as string[] };
        const isFirst = started.length === 0;
        started.push(thread);
        return {
          post(message) {
            const { id, call } = message as StateRequest;
            thread.asked.push(call);
            if (!isFirst)
              onMessage({ id, clock: 0, value: { refusal: undefined, gaps: [], from: new Map() } });
          },
          async stop() {
            thread.stopped = true;
          },
        };
      },
    };
    let looks = 0;
    const clock = {
      monotonic: () => looks * 1_000,
      async sleep(_: number, signal?: AbortSignal) {
        looks += 1;
        // It never rests for longer than other work needs.
        if (signal?.aborted !== true) await systemClock().sleep(0);
      },
    };
    const host = new ThreadedState({
      plan,
      definitions: plainDefinitions(app),
      state: { partitions: new Map(), readBehindMs: 0, statePartitions: 2, eventClock: false },
      threads: silent,
      count: 1,
      clock,
      logger,
      metrics,
      core: () => Promise.resolve(undefined),
    });
    const lost: (readonly number[])[] = [];
    host.listen({ lost: (own) => lost.push(own), rewound: () => undefined });
    // Its answer is lost with it; whoever listens attaches again.
    expect(await host.attach(0, undefined)).toBe(undefined);
    expect(lost).toEqual([[0, 1]]);
    await host.attach(0, undefined);
    expect(started.map(({ stopped }) => stopped)).toEqual([true, false]);
    expect(host.isComplete(0)).toBe(true);
    await host.stop();
  });
});
