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
import { columnType, identifier } from './sql.ts';
import { eventsTable, type Knowledge } from './point-in-time.ts';
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

/**
 * SQL that makes the table of a source's visible events from archive rows: the first record of each (partition, id), and
 * of those the ones below the positions. The first record has the smallest offset, so cutting last is the same.
 *
 * Of a source with corrections it is each record that has a higher revision than all before it, deletions left out, with
 * `_until`: where the next of these lies, null when there is none. As of the positions K it is visible if
 * {@link visibleSql} says so; with `latest` knowledge those that are not as of `positions` are left out.
 */
export function eventsSql(
  source: Source,
  rows: string,
  positions: readonly number[],
  knowledge: Knowledge = 'as-served',
): string {
  if (source.corrections === true) {
    const below = `(select * from ${rows} where _offset < (${listSql(positions)})[_partition + 1])`;
    return `create temp table ${eventsTable(source.name)} as ${versionsSql(source, below, knowledge === 'latest')}`;
  }
  return `create temp table ${eventsTable(source.name)} as
select * exclude (_rank) from (
  select *, ${identifier(source.id)} as _id, ${identifier(source.time)} as _time,
    row_number() over (partition by _partition, ${identifier(source.id)} order by _offset) as _rank
  from ${rows}
) where _rank = 1 and _offset < (${listSql(positions)})[_partition + 1]`;
}

/**
 * SQL of the visible events that meet a condition over the source's fields, in the order of the log. Which record of an id is the
 * first is looked for among all of its records, also those that do not meet it. Of a source with corrections: all records, below the
 * positions, of the ids that have one that meets it; which of them counts is for the reader to say.
 */
export function eventsOfSql(
  source: Source,
  rows: string,
  positions: readonly number[],
  condition: string,
): string {
  const id = identifier(source.id);
  const hits = `(select distinct _partition, ${id} from ${rows} where ${condition}) hit
    on hit._partition = r._partition and hit.${id} = r.${id}`;
  if (source.corrections === true) {
    return `select r.* from ${rows} r semi join ${hits}
where r._offset < (${listSql(positions)})[r._partition + 1] order by r._partition, r._offset`;
  }
  return `select * exclude (_rank) from (
  select r.*, row_number() over (partition by r._partition, r.${id} order by r._offset) as _rank
  from ${rows} r semi join ${hits}
) where _rank = 1 and _offset < (${listSql(positions)})[_partition + 1] and (${condition})
order by _partition, _offset`;
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
