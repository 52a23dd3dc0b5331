import type { Tables } from '../../runtime/index.ts';
import type { ScheduledEnd } from './due.ts';
import { RUN_COLUMNS, type RunRow, type StoredRun, toRun } from './run-store.ts';

/** Runs of a schedule that are looked at to see how many failed one after another. */
const ENDS_MAX = 8;

/** What a rule of a model has asked for so far. */
export interface RuleState {
  readonly settledAt: number | null;
  readonly labelsSeen: number | null;
}

interface RuleRow extends Record<string, unknown> {
  readonly settled_at: number | null;
  readonly labels_seen: number | null;
}

const ADD_MODEL = 'insert into train_schedule (model) values ($1) on conflict do nothing';

const LOCK_MODEL = 'select paused_at from train_schedule where model = $1 for update';

const READ_PAUSE = 'select paused_at from train_schedule where model = $1';

const PAUSE = 'update train_schedule set paused_at = $2 where model = $1';

const READ_RULE = 'select settled_at, labels_seen from train_schedule_rule where model = $1 and rule = $2';

const NOTE_RULE = `
insert into train_schedule_rule (model, rule, settled_at, labels_seen) values ($1, $2, $3, $4)
on conflict (model, rule) do update set settled_at = $3, labels_seen = $4`;

const HAS_OPEN = `
select 1 as found from train_run
where model = $1 and reason <> 'asked' and state in ('queued', 'running') limit 1`;

const ENDS = `
select state, finished_at from train_run
where model = $1 and reason <> 'asked' and state in ('done', 'failed') order by id desc limit ${String(ENDS_MAX)}`;

const LAST_RUN = `
select ${RUN_COLUMNS} from train_run where model = $1 and reason <> 'asked' order by id desc limit 1`;

/** A run as of an instant that somebody named may know less than there was, and is left out. */
const KNOWN = `
select step.output -> 'positions' -> $2::text as positions
from train_run run join train_step step on step.run = run.id and step.step = 'dataset'
where run.model = $1 and run.state = 'done' and run.asked_as_of is null
order by run.id desc limit 1`;

/** Keeps everybody else from deciding about the model until the transaction ends. Resolves to since when it is paused. */
export async function lockSchedule(tx: Tables, model: string): Promise<number | null> {
  await tx.query(ADD_MODEL, [model]);
  const [row] = await tx.query<{ readonly paused_at: number | null }>(LOCK_MODEL, [model]);
  return row?.paused_at ?? null;
}

/** Since when the model is paused. */
export async function readPause(tables: Tables, model: string): Promise<number | null> {
  const [row] = await tables.query<{ readonly paused_at: number | null }>(READ_PAUSE, [model]);
  return row?.paused_at ?? null;
}

export async function notePause(tx: Tables, model: string, pausedAt: number | null): Promise<void> {
  await tx.query(PAUSE, [model, pausedAt]);
}

export async function readRule(tables: Tables, model: string, rule: string): Promise<RuleState> {
  const [row] = await tables.query<RuleRow>(READ_RULE, [model, rule]);
  return { settledAt: row?.settled_at ?? null, labelsSeen: row?.labels_seen ?? null };
}

/** The caller holds the lock of {@link lockSchedule}. */
export async function noteRule(
  tx: Tables,
  { model, rule }: { readonly model: string; readonly rule: string },
  { settledAt, labelsSeen }: RuleState,
): Promise<void> {
  await tx.query(NOTE_RULE, [model, rule, settledAt, labelsSeen]);
}

/** Whether a run of the model that a rule queued has not ended. */
export async function hasOpenScheduledRun(tables: Tables, model: string): Promise<boolean> {
  return (await tables.query(HAS_OPEN, [model])).length > 0;
}

/** How the last runs ended that rules of the model queued, newest first. */
export async function scheduledEnds(tables: Tables, model: string): Promise<ScheduledEnd[]> {
  const rows = await tables.query<{ readonly state: string; readonly finished_at: number | null }>(ENDS, [
    model,
  ]);
  return rows.map(({ state, finished_at: finishedAt }) => ({ state, finishedAt: finishedAt ?? 0 }));
}

/** The newest run that a rule of the model queued. */
export async function lastScheduledRun(tables: Tables, model: string): Promise<StoredRun | undefined> {
  return toRun((await tables.query<RunRow>(LAST_RUN, [model]))[0]);
}

/** Next offsets of the source's partitions that the model's last run knew; empty when it had none. */
export async function knownPositions(
  tables: Tables,
  model: string,
  source: string,
): Promise<readonly number[]> {
  const [row] = await tables.query<{ readonly positions: number[] | null }>(KNOWN, [model, source]);
  return row?.positions ?? [];
}
