import type { Tables } from '../../runtime/index.ts';
import type { RunClaim } from './run-store.ts';
import type { SearchOutcome } from './search-outcome.ts';

const BEGIN = `insert into train_search (run, started_at) values ($1, $2) on conflict (run) do nothing`;

const STARTED_AT = `select started_at from train_search where run = $1`;

const SAVE = `
update train_search set outcome = $3
where run = (select id from train_run where id = $1 and epoch = $2 and state = 'running')`;

const FIND = `select outcome from train_search where run = $1`;

const FAIL = `insert into train_trial_failure (run, key, error) values ($1, $2, $3) on conflict (run, key) do nothing`;

const FIND_FAILURE = `select error from train_trial_failure where run = $1 and key = $2`;

/** When the search of a run began, in whichever attempt. */
export async function beginRunSearch(tables: Tables, run: string, now: number): Promise<number> {
  await tables.query(BEGIN, [run, now]);
  const [row] = await tables.query<{ readonly started_at: number }>(STARTED_AT, [run]);
  return row?.started_at ?? now;
}

/** Keeps what the search has found so far, for those who look. Does nothing when another attempt holds the run. */
export async function saveSearch(
  tables: Tables,
  { id, epoch }: RunClaim,
  outcome: SearchOutcome,
): Promise<void> {
  await tables.query(SAVE, [id, epoch, JSON.stringify(outcome)]);
}

/** What was last kept. */
export async function findSearch(tables: Tables, run: string): Promise<SearchOutcome | undefined> {
  const [row] = await tables.query<{ readonly outcome: SearchOutcome | null }>(FIND, [run]);
  return row?.outcome ?? undefined;
}

/** Notes that a trial of this run failed for a reason that it need not have elsewhere. */
export async function noteTrialFailure(
  tables: Tables,
  { run, key }: { readonly run: string; readonly key: string },
  error: string,
): Promise<void> {
  await tables.query(FAIL, [run, key, error]);
}

export async function findTrialFailure(
  tables: Tables,
  run: string,
  key: string,
): Promise<string | undefined> {
  const [row] = await tables.query<{ readonly error: string }>(FIND_FAILURE, [run, key]);
  return row?.error;
}
