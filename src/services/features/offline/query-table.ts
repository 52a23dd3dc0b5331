import { type Event, partitionOf, type Positions } from '../../../contract/index.ts';
import type { ColumnSpec, WarehouseSession } from '../../../runtime/index.ts';
import { PLACE_SQL } from '../place.ts';
import type { VectorPlan } from '../plan.ts';
import { candidateColumn, positionsColumn } from './point-in-time.ts';
import { eventsTable, columnType, identifier } from './sql.ts';
import { visibleSql } from './visibility.ts';

/** One vector to compute offline: what was decided on, and what was known. */
export interface QueryRow {
  readonly event: Event;
  readonly asOf: number;
  /** The same object for rows that were read together. */
  readonly positions: Positions;
  /** For each group of the vector, when its groups were read from several owners: positions of its own, as above. */
  readonly groups?: readonly Positions[];
  /** What was served, where that is known. */
  readonly served?: readonly (number | null)[];
}

/** Name of the table of rows that a group's features are computed for, where rows were read from several owners. */
export function groupQueryTable(group: number): string {
  return `q_${String(group)}`;
}

/**
 * Makes table `q` from served rows (see `groupSql`), numbered in their order. The candidate's place is where its record
 * lies (the last event with its id) if it was already visible at the row's positions and can still matter. Needs the events table of the candidate's source.
 *
 * `true` when some rows were read from several owners: then each group of the vector has a {@link groupQueryTable} with the
 * positions and places that hold for it.
 */
export async function createQueryTable(
  session: WarehouseSession,
  vector: VectorPlan,
  partitions: number,
  rows: readonly QueryRow[],
): Promise<boolean> {
  const { source } = vector.candidate;
  const fields = Object.entries(source.fields);
  const served = vector.names.map((name) => `served_${name}`);
  const split = rows.some((row) => row.groups !== undefined);
  const groupReads = split ? vector.groups.map((_, index) => `read_${String(index)}`) : [];
  const columns: ColumnSpec[] = [
    { name: 'q', type: 'int64' },
    { name: 'as_of', type: 'int64' },
    { name: 'read', type: 'int64' },
    ...groupReads.map((name) => ({ name, type: 'int64' as const })),
    { name: 'partition', type: 'int64' },
    ...fields.map(([name, field]) => ({ name: `candidate_${name}`, type: columnType(field) })),
    ...served.map((name) => ({ name, type: 'float64' as const })),
  ];
  const reads = new Map<Positions, number>();
  const readOf = (positions: Positions): number => {
    const read = reads.get(positions) ?? reads.size;
    reads.set(positions, read);
    return read;
  };
  const appender = await session.append('q_rows', columns);
  for (const [q, row] of rows.entries()) {
    appender.row([
      q,
      row.asOf,
      readOf(row.positions),
      ...groupReads.map((_, index) => readOf(row.groups?.[index] ?? row.positions)),
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
  const known = visibleSql(source, 'e', `r.${positionsColumn(source.name)}[q_rows.partition + 1]`);
  const tableSql = (table: string, read: string): string => `create temp table ${table} as
with r as (select read, ${positions.join(', ')} from q_reads),
stored as (
  select q_rows.q, max(${PLACE_SQL}) as place, arg_max(e._time, e._offset) as stored_at
  from q_rows join r on r.read = q_rows.${read}
  join ${eventsTable(source.name)} e on e._id = q_rows.${candidateColumn(source.id)}
    and e._partition = q_rows.partition and ${known.join(' and ')}
  group by q_rows.q
)
select q_rows.*, r.* exclude (read), stored.place, stored.stored_at
from q_rows join r on r.read = q_rows.${read}
left join stored on stored.q = q_rows.q and stored.stored_at >= q_rows.as_of - ${String(vector.horizonMs)}`;
  await session.run(tableSql('q', 'read'));
  for (const [index, read] of groupReads.entries()) {
    const group = vector.groups[index];
    if (group !== undefined) await session.run(tableSql(groupQueryTable(group.index), read));
  }
  return split;
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
