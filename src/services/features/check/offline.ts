import { join } from 'node:path';
import type { Event, Positions } from '../../../contract/index.ts';
import type { Value } from '../../../define/index.ts';
import type { ResultColumns, Warehouse, WarehouseSession } from '../../../runtime/index.ts';
import type { ChosenPlan } from '../offline/choose-plan.ts';
import { computeGroup } from '../offline/compute-group.ts';
import {
  type ArchivedEvent,
  archiveColumns,
  archivedEvents,
  archiveRow,
  eventsSql,
} from '../offline/event-tables.ts';
import { outcomesSql } from '../offline/outcomes.ts';
import { candidateColumn, type Knowledge } from '../offline/point-in-time.ts';
import { createQueryTable, groupQueryTable, type QueryRow } from '../offline/query-table.ts';
import { expressionSql, literal } from '../offline/sql.ts';
import type { GroupPlan, Plan, SourcePlan, VectorPlan } from '../plan.ts';
import type { Arrival, Played, Read } from './play.ts';
import { PARTITIONS } from './stream.ts';
import type { Subject } from './subject.ts';

export type RowValues = readonly (number | null)[];

/** Every record is below these positions: each read is cut by its own. */
const ALL = Array.from({ length: PARTITIONS }, () => Number.MAX_SAFE_INTEGER);

/** Groups that are replayed are so in several portions of keys. */
const PORTION_EVENTS = 300;

/** A read and the index of its stream. */
export interface Asked {
  readonly read: Read;
  readonly stream: number;
}

/** By what is known, and how a group is computed; without that it is chosen as for datasets. */
export interface Way {
  readonly knowledge: Knowledge;
  readonly choose?: (group: GroupPlan) => ChosenPlan;
}

/** What a read would know had it come after everything else. */
export function everything(plan: Plan): Positions {
  return Object.fromEntries([...plan.sources.keys()].map((name) => [name, ALL]));
}

/**
 * Computes the reads of a vector by the statements that make datasets: the records of all streams go to Parquet, and one
 * statement a group answers all reads. The streams lie in one log, one behind the other; ids and keys are made different by stream.
 */
export async function offlineRows(
  warehouse: Warehouse,
  subject: Subject,
  vector: VectorPlan,
  played: readonly Played[],
  asked: readonly Asked[],
  way: Way = { knowledge: 'as-served' },
): Promise<RowValues[]> {
  const { plan } = subject;
  const mark = played.length === 1 ? (_: SourcePlan, event: Event) => event : marker(subject);
  const bases = basesOf(played);
  await using session = await warehouse.session();
  for (const source of vector.sources) {
    const records = played.flatMap((item, stream) =>
      item.arrivals
        .filter((arrival) => arrival.source === source.source.name)
        .map((arrival) => ({
          ...arrival,
          offset: arrival.offset + (bases[stream]?.[arrival.source]?.[arrival.partition] ?? 0),
          event: mark(source, arrival.event, stream),
        })),
    );
    const rows = await parquetOf(session, source, records);
    const { knowledge } = way;
    await session.run(
      eventsSql(source.source, { rows, positions: ALL, horizonMs: plan.horizonMs, knowledge }),
    );
  }
  const labels = plan.labels.filter((item) =>
    vector.groups.some((group) => item.groups.includes(group.index)),
  );
  for (const { label } of labels) await session.run(outcomesSql(label));
  const isOne = vector.groups.length === 1;
  const all = everything(plan);
  const rows = asked.map(({ read, stream }): QueryRow => {
    if (way.knowledge === 'latest') {
      const event = mark(vector.candidate, read.event, stream);
      return { event, asOf: read.asOf, positions: all };
    }
    const groups = read.positions.map((positions) => added(positions, bases[stream] ?? {}));
    const [first = {}] = groups;
    const event = mark(vector.candidate, read.event, stream);
    const at = { event, asOf: read.asOf, positions: first };
    return isOne ? at : { ...at, groups };
  });
  const isSplit = await createQueryTable(session, vector, PARTITIONS, rows);
  const columns = await valueColumns(session, vector, isSplit, way);
  return asked.map((_, row) => columns.map((column) => column.get(row) ?? null));
}

/** By stream, where its records begin in each partition of the common log. */
function basesOf(played: readonly Played[]): Positions[] {
  const heads: Positions = {};
  return played.map((item) => {
    const bases = Object.fromEntries(
      Object.entries(heads).map(([source, offsets]) => [source, [...offsets]]),
    );
    for (const { source, partition } of item.arrivals) {
      const offsets = (heads[source] ??= ALL.map(() => 0));
      offsets[partition] = (offsets[partition] ?? 0) + 1;
    }
    return bases;
  });
}

function added(positions: Positions, bases: Positions): Positions {
  return Object.fromEntries(
    Object.entries(positions).map(([source, offsets]) => [
      source,
      offsets.map((offset, partition) => offset + (bases[source]?.[partition] ?? 0)),
    ]),
  );
}

/**
 * Puts the number of the stream behind ids, keys of groups and what names an event. The partition stays that of the key as it
 * was.
 */
function marker(subject: Subject): (source: SourcePlan, event: Event, stream: number) => Event {
  const names = new Map<SourcePlan, readonly string[]>();
  for (const plan of subject.plan.sources.values()) {
    const { source, outcomes } = plan;
    const keys = [...subject.keys].filter((name) => {
      const kind = source.fields[name]?.kind;
      return kind === 'key' || kind === 'id';
    });
    names.set(plan, [...new Set([source.id, ...keys, ...outcomes.map(({ label }) => label.on)])]);
  }
  return (source, event, stream) => {
    const values: Record<string, Value> = { ...event.values };
    for (const name of names.get(source) ?? []) {
      const value = values[name] ?? null;
      if (value !== null) values[name] = `${String(value)}~${String(stream)}`;
    }
    return { ...event, values };
  };
}

/** The records as the archive gives them back, in the order of the log, by stream. */
export async function archivedRecords(
  warehouse: Warehouse,
  plan: Plan,
  played: readonly Played[],
): Promise<ArchivedEvent[][]> {
  await using session = await warehouse.session();
  const streams = played.map((): ArchivedEvent[] => []);
  for (const source of plan.sources.values()) {
    const found = played.flatMap((item, index) =>
      item.arrivals
        .filter((arrival) => arrival.source === source.source.name)
        .map((arrival) => ({ arrival, index })),
    );
    // Rows come back in the order in which they were written: where two streams have the same place, too.
    const rows = await parquetOf(
      session,
      source,
      found.map(({ arrival }) => arrival),
    );
    const result = await session.query(`select * from ${rows} order by _row`);
    for (const [row, event] of archivedEvents(source.source, result).entries())
      streams[found[row]?.index ?? -1]?.push(event);
  }
  return streams;
}

/** Writes a source's records to Parquet, as the archive does; SQL of the rows, numbered by `_row`. */
async function parquetOf(
  session: WarehouseSession,
  source: SourcePlan,
  records: readonly Arrival[],
): Promise<string> {
  const { name } = source.source;
  const table = `raw_${name}`;
  const appender = await session.append(table, [
    ...archiveColumns(source.source),
    { name: '_row', type: 'int64' },
  ]);
  let count = 0;
  for (const record of records) {
    if (record.source !== name) continue;
    appender.row([...archiveRow(source.source, record, record.event), count]);
    count += 1;
  }
  await appender.close();
  const path = literal(join(session.scratch, `${table}.parquet`));
  await session.run(`copy (select * from "${table}") to ${path} (format parquet)`);
  return `read_parquet(${path})`;
}

/** Values by the number of the read: a statement that makes too few rows or too many must not shift the others. */
type ValueColumn = ReadonlyMap<number, number | null>;

async function valueColumns(
  session: WarehouseSession,
  vector: VectorPlan,
  isSplit: boolean,
  { knowledge, choose }: Way,
): Promise<ValueColumn[]> {
  const tables = new Map<number, ResultColumns>();
  for (const [index, group] of vector.groups.entries()) {
    const table = isSplit ? groupQueryTable(group.index) : 'q';
    await computeGroup(session, {
      group,
      candidate: vector.candidate,
      knowledge,
      rows: table,
      pause: () => Promise.resolve(),
      portionEvents: PORTION_EVENTS,
      ...(choose === undefined ? {} : { chosen: choose(group) }),
    });
    tables.set(index, await session.query(`select * from group_${String(group.index)} order by q`));
  }
  const expressions = vector.vector.values.flatMap((value, index) =>
    value.from === 'candidate'
      ? [`(${expressionSql(value.expression, candidateColumn)})::double as value_${String(index)}`]
      : [],
  );
  if (expressions.length > 0)
    tables.set(-1, await session.query(`select q, ${expressions.join(', ')} from q order by q`));
  return vector.values.map((value, index) =>
    value.from === 'group'
      ? columnOf(tables.get(value.group), `feature_${String(value.index)}`)
      : columnOf(tables.get(-1), `value_${String(index)}`),
  );
}

function columnOf(result: ResultColumns | undefined, name: string): ValueColumn {
  const column = new Map<number, number | null>();
  const reads = result?.columns.get('q') ?? [];
  const values = result?.columns.get(name) ?? [];
  for (let row = 0; row < reads.length; row += 1) {
    const value = values[row];
    column.set(Number(reads[row]), typeof value !== 'number' || Number.isNaN(value) ? null : value);
  }
  return column;
}
