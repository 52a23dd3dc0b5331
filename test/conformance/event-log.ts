import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ConsumerGroups, EventLog, RecordBatch, Tables } from '../../src/runtime/ports/index.ts';
import { rejectionCode, until } from './expectations.ts';

/** One connection of a process to a store. Two openings of a suite must see the same store. */
export interface LogOpening {
  readonly log: EventLog;
  readonly groups: ConsumerGroups;
  /** Where the effect of an event can share the commit's transaction, if the store has such a thing. */
  readonly tables?: Tables;
  close(): Promise<void>;
}

/** What every adapter of the ports EventLog and ConsumerGroups must do. */
export function eventLogConformance(name: string, open: () => Promise<LogOpening>): void {
  describe(`${name}: EventLog`, () => {
    let one: LogOpening;
    let two: LogOpening;
    beforeAll(async () => {
      one = await open();
      two = await open();
    });
    afterAll(async () => {
      await Promise.all([one.close(), two.close()]);
    });
    const parts = (): Openings => ({ one, two });
    topics(parts);
    appending(parts);
    reading(parts);
    waiting(parts);
    limits(parts);
    retention(parts);
  });
  describe(`${name}: ConsumerGroups`, () => {
    let one: LogOpening;
    let two: LogOpening;
    beforeAll(async () => {
      one = await open();
      two = await open();
    });
    afterAll(async () => {
      await Promise.all([one.close(), two.close()]);
    });
    claims(() => ({ one, two }));
    commits(() => ({ one, two }));
  });
}

interface Openings {
  readonly one: LogOpening;
  readonly two: LogOpening;
}

let topicNumber = 0;

async function newTopic(log: EventLog, partitions = 1): Promise<string> {
  topicNumber += 1;
  return (await log.createTopic(`conformance_${process.pid}_${topicNumber}`, { partitions })).name;
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function text(record: Uint8Array): string {
  return new TextDecoder().decode(record);
}

/**
 * Everything of a partition from `offset` on, by offset, after checking that the batches touch each other.
 */
async function readAll(log: EventLog, topic: string, partition: number, offset = 0): Promise<Uint8Array[]> {
  const records: Uint8Array[] = [];
  for (let next = offset; ;) {
    const batches = await log.read(topic, partition, next, { maxRecords: 700 });
    if (batches.length === 0) return records;
    for (const batch of batches) {
      expect(batch.partition).toBe(partition);
      expect(batch.base).toBeLessThanOrEqual(next);
      expect(batch.base + batch.count).toBeGreaterThan(next);
      for (let index = next - batch.base; index < batch.count; index += 1)
        records.push(batch.record(index).slice());
      next = batch.base + batch.count;
    }
  }
}

function topics(openings: () => Openings): void {
  it('makes a topic once and refuses another number of partitions', async () => {
    const { one, two } = openings();
    const name = await newTopic(one.log, 3);
    expect(await two.log.createTopic(name, { partitions: 3 })).toEqual({ name, partitions: 3 });
    expect(await two.log.topic(name)).toEqual({ name, partitions: 3 });
    expect(await rejectionCode(two.log.createTopic(name, { partitions: 4 }))).toBe('CONFLICT');
  });

  it('makes the same topic from two openings at once', async () => {
    const { one, two } = openings();
    topicNumber += 1;
    const name = `conformance_race_${process.pid}_${topicNumber}`;
    const made = await Promise.all(
      [one, two, one, two].map(({ log }) => log.createTopic(name, { partitions: 2 })),
    );
    expect(made).toEqual(made.map(() => ({ name, partitions: 2 })));
  });

  it('knows no topic that was not made, and no partition that it does not have', async () => {
    const { log } = openings().one;
    expect(await rejectionCode(log.topic('nowhere'))).toBe('TOPIC_NOT_FOUND');
    expect(await rejectionCode(log.append('nowhere', 0, [bytes('x')]))).toBe('TOPIC_NOT_FOUND');
    expect(await rejectionCode(log.read('nowhere', 0, 0))).toBe('TOPIC_NOT_FOUND');
    const name = await newTopic(log, 2);
    expect(await rejectionCode(log.append(name, 2, [bytes('x')]))).toBe('BAD_REQUEST');
    expect(await rejectionCode(log.append(name, -1, [bytes('x')]))).toBe('BAD_REQUEST');
    expect(await rejectionCode(log.read(name, 2, 0))).toBe('BAD_REQUEST');
    expect(await rejectionCode(log.createTopic('zero', { partitions: 0 }))).toBe('BAD_REQUEST');
  });
}

function appending(openings: () => Openings): void {
  it('gives gapless offsets to concurrent appenders of two openings', async () => {
    const { one, two } = openings();
    const name = await newTopic(one.log, 2);
    const acknowledged: { partition: number; offset: number; value: string }[] = [];
    const appender = async ({ log }: LogOpening, id: number): Promise<void> => {
      for (let step = 0; step < 25; step += 1) {
        const partition = (id + step) % 2;
        const values = Array.from(
          { length: 1 + ((id * 7 + step) % 5) },
          (_, index) => `${id}-${step}-${index}`,
        );
        const offset = await log.append(name, partition, values.map(bytes));
        values.forEach((value, index) => acknowledged.push({ partition, offset: offset + index, value }));
      }
    };
    await Promise.all(Array.from({ length: 12 }, (_, id) => appender(id % 2 === 0 ? one : two, id)));
    const read = [await readAll(one.log, name, 0), await readAll(two.log, name, 1)];
    expect((read[0]?.length ?? 0) + (read[1]?.length ?? 0)).toBe(acknowledged.length);
    for (const { partition, offset, value } of acknowledged) {
      expect(text(read[partition]?.[offset] ?? new Uint8Array())).toBe(value);
    }
    const ranges = await one.log.ranges(name);
    expect(ranges).toEqual(read.map((records) => ({ first: 0, next: records.length })));
  });

  it('gives gapless offsets to openings that each store records of all partitions together', async () => {
    const { one, two } = openings();
    const partitions = 20;
    const name = await newTopic(one.log, partitions);
    const acknowledged = Array.from({ length: partitions }, () => new Map<number, string>());
    const appender = async ({ log }: LogOpening, id: number): Promise<void> => {
      for (let step = 0; step < 30; step += 1) {
        // Some go up through the partitions and some down.
        const place = (id + step) % partitions;
        const partition = id % 4 < 2 ? place : partitions - 1 - place;
        const value = `${id}-${step}`;
        acknowledged[partition]?.set(await log.append(name, partition, [bytes(value)]), value);
      }
    };
    await Promise.all(Array.from({ length: 60 }, (_, id) => appender(id % 2 === 0 ? one : two, id)));
    let found = 0;
    for (const [partition, known] of acknowledged.entries()) {
      const read = (await readAll(one.log, name, partition)).map(text);
      expect(read).toEqual(Array.from({ length: known.size }, (_, offset) => known.get(offset)));
      found += read.length;
    }
    expect(found).toBe(60 * 30);
  });

  it('never shows an offset before all below it', async () => {
    const { one, two } = openings();
    const name = await newTopic(one.log);
    let appending = true;
    const appenders = [one, two, one, two].map(async ({ log }, id) => {
      for (let step = 0; step < 40; step += 1) await log.append(name, 0, [bytes(`${id}.${step}`)]);
    });
    const finished = Promise.all(appenders).then(() => (appending = false));
    const seen: string[] = [];
    while (appending || seen.length < 160) {
      for (const batch of await two.log.read(name, 0, seen.length)) {
        expect(batch.base).toBeLessThanOrEqual(seen.length);
        for (let index = seen.length - batch.base; index < batch.count; index += 1)
          seen.push(text(batch.record(index)));
      }
    }
    await finished;
    expect((await readAll(one.log, name, 0)).map(text)).toEqual(seen);
    for (let id = 0; id < 4; id += 1) {
      const own = seen.filter((value) => value.startsWith(`${id}.`));
      expect(own).toEqual(Array.from({ length: 40 }, (_, step) => `${id}.${step}`));
    }
  });

  it('stores calls that wait together in few batches, in their order', async () => {
    const { log } = openings().one;
    const name = await newTopic(log);
    const offsets = await Promise.all(
      Array.from({ length: 400 }, (_, index) => log.append(name, 0, [bytes(String(index))])),
    );
    expect(offsets).toEqual(Array.from({ length: 400 }, (_, index) => index));
    const batches = await log.read(name, 0, 0);
    expect(batches.length).toBeLessThan(40);
    expect(batches.reduce((sum, batch) => sum + batch.count, 0)).toBe(400);
  });

  it('keeps the bytes of a record, also of none and of the largest', async () => {
    const { log } = openings().one;
    const name = await newTopic(log);
    const every = Uint8Array.from({ length: 256 }, (_, index) => index);
    const largest = new Uint8Array(log.limits.recordBytesMax).map(
      (_, index) => (index * 2_654_435_761) >>> 24,
    );
    const records = [new Uint8Array(0), every, largest, new Uint8Array(0)];
    expect(await log.append(name, 0, records)).toBe(0);
    const read = await readAll(log, name, 0);
    expect(read.map((record) => record.byteLength)).toEqual([0, 256, largest.byteLength, 0]);
    records.forEach((record, index) =>
      expect(Buffer.compare(record, read[index] ?? new Uint8Array())).toBe(0),
    );
  });

  it('gives the largest append consecutive offsets', async () => {
    const { log } = openings().one;
    const name = await newTopic(log);
    const count = log.limits.appendRecordsMax;
    await log.append(name, 0, [bytes('before')]);
    const [first, second] = await Promise.all([
      log.append(
        name,
        0,
        Array.from({ length: count }, (_, index) => bytes(`r${index}`)),
      ),
      log.append(name, 0, [bytes('after')]),
    ]);
    expect([first, second]).toEqual([1, count + 1]);
    const read = await readAll(log, name, 0);
    expect(read.length).toBe(count + 2);
    expect(text(read[count] ?? new Uint8Array())).toBe(`r${count - 1}`);
  });
}

function reading(openings: () => Openings): void {
  it('reads from the middle of a batch and stops with the batch that reaches the wanted number', async () => {
    const { log } = openings().one;
    const name = await newTopic(log);
    for (const size of [10, 20, 30]) {
      await log.append(
        name,
        0,
        Array.from({ length: size }, (_, index) => bytes(`${size}:${index}`)),
      );
    }
    const shape = (batches: RecordBatch[]): number[][] => batches.map(({ base, count }) => [base, count]);
    expect(shape(await log.read(name, 0, 15, { maxRecords: 1 }))).toEqual([[10, 20]]);
    expect(shape(await log.read(name, 0, 15, { maxRecords: 15 }))).toEqual([[10, 20]]);
    expect(shape(await log.read(name, 0, 15, { maxRecords: 16 }))).toEqual([
      [10, 20],
      [30, 30],
    ]);
    expect(shape(await log.read(name, 0, 59))).toEqual([[30, 30]]);
    expect(await log.read(name, 0, 60)).toEqual([]);
    const [batch] = await log.read(name, 0, 15, { maxRecords: 1 });
    expect(text(batch?.record(5) ?? new Uint8Array())).toBe('20:5');
    expect(batch?.appendedAt).toBeGreaterThan(1.7e12);
    expect(() => batch?.record(20)).toThrow(RangeError);
  });

  it('agrees with a list, whatever is appended and wherever reading begins', async () => {
    const { one, two } = openings();
    const sizes = fc.array(fc.array(fc.uint8Array({ maxLength: 600 }), { minLength: 1, maxLength: 30 }), {
      minLength: 1,
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat(), async (appends, start) => {
        const name = await newTopic(one.log);
        const model: Uint8Array[] = [];
        for (const records of appends) {
          expect(await one.log.append(name, 0, records)).toBe(model.length);
          model.push(...records);
        }
        const offset = start % model.length;
        const read = await readAll(two.log, name, 0, offset);
        expect(read.map((record) => Buffer.from(record).toString('hex'))).toEqual(
          model.slice(offset).map((record) => Buffer.from(record).toString('hex')),
        );
      }),
      { numRuns: 8 },
    );
  });

  it('refuses offsets that are none', async () => {
    const { log } = openings().one;
    const name = await newTopic(log);
    for (const offset of [-1, 0.5, Number.NaN])
      expect(await rejectionCode(log.read(name, 0, offset))).toBe('BAD_REQUEST');
    expect(await rejectionCode(log.read(name, 0, 0, { maxRecords: 0 }))).toBe('BAD_REQUEST');
  });
}

function waiting(openings: () => Openings): void {
  it('waits for records of this and of another opening', async () => {
    const { one, two } = openings();
    const name = await newTopic(one.log);
    await two.log.topic(name);
    const first = two.log.read(name, 0, 0, { waitMs: 15_000 });
    await one.log.append(name, 0, [bytes('a')]);
    expect((await first).map(({ count }) => count)).toEqual([1]);
    const second = one.log.read(name, 0, 1, { waitMs: 15_000 });
    await one.log.append(name, 0, [bytes('b')]);
    expect((await second).at(-1)?.base).toBe(1);
  });

  it('gives a follower what both openings store, once each and as it was stored', async () => {
    const { one, two } = openings();
    const name = await newTopic(one.log, 2);
    const count = 300;
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const follow = async (partition: number): Promise<RecordBatch[]> => {
      const batches: RecordBatch[] = [];
      for (let next = 0; next < count;) {
        const came = await one.log.read(name, partition, next, { maxRecords: 50, waitMs: 15_000 });
        for (const batch of came) {
          expect(batch.base).toBeLessThanOrEqual(next);
          next = batch.base + batch.count;
          batches.push(batch);
        }
      }
      return batches;
    };
    const store = async (partition: number): Promise<void> => {
      let stored = 0;
      while (stored < count) {
        // Stretches of one opening, stretches of the other, and some of both at once.
        const openingsNow = [[one], [two], [one, two]][Math.floor(stored / 40) % 3] ?? [one];
        await Promise.all(
          openingsNow.map(({ log }) =>
            log.append(
              name,
              partition,
              [bytes(`a${stored}`), bytes('b')],
              stored % 3 === 0 ? { traceparent } : {},
            ),
          ),
        );
        stored += 2 * openingsNow.length;
      }
    };
    const [first, second] = await Promise.all([follow(0), follow(1), store(0), store(1)]);
    for (const [partition, batches] of [first, second].entries()) {
      const shape = (batch: RecordBatch): unknown => [
        batch.base,
        batch.appendedAt,
        batch.traceparents,
        Array.from({ length: batch.count }, (_, index) => text(batch.record(index))),
      ];
      const inStore: RecordBatch[] = [];
      for (let next = 0; next < count;) {
        const came = await two.log.read(name, partition, next);
        inStore.push(...came);
        next = (came.at(-1)?.base ?? 0) + (came.at(-1)?.count ?? 0);
      }
      expect(batches.map(shape)).toEqual(inStore.slice(0, batches.length).map(shape));
    }
  });

  it('returns nothing after the wait, and at once when told to stop', async () => {
    const { log } = openings().one;
    const name = await newTopic(log);
    expect(await log.read(name, 0, 0)).toEqual([]);
    expect(await log.read(name, 0, 0, { waitMs: 150 })).toEqual([]);
    const stop = new AbortController();
    const read = log.read(name, 0, 0, { waitMs: 60_000, signal: stop.signal });
    stop.abort();
    expect(await read).toEqual([]);
    expect(await log.read(name, 0, 0, { waitMs: 60_000, signal: stop.signal })).toEqual([]);
  });
}

function limits(openings: () => Openings): void {
  it('refuses what is too much and stores nothing of it', async () => {
    const { log } = openings().one;
    const name = await newTopic(log);
    const { appendRecordsMax, recordBytesMax } = log.limits;
    const one = bytes('x');
    expect(await rejectionCode(log.append(name, 0, []))).toBe('BAD_REQUEST');
    expect(
      await rejectionCode(
        log.append(
          name,
          0,
          Array.from({ length: appendRecordsMax + 1 }, () => one),
        ),
      ),
    ).toBe('BAD_REQUEST');
    expect(await rejectionCode(log.append(name, 0, [one, new Uint8Array(recordBytesMax + 1)]))).toBe(
      'BAD_REQUEST',
    );
    expect(await log.ranges(name)).toEqual([{ first: 0, next: 0 }]);
  });

  it('says OVERLOADED when too much waits, stores the rest, and recovers', async () => {
    const { log } = openings().one;
    const name = await newTopic(log);
    const record = new Uint8Array(log.limits.recordBytesMax);
    const count = Math.ceil(log.limits.queuedBytesMax / record.byteLength) + 5;
    const answers = await Promise.allSettled(
      Array.from({ length: count }, () => log.append(name, 0, [record])),
    );
    const refused = answers.filter((answer) => answer.status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused) expect(reason).toMatchObject({ code: 'OVERLOADED' });
    const next = answers.length - refused.length;
    expect(await log.ranges(name)).toEqual([{ first: 0, next }]);
    expect(await log.append(name, 0, [bytes('x')])).toBe(next);
  });
}

function retention(openings: () => Openings): void {
  it('drops old segments, but nothing that must be kept', async () => {
    const { one, two } = openings();
    const name = await newTopic(one.log, 2);
    await one.log.append(
      name,
      0,
      Array.from({ length: 30 }, (_, index) => bytes(String(index))),
    );
    await one.log.append(name, 1, [bytes('x')]);
    const later = Date.now() + 3_600_000;
    expect(await one.log.retain(name, Date.now() - 3_600_000, [30, 1])).toBe(0);
    expect(await one.log.retain(name, later, [29, 1])).toBe(0);
    expect(await one.log.retain(name, later, [30, 0])).toBe(0);
    expect(await one.log.retain(name, later, [])).toBe(0);
    expect((await readAll(two.log, name, 0)).length).toBe(30);
    expect(await one.log.retain(name, later, [30, 1])).toBe(31);
    expect(await two.log.ranges(name)).toEqual([
      { first: 30, next: 30 },
      { first: 1, next: 1 },
    ]);
    for (const { log } of [one, two])
      expect(await rejectionCode(log.read(name, 0, 29))).toBe('OFFSET_OUT_OF_RANGE');
    expect(await two.log.read(name, 0, 30)).toEqual([]);
    expect(await two.log.append(name, 0, [bytes('next')])).toBe(30);
    expect((await readAll(one.log, name, 0, 30)).map(text)).toEqual(['next']);
    expect(await rejectionCode(one.log.read(name, 0, 5))).toBe('OFFSET_OUT_OF_RANGE');
  });
}

const LEASE_MS = 60_000;

function claims(openings: () => Openings): void {
  it('gives a partition to one owner at a time', async () => {
    const { one, two } = openings();
    const topic = await newTopic(one.log, 2);
    const claim = await one.groups.claim(topic, 'g', 0, 'a', LEASE_MS);
    expect(claim).toMatchObject({ topic, group: 'g', partition: 0, owner: 'a', committed: 0 });
    expect(await two.groups.claim(topic, 'g', 0, 'b', LEASE_MS)).toBeUndefined();
    expect(await two.groups.claim(topic, 'g', 1, 'b', LEASE_MS)).toMatchObject({ partition: 1, owner: 'b' });
    expect(await two.groups.claim(topic, 'other', 0, 'b', LEASE_MS)).toMatchObject({ group: 'other' });
  });

  it('has one winner when many claim at once', async () => {
    const { one, two } = openings();
    const topic = await newTopic(one.log);
    const won = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        (index % 2 === 0 ? one : two).groups.claim(topic, 'g', 0, `owner ${index}`, LEASE_MS),
      ),
    );
    expect(won.filter((claim) => claim !== undefined).length).toBe(1);
  });

  it('renews, and passes a partition on when the lease has run out', async () => {
    const { one, two } = openings();
    const topic = await newTopic(one.log);
    const first = await one.groups.claim(topic, 'g', 0, 'a', 50);
    if (first === undefined) throw new Error('not claimed');
    expect(await one.groups.renew(first, LEASE_MS)).toBe(true);
    expect(await two.groups.claim(topic, 'g', 0, 'b', LEASE_MS)).toBeUndefined();
    expect(await one.groups.renew(first, 50)).toBe(true);
    const second = await until(() => two.groups.claim(topic, 'g', 0, 'b', LEASE_MS));
    expect(second.epoch).toBeGreaterThan(first.epoch);
    expect(await one.groups.renew(first, LEASE_MS)).toBe(false);
  });

  it('gives a released partition to the next at once, with its position', async () => {
    const { one, two } = openings();
    const topic = await newTopic(one.log);
    const first = await one.groups.claim(topic, 'g', 0, 'a', LEASE_MS);
    if (first === undefined) throw new Error('not claimed');
    await one.groups.commit(first, 7);
    await one.groups.release(first);
    expect(await rejectionCode(one.groups.commit(first, 8))).toBe('FENCED');
    const second = await two.groups.claim(topic, 'g', 0, 'b', LEASE_MS);
    expect(second).toMatchObject({ committed: 7 });
    await one.groups.release(first);
    expect(second !== undefined && (await two.groups.renew(second, LEASE_MS))).toBe(true);
  });
}

function commits(openings: () => Openings): void {
  it('remembers positions by partition', async () => {
    const { one, two } = openings();
    const topic = await newTopic(one.log, 3);
    expect(await two.groups.positions(topic, 'g')).toEqual([0, 0, 0]);
    const claim = await one.groups.claim(topic, 'g', 1, 'a', LEASE_MS);
    if (claim === undefined) throw new Error('not claimed');
    await one.groups.commit(claim, 5);
    await one.groups.commit(claim, 9);
    expect(await two.groups.positions(topic, 'g')).toEqual([0, 9, 0]);
    expect(await rejectionCode(one.groups.commit(claim, -1))).toBe('BAD_REQUEST');
  });

  it('fences a zombie: its commit changes nothing', async () => {
    const { one, two } = openings();
    const topic = await newTopic(one.log);
    const zombie = await one.groups.claim(topic, 'g', 0, 'a', 1);
    if (zombie === undefined) throw new Error('not claimed');
    const owner = await until(() => two.groups.claim(topic, 'g', 0, 'b', LEASE_MS));
    await two.groups.commit(owner, 3);
    expect(await rejectionCode(one.groups.commit(zombie, 100))).toBe('FENCED');
    expect(await two.groups.positions(topic, 'g')).toEqual([3]);
    await two.groups.commit(owner, 4);
    // The same name once more is another claim too: a restarted process must not meet its own ghost.
    const again = await two.groups.claim(topic, 'g', 0, 'b', LEASE_MS);
    expect(again?.epoch).toBeGreaterThan(owner.epoch);
    expect(await rejectionCode(two.groups.commit(owner, 5))).toBe('FENCED');
  });

  it('shares the transaction of the effect', async (context) => {
    const { one, two } = openings();
    const { tables } = one;
    if (tables === undefined) return context.skip();
    const topic = await newTopic(one.log);
    const claim = await one.groups.claim(topic, 'g', 0, 'a', LEASE_MS);
    if (claim === undefined) throw new Error('not claimed');
    await tables.query('create table if not exists conformance_effect (offset_seen bigint)');
    const effect = (fails: boolean): Promise<void> =>
      tables.transaction(async (tx) => {
        await tx.query('insert into conformance_effect values (1)');
        await one.groups.commit(claim, 10, tx);
        if (fails) throw new Error('on purpose');
      });
    await expect(effect(true)).rejects.toThrow('on purpose');
    expect(await two.groups.positions(topic, 'g')).toEqual([0]);
    expect(await tables.query('select 1 from conformance_effect')).toEqual([]);
    await effect(false);
    expect(await two.groups.positions(topic, 'g')).toEqual([10]);
    const other = { ...claim, epoch: claim.epoch - 1 };
    const fenced = tables.transaction(async (tx) => {
      await tx.query('insert into conformance_effect values (2)');
      await one.groups.commit(other, 11, tx);
    });
    expect(await rejectionCode(fenced)).toBe('FENCED');
    expect((await tables.query('select 1 from conformance_effect')).length).toBe(1);
  });
}
