import { type Event, eventFromValues, PlatformError } from '../../../contract/index.ts';
import type { Source, Value } from '../../../define/index.ts';
import type { ColumnSpec, ResultColumns } from '../../../runtime/index.ts';
import { columnType, identifier } from './sql.ts';
import { eventsTable } from './point-in-time.ts';

/** Columns of the archive of a source: where the record lies in the log, then the event's fields by their names. */
export function archiveColumns(source: Source): ColumnSpec[] {
  return [
    { name: '_partition', type: 'int64' },
    { name: '_offset', type: 'int64' },
    { name: '_appended_at', type: 'int64' },
    ...Object.entries(source.fields).map(([name, field]) => ({ name, type: columnType(field) })),
  ];
}

/** A record of the archive, in the order of {@link archiveColumns}. */
export function archiveRow(
  source: Source,
  place: { readonly partition: number; readonly offset: number; readonly appendedAt: number },
  event: Event,
): (number | string | boolean | null)[] {
  const row: (number | string | boolean | null)[] = [place.partition, place.offset, place.appendedAt];
  for (const name of Object.keys(source.fields)) row.push(event.values[name] ?? null);
  return row;
}

/**
 * SQL that makes the table of a source's visible events from archive rows: the first record of each (partition, id), and
 * of those the ones below the positions. The first record has the smallest offset, so cutting last is the same.
 */
export function eventsSql(source: Source, rows: string, positions: readonly number[]): string {
  return `create temp table ${eventsTable(source.name)} as
select * exclude (_rank) from (
  select *, ${identifier(source.id)} as _id, ${identifier(source.time)} as _time,
    row_number() over (partition by _partition, ${identifier(source.id)} order by _offset) as _rank
  from ${rows}
) where _rank = 1 and _offset < (${listSql(positions)})[_partition + 1]`;
}

/**
 * SQL of the visible events that meet a condition over the source's fields, in the order of the log. Which record of an id is the
 * first is looked for among all of its records, also those that do not meet it.
 */
export function eventsOfSql(
  source: Source,
  rows: string,
  positions: readonly number[],
  condition: string,
): string {
  const id = identifier(source.id);
  return `select * exclude (_rank) from (
  select r.*, row_number() over (partition by r._partition, r.${id} order by r._offset) as _rank
  from ${rows} r semi join (select distinct _partition, ${id} from ${rows} where ${condition}) hit
    on hit._partition = r._partition and hit.${id} = r.${id}
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
  return Array.from({ length: result.rows }, (_, row) => {
    const values: Record<string, Value> = {};
    for (const field of fields) {
      const value = field.values[row] ?? null;
      // Numbers come with NaN for null, and no event has a NaN.
      values[field.name] = typeof value === 'number' && Number.isNaN(value) ? null : value;
    }
    const place = { source: source.name, partition: Number(partition[row]), offset: Number(offset[row]) };
    return { ...place, event: eventFromValues(source, values) };
  });
}
