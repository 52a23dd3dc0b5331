import { PlatformError, type PollStatus } from '../../contract/index.ts';
import type { PolledTable, TableRow, Tables } from '../../runtime/index.ts';

/** How far a table was read, and what went wrong. */
export interface PollState {
  readonly cursor: { readonly updatedAtUs: number; readonly id: string } | undefined;
  readonly epoch: number;
}

interface PollRow extends TableRow {
  readonly cursor_us: number | null;
  readonly cursor_id: string | null;
  readonly accepted: number;
  readonly quarantined: number;
  readonly caught_up_at: number | null;
  readonly read_at: number | null;
  readonly behind_ms: number | null;
  readonly error_code: string | null;
  readonly error_reason: string | null;
  readonly error_at: number | null;
}

// Another table begins at its beginning.
const TAKE = `
insert into ingest_poll as known (source, table_name, epoch) values ($1, $2, $3)
on conflict (source) do update set
  epoch = excluded.epoch, table_name = excluded.table_name,
  cursor_us = case when known.table_name = excluded.table_name then known.cursor_us end,
  cursor_id = case when known.table_name = excluded.table_name then known.cursor_id end
where known.epoch <= excluded.epoch
returning cursor_us, cursor_id`;

/** Begins to write with this epoch. Rejects with FENCED when somebody with a later one has begun. */
export async function takePoll(
  tables: Tables,
  source: string,
  { table, epoch }: { readonly table: PolledTable; readonly epoch: number },
): Promise<PollState> {
  const [row] = await tables.query<Pick<PollRow, 'cursor_us' | 'cursor_id'>>(TAKE, [
    source,
    `${table.variable} ${table.table}`,
    epoch,
  ]);
  if (row === undefined) throw fenced(source, epoch);
  const { cursor_us, cursor_id } = row;
  return {
    epoch,
    cursor: cursor_us === null || cursor_id === null ? undefined : { updatedAtUs: cursor_us, id: cursor_id },
  };
}

/** What one page came to. */
export interface PollProgress extends PollState {
  readonly accepted: number;
  readonly quarantined: number;
  /** By the clock of the service, in milliseconds since 1970. */
  readonly readAt: number;
  /** Whether the table was read to its end. */
  readonly isCaughtUp: boolean;
  /** How old the newest state that was read is, in milliseconds. */
  readonly behindMs: number;
}

/** Notes that everything up to the cursor is durable. Rejects with FENCED when the claim was taken over; nothing is noted then. */
export async function notePage(tables: Tables, source: string, progress: PollProgress): Promise<void> {
  const rows = await tables.query(
    `update ingest_poll set cursor_us = $3, cursor_id = $4, accepted = accepted + $5, quarantined = quarantined + $6,
       read_at = $7, caught_up_at = case when $8 then $7 else caught_up_at end, behind_ms = $9,
       error_code = null, error_reason = null, error_at = null
     where source = $1 and epoch = $2 returning 1`,
    [
      source,
      progress.epoch,
      progress.cursor?.updatedAtUs ?? null,
      progress.cursor?.id ?? null,
      progress.accepted,
      progress.quarantined,
      progress.readAt,
      progress.isCaughtUp,
      progress.behindMs,
    ],
  );
  if (rows.length === 0) throw fenced(source, progress.epoch);
}

/** Notes what went wrong. */
export async function noteFailure(
  tables: Tables,
  source: string,
  failure: {
    readonly epoch: number;
    readonly code: string;
    readonly reason: string;
    readonly at: number;
  },
): Promise<void> {
  await tables.query(
    'update ingest_poll set error_code = $3, error_reason = $4, error_at = $5 where source = $1 and epoch = $2',
    [source, failure.epoch, failure.code, failure.reason, failure.at],
  );
}

/** How the polling of a source stands at `now`, for people. */
export async function readPollStatus(
  tables: Tables,
  source: string,
  { table, now }: { readonly table: PolledTable; readonly now: number },
): Promise<PollStatus> {
  const [row] = await tables.query<PollRow>('select * from ingest_poll where source = $1', [source]);
  const { cursor_us: us = null, cursor_id: id = null, error_code: code = null } = row ?? {};
  const { read_at: readAt = null, behind_ms: behind = null } = row ?? {};
  return {
    table: table.table,
    everyMs: table.everyMs,
    accepted: row?.accepted ?? 0,
    quarantined: row?.quarantined ?? 0,
    cursor: us === null || id === null ? null : { updatedAt: instantOf(us), id },
    caughtUpAt: row?.caught_up_at ?? null,
    lagMs: readAt === null || behind === null ? null : behind + Math.max(0, now - readAt),
    error: code === null ? null : { code, reason: row?.error_reason ?? '', at: row?.error_at ?? 0 },
  };
}

/** Microseconds since 1970 as an instant in ISO 8601. */
export function instantOf(us: number): string {
  const rest = ((us % 1_000) + 1_000) % 1_000;
  return new Date(Math.floor(us / 1_000)).toISOString().replace('Z', `${String(rest).padStart(3, '0')}Z`);
}

function fenced(source: string, epoch: number): PlatformError {
  return new PlatformError('FENCED', `Another process polls the table of '${source}' now`, {
    details: { source, epoch },
  });
}
