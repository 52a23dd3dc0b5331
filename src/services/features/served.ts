import { type Event, eventFromValues, type Positions, servedTopic } from '../../contract/index.ts';
import type { Values } from '../../define/index.ts';
import type { EventLog } from '../../runtime/index.ts';
import type { QueryRow } from './offline/query-table.ts';
import type { VectorPlan } from './plan.ts';

/** Most rows in one record of the receipts' topic: keeps it far below the log's largest record. */
const ROWS_PER_RECORD = 500;
const READ_RECORDS_MAX = 1_000;

/**
 * The form of a receipts record. A row: the candidate's values, the instant, what was served, and for rows that were read
 * from several owners which positions each group was read at (as in the answer of the read).
 */
interface ServedRecord {
  readonly hash: string;
  readonly positions: Positions;
  readonly others?: readonly Positions[];
  readonly rows: readonly (readonly [Values, number, readonly (number | null)[], (readonly number[])?])[];
}

export interface ServedRow {
  readonly event: Event;
  readonly asOf: number;
  readonly values: readonly (number | null)[];
  readonly groups?: readonly number[] | undefined;
}

/** Makes receipts of rows that were read together durable. */
export async function recordServed(
  log: EventLog,
  vector: VectorPlan,
  at: { readonly positions: Positions; readonly others?: readonly Positions[] | undefined },
  rows: readonly ServedRow[],
): Promise<void> {
  const records: Uint8Array[] = [];
  for (let first = 0; first < rows.length; first += ROWS_PER_RECORD) {
    const record: ServedRecord = {
      hash: vector.vector.hash,
      positions: at.positions,
      ...(at.others === undefined ? {} : { others: at.others }),
      rows: rows
        .slice(first, first + ROWS_PER_RECORD)
        .map((row) =>
          row.groups === undefined
            ? [row.event.values, row.asOf, row.values]
            : [row.event.values, row.asOf, row.values, row.groups],
        ),
    };
    records.push(Buffer.from(JSON.stringify(record), 'utf8'));
  }
  await log.append(servedTopic(vector.vector.name), 0, records);
}

/**
 * Receipts of the vector's present version for candidates with an event time in [from, to), in the order of the log, below the
 * position `receipts` of their topic.
 */
export async function readServed(
  log: EventLog,
  vector: VectorPlan,
  {
    from,
    to,
    receipts = Number.POSITIVE_INFINITY,
  }: { readonly from: number; readonly to: number; readonly receipts?: number | undefined },
): Promise<QueryRow[]> {
  const topic = servedTopic(vector.vector.name);
  const { source } = vector.candidate;
  const rows: QueryRow[] = [];
  let offset = (await log.ranges(topic))[0]?.first ?? 0;
  for (;;) {
    const batches = await log.read(topic, 0, offset, { maxRecords: READ_RECORDS_MAX });
    if (batches.length === 0) return rows;
    for (const batch of batches) {
      for (let index = Math.max(0, offset - batch.base); index < batch.count; index += 1) {
        if (batch.base + index >= receipts) return rows;
        const record = JSON.parse(Buffer.from(batch.record(index)).toString('utf8')) as ServedRecord;
        if (record.hash !== vector.vector.hash) continue;
        for (const [values, asOf, served, groups] of record.rows) {
          const event = eventFromValues(source, values);
          if (event.time < from || event.time >= to) continue;
          const { positions, others = [] } = record;
          rows.push({
            event,
            asOf,
            positions,
            served,
            ...(groups === undefined
              ? {}
              : { groups: groups.map((set) => [positions, ...others][set] ?? positions) }),
          });
        }
      }
      offset = batch.base + batch.count;
    }
  }
}
