import { type Event, partitionOf, type Positions } from '../../../contract/index.ts';
import type { ColumnSpec, WarehouseSession } from '../../../runtime/index.ts';
import { PLACE_SQL } from '../place.ts';
import type { VectorPlan } from '../plan.ts';
import { candidateColumn, eventsTable, positionsColumn } from './point-in-time.ts';
import { columnType, identifier } from './sql.ts';

/** One vector to compute offline: what was decided on, and what was known. */
export interface QueryRow {
  readonly event: Event;
  readonly asOf: number;
  /** The same object for rows that were read together. */
  readonly positions: Positions;
  /** What was served, where that is known. */
  readonly served?: readonly (number | null)[];
}

/**
 * Makes table `q` from served rows (see `groupSql`), numbered in their order. The candidate's place is where its record
 * lies if it was already visible at the row's positions and can still matter. Needs the events table of the candidate's source.
 */
export async function createQueryTable(
  session: WarehouseSession,
  vector: VectorPlan,
  partitions: number,
  rows: readonly QueryRow[],
): Promise<void> {
  const { source } = vector.candidate;
  const fields = Object.entries(source.fields);
  const served = vector.names.map((name) => `served_${name}`);
  const columns: ColumnSpec[] = [
    { name: 'q', type: 'int64' },
    { name: 'as_of', type: 'int64' },
    { name: 'read', type: 'int64' },
    { name: 'partition', type: 'int64' },
    ...fields.map(([name, field]) => ({ name: `candidate_${name}`, type: columnType(field) })),
    ...served.map((name) => ({ name, type: 'float64' as const })),
  ];
  const reads = new Map<Positions, number>();
  const appender = await session.append('q_rows', columns);
  for (const [q, row] of rows.entries()) {
    const read = reads.get(row.positions) ?? reads.size;
    reads.set(row.positions, read);
    appender.row([
      q,
      row.asOf,
      read,
      partitionOf(row.event.key, partitions),
      ...fields.map(([name]) => row.event.values[name] ?? null),
      ...served.map((_, index) => row.served?.[index] ?? null),
    ]);
  }
  await appender.close();
  const names = vector.sources.map((plan) => plan.source.name);
  const readAppender = await session.append('q_reads', [
    { name: 'read', type: 'int64' },
    ...names.map((name) => ({ name: `positions_${name}`, type: 'string' as const })),
  ]);
  for (const [positions, read] of reads) {
    readAppender.row([read, ...names.map((name) => JSON.stringify(positions[name] ?? []))]);
  }
  await readAppender.close();
  const positions = names.map((name) => `${positionsColumn(name)}::bigint[] as ${positionsColumn(name)}`);
  // The row's partition, not the event's: a condition with both sides in one term would keep the join from hashing.
  const known = `e._offset < r.${positionsColumn(source.name)}[q_rows.partition + 1]`;
  await session.run(`create temp table q as
with r as (select read, ${positions.join(', ')} from q_reads)
select q_rows.*, r.* exclude (read), case when e._id is not null then ${PLACE_SQL} end as place,
  e._time as stored_at
from q_rows join r on r.read = q_rows.read
left join ${eventsTable(source.name)} e on e._id = q_rows.${candidateColumn(source.id)}
  and e._partition = q_rows.partition and ${known}
  and e._time >= q_rows.as_of - ${String(vector.horizonMs)}`);
}

/**
 * Makes table `q` from the stored events of the candidate's source with an event time in [from, to): each is decided on
 * at its own time.
 */
export function storedQueryTableSql(vector: VectorPlan, from: number, to: number): string {
  const { source } = vector.candidate;
  const fields = Object.keys(source.fields).map((name) => `${identifier(name)} as ${candidateColumn(name)}`);
  return `create temp table q as
select row_number() over (order by _time, _partition, _offset) - 1 as q, _time as as_of, _partition as partition,
  ${PLACE_SQL} as place, _time as stored_at, ${fields.join(', ')}
from ${eventsTable(source.name)} where _time >= ${String(from)} and _time < ${String(to)}`;
}
