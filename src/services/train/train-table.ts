import { join } from 'node:path';
import type { WarehouseSession } from '../../runtime/index.ts';
import type { Periods } from './periods.ts';

/** Where training rows come from: a dataset's Parquet file. */
export interface TrainTable {
  /** A local file. */
  readonly path: string;
  /** Columns of the values. */
  readonly names: readonly string[];
  readonly periods: Periods;
}

/**
 * Writes the training rows as a Parquet file, in the order of the split's training part: a float32 column for each value,
 * NULL where it is missing, and `label`, 0 or 1. Gives the path, in the session's folder.
 */
export async function writeTrainTable(
  session: WarehouseSession,
  { path, names, periods }: TrainTable,
): Promise<string> {
  const file = join(session.scratch, 'train.parquet');
  const values = names.map((name) => {
    const value = `${quoted(name)}::float`;
    return `case when isnan(${value}) then null else ${value} end as ${quoted(name)}`;
  });
  await session.run(
    `copy (select ${[...values, 'label::utinyint as label'].join(', ')}
       from read_parquet(${literal(path)}, file_row_number = true)
       where time >= ${periods.trainStart} and time < ${periods.trainEnd} order by file_row_number)
     to ${literal(file)} (format parquet)`,
  );
  return file;
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
