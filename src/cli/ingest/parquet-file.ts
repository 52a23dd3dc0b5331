import { resolve } from 'node:path';
import { PlatformError } from '../../contract/index.ts';
import type { Warehouse } from '../../runtime/index.ts';
import { openParquet, type RecordTarget } from '../../services/ingest/index.ts';
import { BATCH_BYTES, BEGINNING, type RecordBatch } from './cut-batches.ts';
import type { RecordFile } from './records.ts';

/** What reading Parquet needs. */
export interface ParquetTools {
  /** The source that the columns are fields of. */
  readonly source: RecordTarget;
  /** Opens a warehouse; called when there is a file to read. */
  readonly warehouse: () => Promise<Warehouse>;
}

/** A Parquet file whose rows are sent as NDJSON, so that sending can go on from any row. */
export async function openParquetFile(path: string, tools: ParquetTools): Promise<RecordFile> {
  const warehouse = await tools.warehouse();
  const rows = await explained(path, async () => {
    await using session = await warehouse.session();
    return (await openParquet(session, resolve(path), tools.source)).rows;
  });
  let read = 0;
  return {
    format: 'parquet',
    size: rows,
    canGrow: false,
    get read() {
      return read;
    },
    async *batches(from = BEGINNING) {
      await using session = await warehouse.session();
      const file = await openParquet(session, resolve(path), tools.source);
      read = from.offset;
      let lines: string[] = [];
      let bytes = 0;
      const batch = (): RecordBatch => {
        const made = {
          bytes: Buffer.from(lines.join('')),
          records: lines.length,
          end: { offset: read, records: read },
        };
        [lines, bytes] = [[], 0];
        return made;
      };
      const pieces = file.records(from.offset);
      try {
        for (;;) {
          const piece = await explained(path, () => pieces.next());
          if (piece.done === true) break;
          for (const record of piece.value) {
            const line = `${JSON.stringify(record)}\n`;
            lines.push(line);
            bytes += line.length;
            read += 1;
            if (bytes >= BATCH_BYTES) yield batch();
          }
        }
      } finally {
        await pieces.return();
      }
      if (lines.length > 0) yield batch();
    },
  };
}

/** The failure with the file's name in front. */
async function explained<TResult>(path: string, work: () => Promise<TResult>): Promise<TResult> {
  try {
    return await work();
  } catch (error) {
    if (!PlatformError.is(error)) throw error;
    const details = error.details === undefined ? {} : { details: error.details };
    throw new PlatformError(error.code, `${path}: ${error.message}`, { ...details, cause: error });
  }
}
