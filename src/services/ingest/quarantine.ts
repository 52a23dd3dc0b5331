import { createHash } from 'node:crypto';
import type { Rejection } from '../../contract/index.ts';
import type { TableRow, Tables } from '../../runtime/index.ts';

/** A record on its way to quarantine. */
export interface Refused {
  readonly id: string;
  readonly rejection: Rejection;
  readonly bytes: Uint8Array;
  /** Whether these are all of its bytes. */
  readonly whole: boolean;
}

/** What a statement about several records is told of the source. */
export interface QuarantineContext {
  readonly source: string;
  /** Hash of the contract that was broken. */
  readonly contract: string;
  /** Milliseconds since 1970-01-01 UTC. */
  readonly at: number;
}

export type QuarantineState = 'waiting' | 'dismissed';

export interface QuarantineRow extends TableRow {
  readonly id: string;
  readonly at: number;
  readonly code: string;
  readonly field: string | null;
  readonly reason: string;
  readonly contract: string;
  readonly bytes: Buffer;
  readonly state: QuarantineState;
  readonly correction: Buffer | null;
  readonly corrected_by: string | null;
  readonly corrected_at: number | null;
  readonly dismissal: string | null;
  readonly dismissed_by: string | null;
  readonly dismissed_at: number | null;
}

const COLUMNS = `id::text, at, code, field, reason, contract, bytes, state, correction, corrected_by, corrected_at,
  dismissal, dismissed_by, dismissed_at`;

const INSERT = `
insert into ingest_quarantine (id, source, at, code, field, reason, contract, bytes, digest)
select refused.id, $1, $2, refused.code, refused.field, refused.reason, $3, refused.bytes, refused.digest
from unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::bytea[])
  as refused (id, code, field, reason, bytes, digest)
on conflict (source, digest) where state = 'waiting'
do update set code = excluded.code, field = excluded.field, reason = excluded.reason, contract = excluded.contract
returning id::text, encode(digest, 'hex') as digest`;

/**
 * Writes records into quarantine, in one statement, and gives the id under which each waits: a record that waits already is
 * not written again, so that a body may be sent twice.
 */
export async function insertRefused(
  tables: Tables,
  context: QuarantineContext,
  refused: readonly Refused[],
): Promise<readonly string[]> {
  const digests = refused.map(({ bytes, whole }) =>
    whole ? createHash('sha256').update(bytes).digest() : null,
  );
  const names = digests.map((digest, index) => digest?.toString('hex') ?? `cut ${String(index)}`);
  const first = new Map<string, number>();
  for (const [index, name] of names.entries()) if (!first.has(name)) first.set(name, index);
  // In one order, or two statements with the same records would wait for each other.
  const chosen = [...first].toSorted(([left], [right]) => (left < right ? -1 : 1)).map(([, index]) => index);
  const of = <TValue>(value: (item: Refused) => TValue): (TValue | undefined)[] =>
    chosen.map((index) => {
      const item = refused[index];
      return item === undefined ? undefined : value(item);
    });
  const rows = await tables.query<{ id: string; digest: string | null }>(INSERT, [
    context.source,
    context.at,
    context.contract,
    of((item) => item.id),
    of((item) => item.rejection.code),
    of((item) => item.rejection.field ?? null),
    of((item) => item.rejection.reason),
    of((item) => item.bytes),
    chosen.map((index) => digests[index] ?? null),
  ]);
  const stored = new Map(rows.flatMap(({ id, digest }) => (digest === null ? [] : [[digest, id] as const])));
  return refused.map(({ id }, index) => stored.get(names[index] ?? '') ?? id);
}

// The sum of sizes cuts the page; sizes are known without reading the bytes.
const LIST = `
select ${COLUMNS}, found
from (
  select page.*, count(*) over () as found, row_number() over (order by id) as place,
    sum(octet_length(bytes)) over (order by id) as running
  from (
    select * from ingest_quarantine
    where source = $1 and ($2::uuid is null or id > $2) and state = $5 and ($6::text is null or code = $6)
      and ($7::text is null or field = $7) and ($8::bigint is null or at >= $8) and ($9::bigint is null or at < $9)
    order by id
    limit $3
  ) as page
) as sized
where place = 1 or running <= $4
order by sized.id`;

export interface QuarantinePage {
  readonly rows: readonly QuarantineRow[];
  /** Whether more rows follow. */
  readonly more: boolean;
}

/** Which records are asked for; what is `undefined` does not matter. */
export interface QuarantineFilter {
  readonly state: QuarantineState;
  readonly code?: string | undefined;
  readonly field?: string | undefined;
  readonly from?: number | undefined;
  readonly until?: number | undefined;
}

/** Where a page begins and how large it may be. */
export interface PageLimits {
  readonly after: string | undefined;
  readonly limit: number;
  readonly bytesMax: number;
}

/** Records after the id `after`, oldest first: at most `limit` and `bytesMax` bytes, but one if there is one. */
export async function listRefused(
  tables: Tables,
  source: string,
  options: { readonly filter: QuarantineFilter; readonly page: PageLimits },
): Promise<QuarantinePage> {
  const { filter, page } = options;
  const rows = await tables.query<QuarantineRow & { readonly found: number }>(LIST, [
    source,
    page.after ?? null,
    page.limit + 1,
    page.bytesMax,
    filter.state,
    filter.code ?? null,
    filter.field ?? null,
    filter.from ?? null,
    filter.until ?? null,
  ]);
  const kept = rows.slice(0, page.limit);
  return { rows: kept, more: (rows[0]?.found ?? 0) > kept.length };
}

/** The record, waiting or dismissed. */
export async function findRefused(
  tables: Tables,
  source: string,
  id: string,
): Promise<QuarantineRow | undefined> {
  const [row] = await tables.query<QuarantineRow>(
    `select ${COLUMNS} from ingest_quarantine where source = $1 and id = $2`,
    [source, id],
  );
  return row;
}

/** How many records of the source wait in quarantine. */
export async function countRefused(tables: Tables, source: string): Promise<number> {
  const rows = await tables.query<{ waiting: number }>(
    `select count(*) as waiting from ingest_quarantine where source = $1 and state = 'waiting'`,
    [source],
  );
  return rows[0]?.waiting ?? 0;
}

/** Sizes in bytes of what a replay would put in of those of the records that wait in quarantine, by id. */
export async function sizesOfRefused(
  tables: Tables,
  source: string,
  ids: readonly string[],
): Promise<Map<string, number>> {
  const rows = await tables.query<{ id: string; size: number }>(
    `select id::text, octet_length(coalesce(correction, bytes)) as size from ingest_quarantine
     where source = $1 and state = 'waiting' and id = any($2::uuid[])`,
    [source, ids],
  );
  return new Map(rows.map((row) => [row.id, row.size]));
}

/** What a replay puts in of the records, by id: the correction where there is one, else the original bytes. */
export async function bytesOfRefused(
  tables: Tables,
  source: string,
  ids: readonly string[],
): Promise<Map<string, Buffer>> {
  const rows = await tables.query<{ id: string; bytes: Buffer }>(
    `select id::text, coalesce(correction, bytes) as bytes from ingest_quarantine
     where source = $1 and state = 'waiting' and id = any($2::uuid[])`,
    [source, ids],
  );
  return new Map(rows.map((row) => [row.id, row.bytes]));
}

/** Takes records out of quarantine. */
export async function deleteRefused(tables: Tables, source: string, ids: readonly string[]): Promise<void> {
  await tables.query('delete from ingest_quarantine where source = $1 and id = any($2::uuid[])', [
    source,
    ids,
  ]);
}

const UPDATE = `
update ingest_quarantine as waiting
set code = refused.code, field = refused.field, reason = refused.reason, contract = $2
from unnest($3::uuid[], $4::text[], $5::text[], $6::text[]) as refused (id, code, field, reason)
where waiting.id = refused.id and waiting.source = $1`;

/** Notes why records were refused again; their bytes and the time they came stay. */
export async function updateRefused(
  tables: Tables,
  context: { readonly source: string; readonly contract: string },
  refused: readonly { readonly id: string; readonly rejection: Rejection }[],
): Promise<void> {
  await tables.query(UPDATE, [
    context.source,
    context.contract,
    refused.map((item) => item.id),
    refused.map((item) => item.rejection.code),
    refused.map((item) => item.rejection.field ?? null),
    refused.map((item) => item.rejection.reason),
  ]);
}

/** Who did something, and when in milliseconds since 1970. */
export interface Act {
  readonly by: string;
  readonly at: number;
}

/** Keeps a corrected record beside the original. `undefined` when the record does not wait. */
export async function correctRefused(
  tables: Tables,
  which: { readonly source: string; readonly id: string },
  correction: Act & { readonly bytes: Uint8Array },
): Promise<QuarantineRow | undefined> {
  const [row] = await tables.query<QuarantineRow>(
    `update ingest_quarantine set correction = $3, corrected_by = $4, corrected_at = $5
     where source = $1 and id = $2 and state = 'waiting' returning ${COLUMNS}`,
    [which.source, which.id, correction.bytes, correction.by, correction.at],
  );
  return row;
}

/**
 * Marks those of the records that wait as dismissed, and gives the ids of all that are dismissed now: the first reason stays.
 */
export async function dismissRefused(
  tables: Tables,
  which: { readonly source: string; readonly ids: readonly string[] },
  dismissal: Act & { readonly reason: string },
): Promise<readonly string[]> {
  return tables.transaction(async (tx) => {
    await tx.query(
      `update ingest_quarantine set state = 'dismissed', dismissal = $3, dismissed_by = $4, dismissed_at = $5
       where source = $1 and id = any($2::uuid[]) and state = 'waiting'`,
      [which.source, which.ids, dismissal.reason, dismissal.by, dismissal.at],
    );
    const rows = await tx.query<{ id: string }>(
      `select id::text from ingest_quarantine where source = $1 and id = any($2::uuid[]) and state = 'dismissed'`,
      [which.source, which.ids],
    );
    return rows.map(({ id }) => id);
  });
}

/** Rows that one statement of {@link dropRefused} takes. */
const DROP_ROWS = 5_000;

const DROP_OLD = `
delete from ingest_quarantine where id in (
  select id from ingest_quarantine where source = $1 and at < $2 order by at limit ${String(DROP_ROWS)}
) returning 1 as dropped`;

// Records that wait count first, the newest before the older ones: what is beyond the limit then is what was dismissed, and the oldest.
const DROP_LARGE = `
delete from ingest_quarantine where id in (
  select id from (
    select id, sum(octet_length(bytes) + coalesce(octet_length(correction), 0))
      over (order by (state = 'waiting') desc, id desc) as kept
    from ingest_quarantine where source = $1
  ) as sized where kept > $2 limit ${String(DROP_ROWS)}
) returning 1 as dropped`;

/** Removes records for good: those that came before `before`, then the oldest beyond `bytesMax`. Gives how many went for which reason. */
export async function dropRefused(
  tables: Tables,
  source: string,
  limits: { readonly before: number; readonly bytesMax: number },
): Promise<{ readonly age: number; readonly bytes: number }> {
  return {
    age: await dropAll(tables, DROP_OLD, [source, limits.before]),
    bytes: await dropAll(tables, DROP_LARGE, [source, limits.bytesMax]),
  };
}

async function dropAll(tables: Tables, sql: string, parameters: readonly unknown[]): Promise<number> {
  let dropped = 0;
  for (;;) {
    const rows = await tables.query(sql, parameters);
    dropped += rows.length;
    if (rows.length < DROP_ROWS) return dropped;
  }
}
