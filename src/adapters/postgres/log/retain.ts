import type { Tables } from '../../../runtime/ports/index.ts';
import { stateOf } from '../failures.ts';
import { segmentTable } from './schema.ts';
import { type KnownTopic, lockSegments, segmentDays } from './topics.ts';

const LOCK_NOT_AVAILABLE = '55P03';

/**
 * Drops the oldest segments, one transaction each, as long as all their records are older than `before` and
 * below `keepFrom`. Dropping needs a moment without readers and writers of the topic; when that moment does
 * not come within two seconds, the rest stays for the next call.
 */
export async function retain(
  tables: Tables,
  topic: KnownTopic,
  before: number,
  keepFrom: readonly number[],
): Promise<number> {
  let dropped = 0;
  for (const day of await segmentDays(tables, topic.id)) {
    // A segment whose day has only begun by then holds newer records, or will.
    if (day * 86_400_000 >= before) break;
    try {
      const count = await tables.transaction((tx) => dropSegment(tx, topic, day, before, keepFrom));
      if (count === undefined) break;
      dropped += count;
    } catch (error) {
      if (stateOf(error) === LOCK_NOT_AVAILABLE) break;
      throw error;
    }
  }
  return dropped;
}

type SegmentPart = {
  readonly part: number;
  readonly first: number;
  readonly next: number;
  readonly newest: number;
};

/** Returns the number of records dropped; `undefined` when the segment must stay. */
async function dropSegment(
  tx: Tables,
  topic: KnownTopic,
  day: number,
  before: number,
  keepFrom: readonly number[],
): Promise<number | undefined> {
  await tx.query(`set local lock_timeout = '2s'`);
  await lockSegments(tx, topic.id);
  const table = segmentTable(topic.id, day);
  const found = await tx.query<{ here: boolean }>('select to_regclass($1) is not null as here', [table]);
  if (found[0]?.here !== true) return 0;
  // No append may come in between looking and dropping.
  await tx.query(`lock table ${table} in access exclusive mode`);
  const parts = await tx.query<SegmentPart>(
    `select part, oldest.base as first, newest.base + newest.count as next,
       (extract(epoch from newest.appended_at) * 1000)::float8 as newest
     from generate_series(0, $1::int - 1) part
     cross join lateral (select base from ${table} where part = part.part order by base limit 1) oldest
     cross join lateral (
       select base, count, appended_at from ${table} where part = part.part order by base desc limit 1
     ) newest`,
    [topic.partitions],
  );
  if (parts.some(({ part, next, newest }) => newest >= before || next > (keepFrom[part] ?? 0)))
    return undefined;
  // In the order of the partitions, as appends of several of them do: nobody waits in a circle.
  await tx.query('select 1 from tandem_log_head where topic = $1 order by part for update', [topic.id]);
  await tx.query(
    `update tandem_log_head head set first = greatest(head.first, part.next)
     from unnest($2::int[], $3::int8[]) part (part, next) where head.topic = $1 and head.part = part.part`,
    [topic.id, parts.map(({ part }) => part), parts.map(({ next }) => next)],
  );
  await tx.query(`drop table ${table}`);
  return parts.reduce((sum, { first, next }) => sum + next - first, 0);
}
