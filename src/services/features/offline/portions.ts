import type { WarehouseSession } from '../../../runtime/index.ts';

/** What a total of a row takes while it is made, about, in bytes. */
const TOTAL_BYTES = 64;
/** The part of a session's memory that the totals of all rows may take: a statement has more than those. */
const MEMORY_SHARE = 1 / 4;

/**
 * Into how many portions the rows of a table are taken, so that their totals fit into the session's memory. DuckDB spills what
 * aggregates keep, but not all of it: 400,000 rows of 30 totals each failed with 160 MiB.
 */
export async function portionsOf(session: WarehouseSession, rows: string, totals: number): Promise<number> {
  const { columns } = await session.query(`select count(*) as rows from ${rows}`);
  const bytes = Number(columns.get('rows')?.[0] ?? 0) * totals * TOTAL_BYTES;
  return Math.max(1, Math.ceil(bytes / (session.memoryBytesMax * MEMORY_SHARE)));
}

/** SQL that is true for the rows of one portion; `row` is the row's number. */
export function portionSql(row: string, portion: number, portions: number): string {
  return portions === 1 ? 'true' : `${row} % ${String(portions)} = ${String(portion)}`;
}
