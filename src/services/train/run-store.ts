import {
  type GateVerdict,
  PlatformError,
  type Run,
  type RunReason,
  type SearchStatus,
} from '../../contract/index.ts';
import type { Tables } from '../../runtime/index.ts';
import { type StepStatus, waitingSteps } from './steps.ts';

export type RunState = Run['state'];

/** A run with what only the service needs to know. */
export interface StoredRun extends Run {
  readonly reason: RunReason;
  /** Its place in the order of waiting runs. */
  readonly turn: number;
  /** What the caller asked for. */
  readonly askedAsOf: number | null;
  readonly epoch: number;
}

/** How a run ended. */
export interface RunEnd {
  readonly state: 'done' | 'failed';
  readonly version: number | null;
  readonly error: string | null;
}

export interface NewRun {
  readonly id: string;
  readonly model: string;
  readonly asOf: number | undefined;
  readonly createdAt: number;
  readonly idempotencyKey: string | undefined;
  readonly reason: RunReason;
  /** How the search of a tuned trainer stands. */
  readonly search?: SearchStatus | undefined;
}

export interface RunRow extends Record<string, unknown> {
  readonly id: string;
  readonly model: string;
  readonly state: RunState;
  readonly epoch: number;
  readonly reason: RunReason;
  readonly turn: number;
  readonly asked_as_of: number | null;
  readonly as_of: number | null;
  readonly created_at: number;
  readonly finished_at: number | null;
  readonly steps: StepStatus[];
  readonly metrics: Record<string, number>;
  readonly gates: GateVerdict[];
  readonly version: number | null;
  readonly error: string | null;
  readonly search: SearchStatus | null;
}

/** What {@link toRun} reads. */
export const RUN_COLUMNS = `
  id, model, state, epoch, reason, turn, asked_as_of, as_of, created_at, finished_at, steps, metrics, gates, version,
  error, search`;

const IS_OPEN = `state in ('queued', 'running')`;

/**
 * Start-time fair queuing: a run's turn is one after the newest of its model, but not before what has begun. So a model with
 * a hundred waiting runs keeps another one's first run waiting for one of them, not for all.
 */
const INSERT = `
insert into train_run
  (id, model, state, asked_as_of, as_of, created_at, steps, metrics, gates, idempotency_key, reason, search, turn)
values ($1, $2, 'queued', $3, $3, $4, $5, '{}', '[]', $6, $7, $8, 1 + greatest(
  coalesce((select max(turn) from train_run where epoch > 0), 0),
  coalesce((select max(turn) from train_run where model = $2), 0)))
on conflict (model, idempotency_key) do nothing
returning ${RUN_COLUMNS}`;

const FIND = `select ${RUN_COLUMNS} from train_run where id = $1`;

const FIND_OPEN = `select id from train_run where id = $1 and ${IS_OPEN}`;

const FIND_BY_KEY = `select ${RUN_COLUMNS} from train_run where model = $1 and idempotency_key = $2`;

const LIST = `
select ${RUN_COLUMNS} from train_run
where model = $1 and ($2::text is null or id < $2::text) order by id desc limit $3`;

const LIST_OPEN = `select ${RUN_COLUMNS} from train_run where ${IS_OPEN} order by id limit $1`;

const LOCK_LIMIT = 'select single from train_limit for update';

const RUNNING = `
select count(*)::int as all_runs, (count(*) filter (where model = (select model from train_run where id = $1)))::int as own
from train_run where state = 'running' and id <> $1`;

const CLAIM = `
update train_run set state = 'running', epoch = epoch + 1 where id = $1 and ${IS_OPEN} returning ${RUN_COLUMNS}`;

const SET_AS_OF = `
update train_run set as_of = $3 where id = $1 and epoch = $2 and state = 'running' returning id`;

const SET_PROGRESS = `
update train_run set steps = $3, metrics = $4, gates = $5, search = $6
where id = $1 and epoch = $2 and state = 'running' returning id`;

const RELEASE = `update train_run set state = 'queued' where id = $1 and epoch = $2 and state = 'running'`;

const LOCK = `select id from train_run where id = $1 and epoch = $2 and ${IS_OPEN} for update`;

const NOTE_STEPS = `
update train_run set steps_granted = done.steps
from (select count(*)::integer as steps from train_step where run = $1) as done
where id = $1 and steps_granted < done.steps returning id`;

const FINISH = `
update train_run set state = $3, version = $4, error = $5, finished_at = $6
where id = $1 and epoch = $2 and ${IS_OPEN} returning id`;

const CANCEL = `
update train_run set state = 'cancelled', finished_at = $2 where id = $1 and ${IS_OPEN} returning ${RUN_COLUMNS}`;

/** Stores a new run; `undefined` when its idempotency key came before. */
export async function insertRun(tables: Tables, run: NewRun): Promise<StoredRun | undefined> {
  const { id, model, asOf = null, createdAt, idempotencyKey = null, reason, search } = run;
  const steps = JSON.stringify(waitingSteps());
  const values = [id, model, asOf, createdAt, steps, idempotencyKey, reason, jsonOf(search)];
  return toRun((await tables.query<RunRow>(INSERT, values))[0]);
}

export async function findRun(tables: Tables, id: string): Promise<StoredRun | undefined> {
  return id.includes('\0') ? undefined : toRun((await tables.query<RunRow>(FIND, [id]))[0]);
}

export async function findRunByKey(
  tables: Tables,
  model: string,
  key: string,
): Promise<StoredRun | undefined> {
  return toRun((await tables.query<RunRow>(FIND_BY_KEY, [model, key]))[0]);
}

/** Runs of a model made before `after`, newest first: ids made later sort later. */
export async function listModelRuns(
  tables: Tables,
  model: string,
  page: { readonly after: string | null; readonly limit: number },
): Promise<StoredRun[]> {
  return (await tables.query<RunRow>(LIST, [model, page.after, page.limit])).flatMap(
    (row) => toRun(row) ?? [],
  );
}

/** Runs that are neither done nor failed nor cancelled, oldest first. */
export async function listOpenRuns(tables: Tables, limit: number): Promise<StoredRun[]> {
  return (await tables.query<RunRow>(LIST_OPEN, [limit])).flatMap((row) => toRun(row) ?? []);
}

/** How many runs may be worked on at a time, in all processes. */
export interface RunLimits {
  readonly runsMax: number;
  readonly modelRunsMax: number;
}

/**
 * Begins an attempt at a run: from now on only it may write. `undefined` when the run has ended or is not
 * known, `'full'` while as many others run as may.
 */
export function claimRun(
  tables: Tables,
  id: string,
  { runsMax, modelRunsMax }: RunLimits,
): Promise<StoredRun | 'full' | undefined> {
  return tables.transaction(async (tx) => {
    await tx.query(LOCK_LIMIT);
    const [running] = await tx.query<{ readonly all_runs: number; readonly own: number }>(RUNNING, [id]);
    const { all_runs: all = 0, own = 0 } = running ?? {};
    if (all >= runsMax || own >= modelRunsMax) {
      return (await tx.query(FIND_OPEN, [id])).length > 0 ? 'full' : undefined;
    }
    return toRun((await tx.query<RunRow>(CLAIM, [id]))[0]);
  });
}

/** The right of one attempt to write to its run. */
export interface RunClaim {
  readonly id: string;
  readonly epoch: number;
}

/** Notes the instant whose knowledge the run uses. Rejects with FENCED. */
export async function setAsOf(tables: Tables, { id, epoch }: RunClaim, asOf: number): Promise<void> {
  assertHeld(await tables.query(SET_AS_OF, [id, epoch, asOf]), id);
}

/** Writes the steps and what is known of the result. Rejects with FENCED. */
export async function setProgress(
  tables: Tables,
  { id, epoch }: RunClaim,
  now: Pick<Run, 'steps' | 'metrics' | 'gates'> & { readonly search: SearchStatus | null },
): Promise<void> {
  const { steps, metrics, gates, search } = now;
  const values = [
    id,
    epoch,
    ...[steps, metrics, gates].map((value) => JSON.stringify(value)),
    jsonOf(search),
  ];
  assertHeld(await tables.query(SET_PROGRESS, values), id);
}

/** Gives the run back to whoever attempts it next. */
export async function releaseRun(tables: Tables, { id, epoch }: RunClaim): Promise<void> {
  await tables.query(RELEASE, [id, epoch]);
}

/** Keeps everybody else from the run until the transaction ends. `false` when another attempt holds it or it has ended. */
export async function lockRun(tx: Tables, { id, epoch }: RunClaim): Promise<boolean> {
  return (await tx.query(LOCK, [id, epoch])).length > 0;
}

/** Notes the steps that the run has done. `false` when there are none since it was last noted. */
export async function noteSteps(tx: Tables, id: string): Promise<boolean> {
  return (await tx.query(NOTE_STEPS, [id])).length > 0;
}

/** Ends the run. `false` when another attempt holds it or it has ended. */
export async function finishRun(
  tables: Tables,
  { id, epoch }: RunClaim,
  end: RunEnd,
  at: number,
): Promise<boolean> {
  const values = [id, epoch, end.state, end.version, end.error, at];
  return (await tables.query(FINISH, values)).length > 0;
}

/** Marks the run as cancelled. `undefined` when it has ended already. */
export async function cancelOpenRun(tables: Tables, id: string, at: number): Promise<StoredRun | undefined> {
  return id.includes('\0') ? undefined : toRun((await tables.query<RunRow>(CANCEL, [id, at]))[0]);
}

/** The run as its callers see it. */
export function publicRun({ askedAsOf: _asked, epoch: _epoch, turn: _turn, ...run }: StoredRun): Run {
  return run;
}

/** SQL's NULL for nothing, not that of JSON. */
function jsonOf(value: SearchStatus | null | undefined): string | null {
  return value === null || value === undefined ? null : JSON.stringify(value);
}

function assertHeld(rows: readonly unknown[], id: string): void {
  if (rows.length > 0) return;
  throw new PlatformError('FENCED', `Run ${id} was cancelled or goes on in another process`);
}

export function toRun(row: RunRow | undefined): StoredRun | undefined {
  if (row === undefined) return undefined;
  const {
    asked_as_of: askedAsOf,
    as_of: asOf,
    created_at: createdAt,
    finished_at: finishedAt,
    search,
    ...rest
  } = row;
  const run = { ...rest, askedAsOf, asOf, createdAt, finishedAt };
  return search === null ? run : { ...run, search };
}
