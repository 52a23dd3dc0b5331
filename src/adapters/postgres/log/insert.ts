import type pg from 'pg';
import { batchTable } from './schema.ts';

/** Inserts of up to so many rows are parsed and planned once per connection. */
const PREPARED_ROWS_MAX = 16;

/** One row to insert. */
export interface BatchRow {
  readonly partition: number;
  /** Records of its partition in the whole insert. */
  readonly total: number;
  /** Offset of its first record, relative to the partition's first one of the insert. */
  readonly start: number;
  readonly count: number;
  readonly bytes: number;
  readonly data: Buffer;
  /** Traces of its records; `null` when there are none, which is nearly always. */
  readonly trace: string | null;
}

/** A row as it was stored. */
export interface StoredRow {
  readonly part: number;
  readonly base: number;
  /** Day of its segment, since 1970-01-01. */
  readonly day: number;
  /** When it was made durable, in milliseconds since 1970-01-01 UTC. */
  readonly at: number;
}

const COLUMNS = 'part, day, base, count, bytes, data, trace';
const RETURNING = `returning part, base, day - date '1970-01-01' as day,
      (extract(epoch from appended_at) * 1000)::int8 as at`;

/**
 * Moves the heads of the partitions and inserts the batches, in one statement. A head's row lock makes the appends of its
 * partition wait for each other until the commit, so offsets have no gaps and are in commit order: a reader that sees an
 * offset sees all below it. Empty when the topic is gone.
 */
export async function insertBatches(
  client: pg.PoolClient,
  topic: number,
  rows: readonly BatchRow[],
): Promise<StoredRow[]> {
  const partitions = [...new Set(rows.map(({ partition }) => partition))];
  const [first] = partitions;
  if (first === undefined) return [];
  const isOne = partitions.length === 1;
  const values: unknown[] = [isOne ? first : partitions];
  const places = rows.map(({ partition, total, start, count, bytes, data, trace }) => {
    const at = values.push(partition, total, start, count, bytes, data, trace) - 6;
    return (
      `($${at}::int, $${at + 1}::bigint, $${at + 2}::bigint, $${at + 3}::int, $${at + 4}::int, ` +
      `$${at + 5}::bytea, $${at + 6}::text)`
    );
  });
  const text = isOne ? textForOne(topic, places) : textForMany(topic, places);
  const name = `append_${topic}_${isOne ? 'one' : 'many'}_${rows.length}`;
  const { rows: stored } = await client.query<StoredRow>({
    text,
    values,
    ...(rows.length <= PREPARED_ROWS_MAX ? { name } : {}),
  });
  return stored;
}

const TODAY = "(select (clock_timestamp() at time zone 'utc')::date as today) clock";

function textForOne(topic: number, places: readonly string[]): string {
  return `
    with batch (part, total, start, count, bytes, data, trace) as (values ${places.join(', ')}),
    head as (
      update tandem_log_head head
      set next = head.next + added.total, day = least(greatest(head.day, today), today + 1)
      from ${TODAY}, (select total from batch limit 1) added
      where head.topic = ${topic} and head.part = $1::int
      returning head.next - added.total as base, head.day
    )
    insert into ${batchTable(topic)} (${COLUMNS})
    select batch.part, head.day, head.base + batch.start, batch.count, batch.bytes, batch.data, batch.trace
    from head, batch
    ${RETURNING}`;
}

/** Heads are locked in the order of their partitions, as everybody does who locks several: nobody waits in a circle. */
function textForMany(topic: number, places: readonly string[]): string {
  return `
    with batch (part, total, start, count, bytes, data, trace) as (values ${places.join(', ')}),
    head as (
      update tandem_log_head head
      set next = head.next + batch.total, day = least(greatest(head.day, today), today + 1)
      from ${TODAY}, batch, (
        select part from tandem_log_head where topic = ${topic} and part = any($1::int[]) order by part for update
      ) locked
      where head.topic = ${topic} and head.part = locked.part and batch.part = locked.part and batch.start = 0
      returning head.part, head.next - batch.total as base, head.day
    )
    insert into ${batchTable(topic)} (${COLUMNS})
    select batch.part, head.day, head.base + batch.start, batch.count, batch.bytes, batch.data, batch.trace
    from head join batch on batch.part = head.part
    ${RETURNING}`;
}
