import type pg from 'pg';
import { PlatformError } from '../../../contract/errors.ts';
import type { FailPoints } from '../../../runtime/fail-points.ts';
import type { EventLogLimits } from '../../../runtime/ports/index.ts';
import { isRefusal, stateOf, translate } from '../failures.ts';
import { encodeFrame } from './frame.ts';
import { batchTable } from './schema.ts';
import type { KnownTopic, Topics } from './topics.ts';

/** Most records in one stored batch. */
const BATCH_RECORDS_MAX = 2_000;
/**
 * Most bytes of records in one stored batch, before compression; a single larger record is a batch of its
 * own.
 */
const BATCH_BYTES_MAX = 1_048_576;
/** What a waiting record counts besides its bytes: many empty records take memory too. */
const RECORD_OVERHEAD_BYTES = 64;
/** Traces that a batch names; those of further appends are not found through the log. */
const TRACES_MAX = 16;
/** SQLSTATE of "no partition of relation found for row": the segment of this day is missing. */
const NO_SEGMENT = '23514';

interface Call {
  readonly records: readonly Uint8Array[];
  readonly bytes: number;
  readonly traceparent: string | undefined;
  resolve(offset: number): void;
  reject(error: unknown): void;
}

/** One row to insert. */
interface Batch {
  /** Offset of its first record, relative to the first one of the insert. */
  readonly start: number;
  readonly count: number;
  readonly bytes: number;
  readonly data: Buffer;
  /** Traces of its records; `null` when there are none, which is nearly always. */
  readonly trace: string | null;
}

interface Queue {
  readonly topic: KnownTopic;
  readonly partition: number;
  calls: Call[];
  /** In the list of queues to write, or being written. */
  busy: boolean;
}

/** Told after every insert: the partition's records below `next` can be read. */
export type AppendListener = (topic: KnownTopic, partition: number, next: number) => void;

/**
 * Group commit: every partition has a queue, and while one insert of a partition is under way its next batch
 * collects. There is no timer: the time that the disk takes forms the batches. At most `writers` inserts run
 * at once.
 */
export class Appender {
  readonly #pool: pg.Pool;
  readonly #topics: Topics;
  readonly #limits: EventLogLimits;
  readonly #writersMax: number;
  readonly #listener: AppendListener;
  readonly #failPoints: FailPoints;
  readonly #queues = new Map<number, Queue[]>();
  readonly #ready: Queue[] = [];
  #writers = 0;
  #queuedBytes = 0;
  #pumping = false;
  #closed = false;
  #idle: (() => void) | undefined;

  constructor(
    pool: pg.Pool,
    topics: Topics,
    limits: EventLogLimits,
    writersMax: number,
    listener: AppendListener,
    failPoints: FailPoints,
  ) {
    this.#pool = pool;
    this.#topics = topics;
    this.#limits = limits;
    this.#writersMax = writersMax;
    this.#listener = listener;
    this.#failPoints = failPoints;
  }

  append(
    topic: KnownTopic,
    partition: number,
    records: readonly Uint8Array[],
    traceparent?: string,
  ): Promise<number> {
    let bytes = records.length * RECORD_OVERHEAD_BYTES;
    for (const record of records) {
      if (!(record.byteLength <= this.#limits.recordBytesMax))
        return Promise.reject(this.#recordTooLarge(record));
      bytes += record.byteLength;
    }
    const refusal = this.#refusal(records.length, bytes);
    if (refusal !== undefined) return Promise.reject(refusal);
    const queue = this.#queue(topic, partition);
    this.#queuedBytes += bytes;
    return new Promise<number>((resolve, reject) => {
      queue.calls.push({ records, bytes, traceparent, resolve, reject });
      if (queue.busy) return;
      queue.busy = true;
      this.#ready.push(queue);
      this.#pumpSoon();
    });
  }

  /** Refuses new appends and waits for those under way. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#writers > 0 || this.#ready.length > 0)
      await new Promise<void>((resolve) => (this.#idle = resolve));
  }

  #refusal(count: number, bytes: number): PlatformError | undefined {
    const { appendRecordsMax, queuedBytesMax } = this.#limits;
    if (count === 0 || count > appendRecordsMax) {
      return new PlatformError(
        'BAD_REQUEST',
        `One append takes 1 to ${appendRecordsMax} records, not ${count}`,
      );
    }
    if (this.#closed) return new PlatformError('UNAVAILABLE', 'The event log is closed');
    if (this.#queuedBytes + bytes > queuedBytesMax) {
      return new PlatformError(
        'OVERLOADED',
        `${this.#queuedBytes} bytes wait to be stored, the limit is ${queuedBytesMax}`,
      );
    }
    return undefined;
  }

  #recordTooLarge(record: Uint8Array): PlatformError {
    const { recordBytesMax } = this.#limits;
    return new PlatformError(
      'BAD_REQUEST',
      `A record has at most ${recordBytesMax} bytes, not ${record.byteLength}`,
    );
  }

  #queue(topic: KnownTopic, partition: number): Queue {
    let queues = this.#queues.get(topic.id);
    if (queues === undefined) {
      queues = Array.from({ length: topic.partitions }, (_, part) => ({
        topic,
        partition: part,
        calls: [],
        busy: false,
      }));
      this.#queues.set(topic.id, queues);
    }
    const queue = queues[partition];
    if (queue === undefined) throw new Error(`Topic ${topic.name} has no partition ${partition}`);
    return queue;
  }

  /**
   * At the end of this turn of the event loop, so that callers who are just being answered join the next
   * batch.
   */
  #pumpSoon(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    setImmediate(() => {
      this.#pumping = false;
      while (this.#writers < this.#writersMax) {
        const queue = this.#ready.shift();
        if (queue === undefined) break;
        this.#writers += 1;
        void this.#write(queue);
      }
      if (this.#writers === 0 && this.#ready.length === 0) this.#idle?.();
    });
  }

  async #write(queue: Queue): Promise<void> {
    let client: pg.PoolClient | undefined;
    let calls: Call[] = [];
    let failure: unknown;
    try {
      client = await this.#pool.connect();
      await this.#failPoints.pass('log.append.before');
      // Taken only now: whoever came while the connection was awaited is in the batch.
      calls = takeCalls(queue);
      const batches = pack(calls);
      const base = await this.#insert(client, queue, batches);
      await this.#failPoints.pass('log.append.committed');
      let offset = base;
      for (const call of calls) {
        call.resolve(offset);
        offset += call.records.length;
      }
      this.#listener(queue.topic, queue.partition, offset);
    } catch (error) {
      failure = error;
      if (calls.length === 0) calls = takeCalls(queue);
      const translated = translate(error);
      for (const call of calls) call.reject(translated);
    }
    client?.release(failure !== undefined && !isRefusal(failure));
    for (const call of calls) this.#queuedBytes -= call.bytes;
    this.#writers -= 1;
    if (queue.calls.length > 0) this.#ready.push(queue);
    else queue.busy = false;
    this.#pumpSoon();
  }

  async #insert(client: pg.PoolClient, queue: Queue, batches: readonly Batch[]): Promise<number> {
    const { topic, partition } = queue;
    let rows: InsertedRow[];
    try {
      rows = await insert(client, topic.id, partition, batches);
    } catch (error) {
      if (stateOf(error) !== NO_SEGMENT) throw error;
      // Nothing was stored. The process slept through midnight, or the segment was dropped by retention.
      await this.#topics.ensureSegments(topic);
      rows = await insert(client, topic.id, partition, batches);
    }
    const first = rows[0];
    if (first === undefined)
      throw new PlatformError('TOPIC_NOT_FOUND', `Topic ${topic.name} is gone from the store`);
    this.#prepareTomorrow(topic, first.day);
    return rows.reduce((base, row) => Math.min(base, row.base), first.base);
  }

  #prepareTomorrow(topic: KnownTopic, day: number): void {
    if (day <= topic.segmentsUntil) return;
    topic.segmentsUntil = day;
    // Best effort: a segment that is missing tomorrow is made on demand.
    this.#topics.ensureSegments(topic).catch(() => (topic.segmentsUntil = day - 1));
  }
}

/** Takes the calls of the next insert: as many as fit one batch, at least one. */
function takeCalls(queue: Queue): Call[] {
  const { calls } = queue;
  let taken = 0;
  let count = 0;
  let bytes = 0;
  for (const call of calls) {
    count += call.records.length;
    bytes += call.bytes;
    if (taken > 0 && (count > BATCH_RECORDS_MAX || bytes > BATCH_BYTES_MAX)) break;
    taken += 1;
  }
  if (taken === calls.length) {
    queue.calls = [];
    return calls;
  }
  queue.calls = calls.slice(taken);
  return calls.slice(0, taken);
}

/**
 * Cuts the records of the calls into batches. Only a call that is larger than a batch gives more than one.
 */
function pack(calls: readonly Call[]): Batch[] {
  const batches: Batch[] = [];
  let records: Uint8Array[] = [];
  let bytes = 0;
  let start = 0;
  let traces: string[] = [];
  const flush = (): void => {
    if (records.length === 0) return;
    const trace = traces.length === 0 ? null : traces.join(' ');
    batches.push({ start, count: records.length, bytes, data: encodeFrame(records, bytes), trace });
    start += records.length;
    records = [];
    bytes = 0;
    traces = [];
  };
  for (const call of calls) {
    const { traceparent } = call;
    if (traceparent !== undefined && traces.length < TRACES_MAX) traces.push(traceparent);
    for (const record of call.records) {
      if (records.length === BATCH_RECORDS_MAX || bytes + record.byteLength > BATCH_BYTES_MAX) flush();
      records.push(record);
      bytes += record.byteLength;
    }
  }
  flush();
  return batches;
}

interface InsertedRow {
  readonly base: number;
  readonly day: number;
}

/**
 * Moves the head and inserts the batches in one statement. The head's row lock makes the appends of a
 * partition wait for each other until the commit, so offsets have no gaps and are in commit order: a reader
 * that sees an offset sees all below it.
 */
async function insert(
  client: pg.PoolClient,
  topic: number,
  part: number,
  batches: readonly Batch[],
): Promise<InsertedRow[]> {
  const values: unknown[] = [part, batches.reduce((sum, { count }) => sum + count, 0)];
  const rows = batches.map(({ start, count, bytes, data, trace }) => {
    const at = values.push(start, count, bytes, data, trace) - 4;
    return `($${at}::bigint, $${at + 1}::int, $${at + 2}::int, $${at + 3}::bytea, $${at + 4}::text)`;
  });
  const text = `
    with head as (
      update tandem_log_head
      set next = next + $2::bigint, day = least(greatest(day, today), today + 1)
      from (select (clock_timestamp() at time zone 'utc')::date as today) clock
      where topic = ${topic} and part = $1::int
      returning next - $2::bigint as base, day
    )
    insert into ${batchTable(topic)} (part, day, base, count, bytes, data, trace)
    select $1::int, head.day, head.base + batch.start, batch.count, batch.bytes, batch.data, batch.trace
    from head, (values ${rows.join(', ')}) batch (start, count, bytes, data, trace)
    returning base, day - date '1970-01-01' as day`;
  // The usual single row is parsed and planned once per connection.
  const name = batches.length === 1 ? { name: `append_${topic}` } : {};
  return (await client.query<InsertedRow>({ text, values, ...name })).rows;
}
