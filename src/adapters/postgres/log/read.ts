import type pg from 'pg';
import { PlatformError } from '../../../contract/errors.ts';
import type { PartitionRange, ReadOptions, RecordBatch } from '../../../runtime/ports/index.ts';
import { isRefusal, stateOf, translate } from '../failures.ts';
import { copyRows } from './copy.ts';
import { decodeFrame } from './frame.ts';
import type { Recent } from './recent.ts';
import { batchTable, dayText } from './schema.ts';
import { READ_BYTES_MAX, StoredBatch, tracesOf } from './stored-batch.ts';
import type { Tail } from './tail.ts';
import type { KnownTopic } from './topics.ts';

const RECORDS_MAX = 10_000;
const UNDEFINED_TABLE = '42P01';

/**
 * A place in a partition that this process has read. Later offsets are hardly ever in older segments (a clock
 * went back by days), so the next read leaves those out; it is checked, and repeated in full if something is
 * missing.
 */
interface Place {
  readonly offset: number;
  readonly day: number;
}

export class Reader {
  readonly #pool: pg.Pool;
  readonly #tail: Tail;
  readonly #recent: Recent;
  readonly #places = new Map<number, Map<number, Place>>();

  constructor(pool: pg.Pool, tail: Tail, recent: Recent) {
    this.#pool = pool;
    this.#tail = tail;
    this.#recent = recent;
  }

  async read(
    topic: KnownTopic,
    partition: number,
    offset: number,
    options: ReadOptions,
  ): Promise<RecordBatch[]> {
    const { maxRecords = RECORDS_MAX, waitMs = 0, signal } = options;
    const follows = waitMs > 0;
    if (follows) this.#recent.follow(topic.id, partition);
    const deadline = performance.now() + waitMs;
    // Whoever has read to the end that is known here asks nothing: the tail tells of what comes, also of what others store.
    let knowsEnd = follows && offset === this.#tail.next(topic, partition) && signal?.aborted !== true;
    for (;;) {
      // Before looking, so that an append in between is not missed.
      using watch = this.#tail.watch(topic, partition, offset);
      const kept = follows ? this.#recent.take(topic.id, partition, offset, maxRecords) : [];
      if (kept.length > 0) return kept;
      let leftMs = waitMs;
      if (!knowsEnd) {
        const batches = await this.#readNow(topic, partition, offset, maxRecords);
        leftMs = deadline - performance.now();
        if (batches.length > 0 || leftMs <= 0 || signal?.aborted === true) return batches;
      }
      knowsEnd = false;
      await watch.wait(leftMs, signal);
      if (watch.closed) return [];
    }
  }

  async ranges(topic: KnownTopic): Promise<PartitionRange[]> {
    const { rows } = await this.#pool.query<{ part: number; first: number; next: number }>({
      name: 'ranges',
      text: 'select part, first, next from tandem_log_head where topic = $1 order by part',
      values: [topic.id],
    });
    for (const { part, next } of rows) this.#tail.advance(topic, part, next);
    return rows.map(({ first, next }) => ({ first, next }));
  }

  async #readNow(
    topic: KnownTopic,
    partition: number,
    offset: number,
    maxRecords: number,
  ): Promise<RecordBatch[]> {
    // Two rounds at most: a segment can be dropped between looking where the partition begins and reading it,
    // or be older than expected.
    for (let attempt = 0; ; attempt += 1) {
      // What this process knows of the end spares the question while it catches up.
      if (attempt > 0 || offset >= this.#tail.next(topic, partition)) {
        const { first, next } = await this.#range(topic, partition);
        this.#tail.advance(topic, partition, next);
        if (offset < first) throw outOfRange(topic, partition, offset, first);
        if (offset >= next) return [];
      }
      const batches = await this.#copy(topic, partition, offset, maxRecords);
      if (batches.length > 0) return batches;
      if (attempt > 0) throw outOfRange(topic, partition, offset, undefined);
      this.#placesOf(topic).delete(partition);
    }
  }

  async #range(topic: KnownTopic, partition: number): Promise<PartitionRange> {
    const { rows } = await this.#pool.query<PartitionRange>({
      name: 'range',
      text: 'select first, next from tandem_log_head where topic = $1 and part = $2',
      values: [topic.id, partition],
    });
    const range = rows[0];
    if (range === undefined)
      throw new PlatformError('TOPIC_NOT_FOUND', `Topic ${topic.name} is gone from the store`);
    return range;
  }

  async #copy(
    topic: KnownTopic,
    partition: number,
    offset: number,
    maxRecords: number,
  ): Promise<RecordBatch[]> {
    const batches: RecordBatch[] = [];
    const places = this.#placesOf(topic);
    const place = places.get(partition);
    const since = place !== undefined && offset >= place.offset ? place.day : undefined;
    let day = 0;
    let next = offset;
    const client = await this.#pool.connect();
    let failure: unknown;
    try {
      await copyRows(client, readSql(topic.id, partition, offset, maxRecords, since), 5, (fields) => {
        const batch = toBatch(partition, fields);
        // Only what has no gap: what is behind one is read next time, without leaving segments out.
        if (batch.base > next || batch.base + batch.count <= next) return;
        batches.push(batch);
        next = batch.base + batch.count;
        day = fields[2]?.readInt32BE(0) ?? 0;
      });
    } catch (error) {
      failure = error;
      // A segment was dropped while the statement was planned.
      if (stateOf(error) !== UNDEFINED_TABLE) throw translate(error);
      return [];
    } finally {
      client.release(failure !== undefined && !isRefusal(failure));
    }
    const last = batches.at(-1);
    if (last !== undefined) places.set(partition, { offset: last.base, day });
    return batches;
  }

  #placesOf(topic: KnownTopic): Map<number, Place> {
    let places = this.#places.get(topic.id);
    if (places === undefined) this.#places.set(topic.id, (places = new Map()));
    return places;
  }
}

/**
 * All batches from the one that holds `offset` on that begin below `offset + maxRecords`: offsets have no
 * gaps, so with the last of them the wanted number is reached. The sum ends the read earlier where records
 * are large. Numbers only are put into the text: a copy takes no parameters.
 */
function readSql(
  topic: number,
  part: number,
  offset: number,
  maxRecords: number,
  since: number | undefined,
): string {
  const where = `part = ${part}${since === undefined ? '' : ` and day >= '${dayText(since)}'`}`;
  return `copy (
    select base, (extract(epoch from appended_at) * 1000)::int8, day - date '1970-01-01', data, trace from (
      select base, appended_at, day, data, trace, sum(bytes) over (order by base) - bytes as bytes_before
      from ${batchTable(topic)}
      where ${where} and base < ${offset + maxRecords} and base >= coalesce(
        (select base from ${batchTable(topic)} where ${where} and base <= ${offset} order by base desc limit 1), 0)
    ) batch
    where bytes_before < ${READ_BYTES_MAX} order by base
  ) to stdout (format binary)`;
}

function toBatch(partition: number, fields: readonly Buffer[]): RecordBatch {
  const [base, appendedAt, , data, trace] = fields;
  if (base === undefined || appendedAt === undefined || data === undefined || trace === undefined)
    throw new Error('A copied row is too short');
  const facts = {
    partition,
    base: Number(base.readBigInt64BE(0)),
    appendedAt: Number(appendedAt.readBigInt64BE(0)),
    traceparents: tracesOf(trace.toString('latin1')),
  };
  return new StoredBatch(facts, decodeFrame(data));
}

function outOfRange(
  topic: KnownTopic,
  partition: number,
  offset: number,
  first: number | undefined,
): PlatformError {
  return new PlatformError(
    'OFFSET_OUT_OF_RANGE',
    `Offset ${offset} of ${topic.name}/${partition} was dropped by retention; the first kept offset is ${first ?? 'unknown'}`,
    { details: { topic: topic.name, partition, offset, ...(first === undefined ? {} : { first }) } },
  );
}
