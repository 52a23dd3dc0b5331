import type { RecordBatch, RecordPlace, TextFormat } from './cut-batches.ts';

/** Forms of a file of records. */
export type RecordFormat = TextFormat | 'parquet';

/** A file of records that is being read. */
export interface RecordFile {
  readonly format: RecordFormat;
  /** How much there is: bytes on disk, or rows of Parquet; `undefined` for standard input. */
  readonly size: number | undefined;
  /** How much of {@link size} was read so far. */
  readonly read: number;
  /** Whether what is behind a place that was reached can still grow: then only what is before it identifies the file. */
  readonly canGrow: boolean;
  /** Batches behind `from`, in the file's order; to be asked for once. */
  batches(from?: RecordPlace): AsyncIterable<RecordBatch>;
}
