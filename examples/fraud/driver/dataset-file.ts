import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';

/** Memory for reading a file, as DuckDB writes it. */
const MEMORY_MAX = '256MB';

/** Where the product's directory of objects has the file of a digest. Rejects when there is no such file. */
export async function objectPath(dataDir: string, digest: string): Promise<string> {
  const hex = digest.replace(/^sha256:/, '');
  const path = join(dataDir, 'objects', hex.slice(0, 2), hex.slice(2, 4), hex);
  await stat(path);
  return path;
}

/**
 * Reads columns of a Parquet file, row by row. The values passed to `take` are reused for the next row. Ids
 * of transactions are numbers here, all other columns must be numbers already; null stays null.
 */
export async function readDataset(
  path: string,
  columns: readonly string[],
  take: (id: number, values: readonly (number | null)[]) => void,
): Promise<void> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1', memory_limit: MEMORY_MAX });
  const connection = await instance.connect();
  try {
    const names = columns.map((column) => `"${column.replaceAll('"', '""')}"::double`).join(', ');
    const file = path.replaceAll("'", "''");
    const result = await connection.stream(`select id::double, ${names} from read_parquet('${file}')`);
    const values: (number | null)[] = columns.map(() => null);
    for (;;) {
      const chunk = await result.fetchChunk();
      if (chunk === null || chunk.rowCount === 0) break;
      const [ids = [], ...read] = chunk.getColumns();
      for (let row = 0; row < chunk.rowCount; row += 1) {
        read.forEach((column, index) => (values[index] = column[row] as number | null));
        take(ids[row] as number, values);
      }
    }
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
