import type { Rejection } from '../../contract/index.ts';
import type { TableRow, Tables } from '../../runtime/index.ts';

/** A record on its way to quarantine. */
export interface Refused {
  readonly id: string;
  readonly rejection: Rejection;
  readonly bytes: Uint8Array;
}

/** What a statement about several records is told of the source. */
export interface QuarantineContext {
  readonly source: string;
  /** Hash of the contract that was broken. */
  readonly contract: string;
  /** Milliseconds since 1970-01-01 UTC. */
  readonly at: number;
}

export interface QuarantineRow extends TableRow {
  readonly id: string;
  readonly at: number;
  readonly code: string;
  readonly field: string | null;
  readonly reason: string;
  readonly contract: string;
  readonly bytes: Buffer;
}

const INSERT = `
insert into ingest_quarantine (id, source, at, code, field, reason, contract, bytes)
select refused.id, $1, $2, refused.code, refused.field, refused.reason, $3, refused.bytes
from unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::bytea[]) as refused (id, code, field, reason, bytes)`;

/** Writes records into quarantine, in one statement. */
export async function insertRefused(
  tables: Tables,
  context: QuarantineContext,
  refused: readonly Refused[],
): Promise<void> {
  await tables.query(INSERT, [
    context.source,
    context.at,
    context.contract,
    refused.map((item) => item.id),
    refused.map((item) => item.rejection.code),
    refused.map((item) => item.rejection.field ?? null),
    refused.map((item) => item.rejection.reason),
    refused.map((item) => item.bytes),
  ]);
}

// The sum of sizes cuts the page; sizes are known without reading the bytes.
const LIST = `
select id::text, at, code, field, reason, contract, bytes, found
from (
  select page.*, count(*) over () as found, row_number() over (order by id) as place,
    sum(octet_length(bytes)) over (order by id) as running
  from (
    select * from ingest_quarantine
    where source = $1 and ($2::uuid is null or id > $2)
    order by id
    limit $3
  ) as page
) as sized
where place = 1 or running <= $4
order by id`;

export interface QuarantinePage {
  readonly rows: readonly QuarantineRow[];
  /** Whether more rows follow. */
  readonly more: boolean;
}

/** Records after the id `after`, oldest first: at most `limit` and `bytesMax` bytes, but one if there is one. */
export async function listRefused(
  tables: Tables,
  source: string,
  page: { readonly after: string | undefined; readonly limit: number; readonly bytesMax: number },
): Promise<QuarantinePage> {
  const rows = await tables.query<QuarantineRow & { readonly found: number }>(LIST, [
    source,
    page.after ?? null,
    page.limit + 1,
    page.bytesMax,
  ]);
  const kept = rows.slice(0, page.limit);
  return { rows: kept, more: (rows[0]?.found ?? 0) > kept.length };
}

/** How many records of the source wait in quarantine. */
export async function countRefused(tables: Tables, source: string): Promise<number> {
  const rows = await tables.query<{ waiting: number }>(
    'select count(*) as waiting from ingest_quarantine where source = $1',
    [source],
  );
  return rows[0]?.waiting ?? 0;
}

/** Sizes in bytes of those of the records that wait in quarantine, by id. */
export async function sizesOfRefused(
  tables: Tables,
  source: string,
  ids: readonly string[],
): Promise<Map<string, number>> {
  const rows = await tables.query<{ id: string; size: number }>(
    'select id::text, octet_length(bytes) as size from ingest_quarantine where source = $1 and id = any($2::uuid[])',
    [source, ids],
  );
  return new Map(rows.map((row) => [row.id, row.size]));
}

/** Original bytes of the records, by id. */
export async function bytesOfRefused(
  tables: Tables,
  source: string,
  ids: readonly string[],
): Promise<Map<string, Buffer>> {
  const rows = await tables.query<{ id: string; bytes: Buffer }>(
    'select id::text, bytes from ingest_quarantine where source = $1 and id = any($2::uuid[])',
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
