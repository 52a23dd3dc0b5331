/** Column types of the warehouse; `decimal` values are scaled integers and use `int64`. */
export type ColumnType = 'int64' | 'float64' | 'boolean' | 'string';

export interface ColumnSpec {
  readonly name: string;
  readonly type: ColumnType;
}

/** A column of a result: numbers as float64 with NaN for null, else an array with nulls. */
export type ColumnValues = Float64Array | readonly (string | boolean | null)[];

export interface ResultColumns {
  readonly rows: number;
  readonly names: readonly string[];
  /** By name. int64 and float64 come as Float64Array (integers must be safe), boolean and string as arrays. */
  readonly columns: ReadonlyMap<string, ColumnValues>;
}

/** Appends rows to a table of the session, column values in the order of its {@link ColumnSpec}s. */
export interface RowAppender {
  /** `int64` takes an integral number or a bigint. */
  row(values: readonly (number | bigint | string | boolean | null)[]): void;
  /** Must be called once; until then rows may not be visible. */
  close(): Promise<void>;
}

/** Columnar SQL over Parquet files: an in-memory session with its own limits. Not an online store. */
export interface WarehouseSession extends AsyncDisposable {
  /** A folder of this session's own for files to write; removed at the end. */
  readonly scratch: string;
  /** Memory that it may take, in bytes: a statement works with little more at a time, the rest lies on disk. */
  readonly memoryBytesMax: number;
  /** Runs one or more statements without a result. */
  run(sql: string): Promise<void>;
  query(sql: string): Promise<ResultColumns>;
  /** Reads a result piece by piece, in its order and no faster than they are taken. */
  stream(sql: string): AsyncGenerator<ResultColumns, void, undefined>;
  /** Writes bytes into a new file of {@link scratch}, as they come, and gives its path. */
  receive(chunks: AsyncIterable<Uint8Array>): Promise<string>;
  /** Creates the table and returns its appender. */
  append(table: string, columns: readonly ColumnSpec[]): Promise<RowAppender>;
}

export interface SessionOptions {
  /**
   * Nobody waits for it at this very moment: where it can, it gives way to whatever else runs on the machine. Default false.
   */
  readonly isBackground?: boolean;
}

export interface Warehouse {
  session(options?: SessionOptions): Promise<WarehouseSession>;
}
