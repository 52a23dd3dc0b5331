import {
  DELETED_FIELD,
  type Event,
  eventFromValues,
  type EventMark,
  PlatformError,
  REVISION_FIELD,
} from '../../../contract/index.ts';
import type { Source, Value } from '../../../define/index.ts';
import type { ColumnSpec, ResultColumns } from '../../../runtime/index.ts';
import { columnType, eventsTable, identifier } from './sql.ts';
import type { Knowledge } from './point-in-time.ts';
import { versionsSql } from './visibility.ts';

/**
 * Columns of the archive of a source: where the record lies in the log, what it does to the event of its id where the source takes
 * corrections, then the event's fields by their names.
 */
export function archiveColumns(source: Source): ColumnSpec[] {
  return [
    { name: '_partition', type: 'int64' },
    { name: '_offset', type: 'int64' },
    { name: '_appended_at', type: 'int64' },
    ...(source.corrections === true ? MARKS : []),
    ...Object.entries(source.fields).map(([name, field]) => ({ name, type: columnType(field) })),
  ];
}

/** Files from before the source took corrections lack them. */
const MARKS: readonly ColumnSpec[] = [
  { name: REVISION_FIELD, type: 'int64' },
  { name: DELETED_FIELD, type: 'boolean' },
];

/** SQL that reads archive files of a source, which may differ by columns that came later. */
export function archiveFilesSql(source: Source, files: string): string {
  if (source.corrections !== true) return `read_parquet(${files})`;
  const marks = `select null::bigint as ${REVISION_FIELD}, null::boolean as ${DELETED_FIELD} where false`;
  return `(select * from read_parquet(${files}, union_by_name = true) union all by name ${marks})`;
}

/** A record of the archive, in the order of {@link archiveColumns}. */
export function archiveRow(
  source: Source,
  place: { readonly partition: number; readonly offset: number; readonly appendedAt: number },
  event: Event,
): (number | string | boolean | null)[] {
  const row: (number | string | boolean | null)[] = [place.partition, place.offset, place.appendedAt];
  if (source.corrections === true) row.push(event.revision ?? 0, event.deleted ?? false);
  for (const name of Object.keys(source.fields)) row.push(event.values[name] ?? null);
  return row;
}

/** Which records of a source are looked at, and how far they are known. */
export interface Known {
  /** SQL of rows of the archive. */
  readonly rows: string;
  /** By partition: records from this offset on are not known. */
  readonly positions: readonly number[];
  /** How long an event can matter to the app, in milliseconds: {@link Plan.horizonMs}. */
  readonly horizonMs: number;
  /** Default `as-served`, by the position of each row. */
  readonly knowledge?: Knowledge;
}

/**
 * SQL that makes the table of a source's visible events from rows of the archive. An event's id and time are there twice, by the
 * names of their fields and as `_id` and `_time`, but stored once.
 *
 * Only records whose id comes more than once are sorted. A window over all of them, as it was before, took 2.6 s of CPU and 760 MiB for
 * 3 million records of which 1 % are repetitions, this 1.7 s and 400 MiB. Ids are grouped by their hash, which takes less memory than
 * their text: two ids with one hash are only looked at without need.
 *
 * Of a source with corrections it is each record that has a higher revision than all before it, deletions left out, with
 * `_until`: where the next of these lies, null when there is none. As of the positions K it is visible if
 * {@link visibleSql} says so; with `latest` knowledge those that are not as of `positions` are left out.
 */
export function eventsSql(source: Source, known: Known): string {
  const stored = identifier(`stored_${source.name}`);
  const id = identifier(source.id);
  const { rows } = known;
  if (source.corrections === true) {
    const versions = versionsSql(
      source,
      `(select * from ${rows} where ${belowSql(known)})`,
      known.knowledge === 'latest',
    );
    return `create temp table ${eventsTable(source.name)} as ${versions}`;
  }
  return `create temp table ${stored} as
with repeated as (select hash(${id}) as _hash from ${rows} group by 1 having count(*) > 1)
select * exclude (_appended_at) from ${rows} where hash(${id}) not in (from repeated) and ${belowSql(known)}
union all
select * exclude (_appended_at) from (
  ${countingSql(source, `(from ${rows} where hash(${id}) in (from repeated))`, known.horizonMs)}
) where ${belowSql(known)};
create temp view ${eventsTable(source.name)} as
select *, ${id} as _id, ${identifier(source.time)} as _time from ${stored}`;
}

/**
 * SQL of the visible events that meet a condition over the source's fields, in the order of the log. Of a source with corrections: all
 * records, below the positions, of the ids that have one that meets it; which of them counts is for the reader to say.
 */
export function eventsOfSql(source: Source, known: Known, condition: string): string {
  const id = identifier(source.id);
  // Which record of an id counts is decided among all of its records, also those that do not meet the condition.
  const rows = `(select r.* from ${known.rows} r
    semi join (select distinct _partition, ${id} from ${known.rows} where ${condition}) hit
    on hit._partition = r._partition and hit.${id} = r.${id})`;
  if (source.corrections === true)
    return `select * from ${rows} where ${belowSql(known)} order by _partition, _offset`;
  return `select * from (
  ${countingSql(source, rows, known.horizonMs)}
) where ${belowSql(known)} and (${condition}) order by _partition, _offset`;
}

/**
 * SQL of the records that count (rule 3), in the one place that decides it: those whose event time lies more than the horizon after
 * those of all earlier records with their id, in their partition. `rows` must have all records of the ids that are in it. That looks at
 * earlier offsets alone, so it does not matter that the positions cut last.
 */
function countingSql(source: Source, rows: string, horizonMs: number): string {
  const [id, time] = [identifier(source.id), identifier(source.time)];
  return `select * exclude (_newest) from (
    select *, max(${time}) over (partition by _partition, ${id} order by _offset
      rows between unbounded preceding and 1 preceding) as _newest
    from ${rows}
  ) where (_newest is null or ${time} > _newest + ${String(horizonMs)})`;
}

function belowSql({ positions }: Known): string {
  return `_offset < (${listSql(positions)})[_partition + 1]`;
}

/** A list of whole numbers as SQL. */
export function listSql(numbers: readonly number[]): string {
  return numbers.length === 0
    ? '[]::bigint[]'
    : `[${numbers.map((number) => String(number)).join(', ')}]::bigint[]`;
}

/** An event of the archive with its place in the log. */
export interface ArchivedEvent {
  readonly source: string;
  readonly partition: number;
  readonly offset: number;
  readonly event: Event;
}

/** The rows of a query over the columns of the archive, as events. */
export function archivedEvents(source: Source, result: ResultColumns): ArchivedEvent[] {
  const column = (name: string): NonNullable<ReturnType<ResultColumns['columns']['get']>> => {
    const values = result.columns.get(name);
    if (values === undefined) throw new PlatformError('INTERNAL', `The archive has no column '${name}'`);
    return values;
  };
  const partition = column('_partition');
  const offset = column('_offset');
  const fields = Object.keys(source.fields).map((name) => ({ name, values: column(name) }));
  const revisions = result.columns.get(REVISION_FIELD);
  const deletions = result.columns.get(DELETED_FIELD);
  const markOf = (row: number): EventMark | undefined => {
    // Numbers come with NaN for null.
    const revision = Number(revisions?.[row] ?? 0) || 0;
    if (source.corrections !== true || revision === 0) return undefined;
    return deletions?.[row] === true ? { revision, deleted: true } : { revision };
  };
  return Array.from({ length: result.rows }, (_, row) => {
    const values: Record<string, Value> = {};
    for (const field of fields) {
      const value = field.values[row] ?? null;
      // Numbers come with NaN for null, and no event has a NaN.
      values[field.name] = typeof value === 'number' && Number.isNaN(value) ? null : value;
    }
    const place = { source: source.name, partition: Number(partition[row]), offset: Number(offset[row]) };
    return { ...place, event: eventFromValues(source, values, markOf(row)) };
  });
}
