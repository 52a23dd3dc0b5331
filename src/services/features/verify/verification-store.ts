import type { Verification, VerificationSummary } from '../../../contract/index.ts';
import type { Tables } from '../../../runtime/index.ts';

/** Verifications that are kept; older ones go when one ends. */
export const VERIFICATIONS_KEPT = 1_000;

/** What a verification found, without what was asked for. */
export type Findings = Pick<
  Verification,
  'decisions' | 'rows' | 'values' | 'mismatches' | 'notRecomputable' | 'features' | 'reasons' | 'differences'
>;

export interface NewVerification {
  readonly id: string;
  readonly createdAt: number;
  readonly since: number;
  readonly until: number;
  readonly sample: number;
  readonly seed: number;
  readonly idempotencyKey: string | undefined;
  readonly requestHash: string;
}

/** A verification with what only the service needs to know. */
export interface StoredVerification extends Verification {
  readonly epoch: number;
  readonly requestHash: string;
}

interface Row extends Record<string, unknown> {
  readonly id: string;
  readonly state: Verification['state'];
  readonly epoch: number;
  readonly created_at: number;
  readonly ended_at: number | null;
  readonly since: number;
  readonly until: number;
  readonly sample: number;
  readonly seed: number;
  readonly findings: Findings | null;
  readonly error: string | null;
  readonly request_hash: string;
}

const COLUMNS = `id, state, epoch, created_at, ended_at, since, until, sample, seed, findings, error, request_hash`;

const IS_OPEN = `state in ('queued', 'running')`;

const INSERT = `
insert into features_verification
  (id, state, created_at, since, until, sample, seed, idempotency_key, request_hash)
values ($1, 'queued', $2, $3, $4, $5, $6, $7, $8)
on conflict (idempotency_key) do nothing returning ${COLUMNS}`;

const FIND = `select ${COLUMNS} from features_verification where id = $1`;

const FIND_BY_KEY = `select ${COLUMNS} from features_verification where idempotency_key = $1`;

const LIST = `
select ${COLUMNS} from features_verification
where ($1::text is null or id < $1::text) and ($2::bigint is null or compared >= $2::bigint)
order by id desc limit $3`;

const LIST_OPEN = `select ${COLUMNS} from features_verification where ${IS_OPEN} order by id`;

const CLAIM = `
update features_verification set state = 'running', epoch = epoch + 1
where id = $1 and ${IS_OPEN} returning ${COLUMNS}`;

const FINISH = `
update features_verification set state = $3, ended_at = $4, findings = $5, compared = $6, error = $7
where id = $1 and epoch = $2 and ${IS_OPEN} returning id`;

const TRIM = `
delete from features_verification where not ${IS_OPEN} and id < (
  select id from features_verification order by id desc offset $1 limit 1)`;

const NOTHING: Findings = {
  decisions: 0,
  rows: 0,
  values: 0,
  mismatches: 0,
  notRecomputable: 0,
  features: [],
  reasons: [],
  differences: [],
};

/** Stores a new one; `undefined` when its idempotency key came before. */
export async function insertVerification(
  tables: Tables,
  made: NewVerification,
): Promise<StoredVerification | undefined> {
  const { id, createdAt, since, until, sample, seed, idempotencyKey = null, requestHash } = made;
  const values = [id, createdAt, since, until, sample, seed, idempotencyKey, requestHash];
  return toVerification((await tables.query<Row>(INSERT, values))[0]);
}

export async function findVerification(tables: Tables, id: string): Promise<StoredVerification | undefined> {
  return id.includes('\0') ? undefined : toVerification((await tables.query<Row>(FIND, [id]))[0]);
}

export async function findVerificationByKey(
  tables: Tables,
  key: string,
): Promise<StoredVerification | undefined> {
  return toVerification((await tables.query<Row>(FIND_BY_KEY, [key]))[0]);
}

/** Newest first; with `valuesMin` only those that are done and compared at least so many values. */
export async function listSummaries(
  tables: Tables,
  page: { readonly after: string | null; readonly valuesMin: number | null; readonly limit: number },
): Promise<VerificationSummary[]> {
  const rows = await tables.query<Row>(LIST, [page.after, page.valuesMin, page.limit]);
  return rows.flatMap((row) => toVerification(row) ?? []).map(summaryOf);
}

/** Those that have not ended, oldest first. */
export async function listOpenVerifications(tables: Tables): Promise<StoredVerification[]> {
  return (await tables.query<Row>(LIST_OPEN)).flatMap((row) => toVerification(row) ?? []);
}

/** Takes it over from whoever worked on it; `undefined` when it has ended. */
export async function claimVerification(tables: Tables, id: string): Promise<StoredVerification | undefined> {
  return toVerification((await tables.query<Row>(CLAIM, [id]))[0]);
}

/** `false`, and nothing changes, when somebody else has taken it over or it has ended. */
export async function finishVerification(
  tables: Tables,
  { id, epoch }: Pick<StoredVerification, 'id' | 'epoch'>,
  end: { readonly at: number; readonly findings: Findings } | { readonly at: number; readonly error: string },
): Promise<boolean> {
  const values =
    'findings' in end
      ? ['done', end.at, JSON.stringify(end.findings), end.findings.values, null]
      : ['failed', end.at, null, null, end.error];
  const ended = await tables.query(FINISH, [id, epoch, ...values]);
  await tables.query(TRIM, [VERIFICATIONS_KEPT]);
  return ended.length > 0;
}

/** What everybody may see: no decision and no value of one. */
export function summaryOf(verification: Verification): VerificationSummary {
  const { id, state, createdAt, endedAt, since, until, sample } = verification;
  const { decisions, rows, values, mismatches, notRecomputable, error } = verification;
  const counts = { decisions, rows, values, mismatches, notRecomputable };
  return { id, state, createdAt, endedAt, since, until, sample, ...counts, error };
}

/** Without what only the service needs to know. */
export function publicVerification(stored: StoredVerification): Verification {
  const { epoch: _, requestHash: __, ...verification } = stored;
  return verification;
}

function toVerification(row: Row | undefined): StoredVerification | undefined {
  if (row === undefined) return undefined;
  return {
    id: row.id,
    state: row.state,
    createdAt: row.created_at,
    endedAt: row.ended_at,
    since: row.since,
    until: row.until,
    sample: row.sample,
    seed: row.seed,
    error: row.error,
    ...(row.findings ?? NOTHING),
    epoch: row.epoch,
    requestHash: row.request_hash,
  };
}
