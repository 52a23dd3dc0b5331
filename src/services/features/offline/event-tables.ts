import type { Event } from '../../../contract/index.ts';
import type { Source } from '../../../define/index.ts';
import type { ColumnSpec } from '../../../runtime/index.ts';
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

/** A list of whole numbers as SQL. */
export function listSql(numbers: readonly number[]): string {
  return numbers.length === 0
    ? '[]::bigint[]'
    : `[${numbers.map((number) => String(number)).join(', ')}]::bigint[]`;
}
