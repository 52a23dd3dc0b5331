import type pg from 'pg';
import { PlatformError } from '../../../contract/errors.ts';
import type { FailPoints } from '../../../runtime/fail-points.ts';
import type { EventLogLimits } from '../../../runtime/ports/index.ts';
import { isRefusal, stateOf, translate } from '../failures.ts';
import { joinRecords, packFrame } from './frame.ts';
import { type BatchRow, insertBatches, type StoredRow } from './insert.ts';
import type { Appended } from './recent.ts';
import { tracesOf } from './stored-batch.ts';
import type { KnownTopic, Topics } from './topics.ts';

/** Most records in one stored batch. */
const BATCH_RECORDS_MAX = 2_000;
/**
 * Most bytes of records in one stored batch, before compression; a single larger record is a batch of its
 * own.
 */
const BATCH_BYTES_MAX = 1_048_576;
/** Most partitions that one insert stores; one statement for several costs the server little more than for one. */
const PARTITIONS_MAX = 16;
/** An insert takes no further partition when so many bytes are in it. */
const INSERT_BYTES_MAX = 1_048_576;
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

/** Records that become one row, and their frame before it was packed. */
interface Batch extends Omit<BatchRow, 'partition' | 'total'> {
  readonly frame: Buffer;
}

/** What one insert stores of a partition. */
interface Portion {
  readonly queue: Queue;
  readonly calls: readonly Call[];
  readonly batches: readonly Batch[];
  readonly total: number;
}

interface Queue {
  readonly topic: KnownTopic;
  readonly partition: number;
  calls: Call[];
  /** Bytes of its calls. */
  bytes: number;
  /** In the list of queues to write, or being written. */
  busy: boolean;
}

/** Told after every insert, of each partition: these batches are on disk and can be read. */
export type AppendListener = (topic: KnownTopic, appended: readonly Appended[]) => void;

/**
 * Group commit: every partition has a queue, and while an insert of a partition is under way its next batch
 * collects. An insert takes the partitions of a topic that wait, up to a size: records that come one by one, to all
 * partitions, share one statement and one wait for the disk. There is no timer: the time that the disk takes forms the
 * batches. At most `writers` inserts run at once.
 */
export class Appender {
  readonly #pool: pg.Pool;
  readonly #topics: Topics;
  readonly #limits: EventLogLimits;
  readonly #writersMax: number;
  readonly #listener: AppendListener;
  readonly #failPoints: FailPoints;
  readonly #queues = new Map<number, Queue[]>();
  #ready: Queue[] = [];
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
      queue.bytes += bytes;
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
        bytes: 0,
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
      while (this.#writers < this.#writersMax && this.#ready.length > 0) {
        this.#writers += 1;
        void this.#write(this.#takeQueues());
      }
      if (this.#writers === 0 && this.#ready.length === 0) this.#idle?.();
    });
  }

  /** The queue that has waited longest, and others of its topic as far as one insert takes them. */
  #takeQueues(): Queue[] {
    const taken: Queue[] = [];
    const left: Queue[] = [];
    let bytes = 0;
    for (const queue of this.#ready) {
      const [first] = taken;
      const fits =
        first === undefined ||
        (queue.topic === first.topic && taken.length < PARTITIONS_MAX && bytes < INSERT_BYTES_MAX);
      if (fits) {
        taken.push(queue);
        bytes += queue.bytes;
      } else left.push(queue);
    }
    this.#ready = left;
    return taken;
  }

  async #write(queues: readonly Queue[]): Promise<void> {
    let client: pg.PoolClient | undefined;
    let calls: readonly Call[] = [];
    let failure: unknown;
    try {
      client = await this.#pool.connect();
      await this.#failPoints.pass('log.append.before');
      // Taken only now: whoever came while the connection was awaited is in the batch.
      const taken = queues.map((queue) => ({ queue, calls: takeCalls(queue) }));
      calls = taken.flatMap((part) => part.calls);
      const portions = taken.map((part) => portionOf(part.queue, part.calls));
      const stored = await this.#insert(client, portions);
      await this.#failPoints.pass('log.append.committed');
      for (const portion of portions) this.#settle(portion, stored);
    } catch (error) {
      failure = error;
      if (calls.length === 0) calls = queues.flatMap(takeCalls);
      const translated = translate(error);
      for (const call of calls) call.reject(translated);
    }
    client?.release(failure !== undefined && !isRefusal(failure));
    for (const call of calls) this.#queuedBytes -= call.bytes;
    this.#writers -= 1;
    for (const queue of queues) {
      if (queue.calls.length > 0) this.#ready.push(queue);
      else queue.busy = false;
    }
    this.#pumpSoon();
  }

  /** Tells the callers of a partition where their records are, and the listener what can be read. */
  #settle({ queue, calls, batches }: Portion, stored: readonly StoredRow[]): void {
    const { topic, partition } = queue;
    const rows = stored
      .filter(({ part }) => part === partition)
      .sort((left, right) => left.base - right.base);
    const base = rows[0]?.base ?? 0;
    let offset = base;
    for (const call of calls) {
      call.resolve(offset);
      offset += call.records.length;
    }
    this.#listener(
      topic,
      batches.map(({ start, count, frame, trace }, index) => ({
        partition,
        base: base + start,
        count,
        appendedAt: rows[index]?.at ?? 0,
        traceparents: tracesOf(trace),
        frame,
      })),
    );
  }

  async #insert(client: pg.PoolClient, portions: readonly Portion[]): Promise<StoredRow[]> {
    const topic = portions[0]?.queue.topic;
    if (topic === undefined) return [];
    const rows = portions.flatMap(({ queue: { partition }, batches, total }) =>
      batches.map((batch) => ({ ...batch, partition, total })),
    );
    let stored: StoredRow[];
    try {
      stored = await insertBatches(client, topic.id, rows);
    } catch (error) {
      if (stateOf(error) !== NO_SEGMENT) throw error;
      // Nothing was stored. The process slept through midnight, or the segment was dropped by retention.
      await this.#topics.ensureSegments(topic);
      stored = await insertBatches(client, topic.id, rows);
    }
    const [first] = stored;
    if (first === undefined || stored.length !== rows.length)
      throw new PlatformError('TOPIC_NOT_FOUND', `Topic ${topic.name} is gone from the store`);
    this.#prepareTomorrow(topic, Math.max(...stored.map(({ day }) => day)));
    return stored;
  }

  #prepareTomorrow(topic: KnownTopic, day: number): void {
    if (day <= topic.segmentsUntil) return;
    topic.segmentsUntil = day;
    // Best effort: a segment that is missing tomorrow is made on demand.
    this.#topics.ensureSegments(topic).catch(() => (topic.segmentsUntil = day - 1));
  }
}

function portionOf(queue: Queue, calls: readonly Call[]): Portion {
  const batches = pack(calls);
  return { queue, calls, batches, total: batches.reduce((sum, { count }) => sum + count, 0) };
}

/** Takes the calls of the next insert: as many as fit one batch, at least one. */
function takeCalls(queue: Queue): Call[] {
  const { calls } = queue;
  let taken = 0;
  let count = 0;
  let bytes = 0;
  for (const call of calls) {
    const more = bytes + call.bytes;
    count += call.records.length;
    if (taken > 0 && (count > BATCH_RECORDS_MAX || more > BATCH_BYTES_MAX)) break;
    taken += 1;
    bytes = more;
  }
  queue.bytes -= bytes;
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
    const frame = joinRecords(records, bytes);
    batches.push({ start, count: records.length, bytes, data: packFrame(frame), trace, frame });
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
