import type { LedgerEntry, RecommendationRecord, RowPositions } from '../../contract/index.ts';
import type { Vector } from '../../define/index.ts';
import type { Tables } from '../../runtime/index.ts';
import { firstIdAt } from './ledger-partitions.ts';

/** An entry on its way into the ledger; `vectorId` stands for the vector's name, hash and names. */
export interface NewEntry extends RowPositions {
  readonly decisionId: string;
  readonly at: number;
  readonly decision: string;
  readonly subject: string;
  readonly release: string;
  readonly vectorId: number;
  readonly asOf: number;
  readonly score: number;
  readonly outcome: string;
  readonly request: Record<string, unknown>;
  readonly values: readonly (number | null)[];
  /** The trace that the decision was made in. */
  readonly traceId: string | null;
  /** Of a recommendation, whose vector is the user's history. */
  readonly recommendation?: RecommendationRecord;
  /** Present when it waits for a person: it then enters the queue of reviews with the ledger. */
  readonly forReview?: true;
}

/** Which entries are drawn. */
export interface LedgerSample {
  /** From here on, in milliseconds UTC; by the time in the decisions' ids. */
  readonly since: number;
  /** Up to here, this instant left out. */
  readonly until: number;
  readonly seed: number;
  /** How many at most. */
  readonly sample: number;
}

interface EntryRow extends Record<string, unknown> {
  readonly decision_id: string;
  readonly at: number;
  readonly decision: string;
  readonly subject: string;
  readonly release: string;
  readonly as_of: number;
  readonly score: number;
  readonly outcome: string;
  readonly entry: Pick<LedgerEntry, 'request' | 'values' | 'recommendation'> & RowPositions;
  readonly vector: string;
  readonly hash: string;
  readonly names: string[];
  readonly trace_id: string | null;
}

const INSERT = `
insert into serve_ledger
  (decision_id, at, decision, subject, release, vector_id, as_of, score, outcome, entry, trace_id)
select * from unnest(
  $1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::bigint[], $8::double precision[],
  $9::text[], $10::json[], $11::text[])
on conflict (decision_id) do nothing`;

/** One statement, hence one transaction. Only for groups in which somebody must look at something. */
const INSERT_WITH_REVIEWS = `
with waiting as (
  insert into serve_review (decision_id, decision, at)
  select * from unnest($12::uuid[], $13::text[], $14::bigint[])
  on conflict (decision_id) do nothing
)
${INSERT}`;

const SELECT = `
select l.decision_id, l.at, l.decision, l.subject, l.release, l.as_of, l.score, l.outcome, l.entry, l.trace_id,
  v.vector, v.hash, v.names
from serve_ledger l join serve_vector v on v.id = l.vector_id`;

const GET = `${SELECT} where l.decision_id = $1`;

const GET_MANY = `${SELECT} where l.decision_id = any($1::uuid[]) order by l.decision_id`;

const IN_RANGE = `from serve_ledger where decision_id >= $1::uuid and decision_id < $2::uuid`;

const COUNT_RANGE = `select count(*) as decisions ${IN_RANGE}`;

const SAMPLE_RANGE = `
select decision_id from (
  select decision_id ${IN_RANGE} order by uuid_hash_extended(decision_id, $3::bigint), decision_id limit $4
) drawn order by decision_id`;

const GET_VECTOR = `select id, names from serve_vector where hash = $1`;

const INSERT_VECTOR = `insert into serve_vector (hash, vector, names) values ($1, $2, $3) on conflict do nothing`;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Whether a text is an id that a decision may have. */
export function isDecisionId(text: string): boolean {
  return UUID.test(text);
}

/** Inserts the entries; those that are there already stay as they are, so that a repeated insert is safe. */
export async function insertEntries(tables: Tables, entries: readonly NewEntry[]): Promise<void> {
  const columns = [
    entries.map((entry) => entry.decisionId),
    entries.map((entry) => entry.at),
    entries.map((entry) => entry.decision),
    entries.map((entry) => entry.subject),
    entries.map((entry) => entry.release),
    entries.map((entry) => entry.vectorId),
    entries.map((entry) => entry.asOf),
    entries.map((entry) => entry.score),
    entries.map((entry) => entry.outcome),
    entries.map(({ request, values, recommendation, ...entry }) =>
      JSON.stringify({ request, values, ...rowPositionsOf(entry), recommendation }),
    ),
    entries.map((entry) => entry.traceId),
  ];
  const waiting = entries.filter((entry) => entry.forReview === true);
  if (waiting.length === 0) {
    await tables.query(INSERT, columns);
    return;
  }
  await tables.query(INSERT_WITH_REVIEWS, [
    ...columns,
    waiting.map((entry) => entry.decisionId),
    waiting.map((entry) => entry.decision),
    waiting.map((entry) => entry.at),
  ]);
}

/** What a row was read at, and nothing else. */
export function rowPositionsOf({ positions, others, groups }: RowPositions): RowPositions {
  return others === undefined || groups === undefined ? { positions } : { positions, others, groups };
}

/** Reads an entry; `undefined` when there is none. */
export async function findEntry(tables: Tables, decisionId: string): Promise<LedgerEntry | undefined> {
  if (!isDecisionId(decisionId)) return undefined;
  const [row] = await tables.query<EntryRow>(GET, [decisionId]);
  return row === undefined ? undefined : toEntry(row);
}

/** Reads entries; ids that there is no entry of are left out. */
export async function findEntries(tables: Tables, ids: readonly string[]): Promise<LedgerEntry[]> {
  const rows = await tables.query<EntryRow>(GET_MANY, [ids.filter(isDecisionId)]);
  return rows.map(toEntry);
}

/**
 * Ids of entries with a time in [since, until), drawn by lot, in their own order, and how many there are. The order of a seeded
 * hash is the lot: the same seed draws the same.
 */
export async function sampleEntries(
  tables: Tables,
  { since, until, seed, sample }: LedgerSample,
): Promise<{ decisions: number; ids: string[] }> {
  const range = [firstIdAt(since), firstIdAt(until)];
  const [counted] = await tables.query<{ decisions: number }>(COUNT_RANGE, range);
  const rows = await tables.query<{ decision_id: string }>(SAMPLE_RANGE, [...range, seed, sample]);
  return { decisions: counted?.decisions ?? 0, ids: rows.map((row) => row.decision_id) };
}

function toEntry(row: EntryRow): LedgerEntry {
  return {
    decisionId: row.decision_id,
    decision: row.decision,
    outcome: row.outcome,
    score: row.score,
    release: row.release,
    asOf: row.as_of,
    subject: row.subject,
    at: row.at,
    request: row.entry.request,
    vector: row.vector,
    vectorHash: row.hash,
    names: row.names,
    values: row.entry.values,
    ...rowPositionsOf(row.entry),
    traceId: row.trace_id,
    ...(row.entry.recommendation === undefined ? {} : { recommendation: row.entry.recommendation }),
  };
}

/** The number under which rows of the ledger refer to a version of a vector, made at its first use. */
export async function vectorIdOf(tables: Tables, vector: Vector): Promise<number> {
  const names = vector.values.map((value) => value.name);
  const known = await tables.query<{ id: number }>(GET_VECTOR, [vector.hash]);
  if (known[0] !== undefined) return known[0].id;
  await tables.query(INSERT_VECTOR, [vector.hash, vector.name, JSON.stringify(names)]);
  const [made] = await tables.query<{ id: number }>(GET_VECTOR, [vector.hash]);
  if (made === undefined) throw new Error('A vector was inserted and is not there');
  return made.id;
}

/** Whether the database refused a value itself (SQLSTATE class 22), so that trying again is of no use. */
export function isDataError(error: unknown): boolean {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return typeof code === 'string' && /^22[0-9A-Z]{3}$/.test(code);
}
