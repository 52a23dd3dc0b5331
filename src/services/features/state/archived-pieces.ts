import type { ArchivedRows } from './state-host.ts';

/** Rows of the archive in pieces of so many at most; one piece without rows where there are none. */
export function* piecesOf(rows: ArchivedRows, rowsMax: number): Generator<ArchivedRows> {
  const { result } = rows;
  let { from } = rows;
  for (let start = 0; start === 0 || start < result.rows; start += rowsMax) {
    const end = Math.min(result.rows, start + rowsMax);
    const columns = new Map([...result.columns].map(([name, values]) => [name, values.slice(start, end)]));
    const piece = { ...rows, from, result: { rows: end - start, names: result.names, columns } };
    yield piece;
    from = endOf(piece);
  }
}

/** The offset behind the last row. */
export function endOf({ from, result }: ArchivedRows): number {
  return result.rows === 0 ? from : Number(result.columns.get('_offset')?.[result.rows - 1]) + 1;
}
