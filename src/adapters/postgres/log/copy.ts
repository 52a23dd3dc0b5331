import type pg from 'pg';

/** What a `COPY ... TO STDOUT (FORMAT binary)` needs of the driver's connection. */
interface Wire {
  query(text: string): void;
}

/** Handed one row at a time; the fields are views into memory that is used again after the call. */
export type RowReader = (fields: readonly Buffer[]) => void;

const HEADER_BYTES = 19;

/**
 * Runs a `copy (...) to stdout (format binary)` and hands on its rows. The driver gives the values of a query
 * as text, which for bytes means twice the size and a conversion; copied rows come as they are.
 */
export function copyRows(
  client: pg.PoolClient,
  sql: string,
  fieldCount: number,
  onRow: RowReader,
): Promise<void> {
  return new Promise((resolve, reject) => {
    // The driver runs any object with these methods as a query; its types know only its own class.
    client.query(
      new CopyQuery(sql, fieldCount, onRow, (error) => (error ? reject(error) : resolve())) as never,
    );
  });
}

class CopyQuery {
  /** The driver replaces it when it sets up its own time limit. */
  callback: (error: Error | null | undefined) => void;
  readonly #sql: string;
  readonly #fields: Buffer[];
  readonly #onRow: RowReader;
  #started = false;
  #failure: Error | undefined;

  constructor(
    sql: string,
    fieldCount: number,
    onRow: RowReader,
    callback: (error: Error | null | undefined) => void,
  ) {
    this.#sql = sql;
    this.#fields = Array.from({ length: fieldCount }, () => Buffer.alloc(0));
    this.#onRow = onRow;
    this.callback = callback;
  }

  submit(connection: Wire): null {
    connection.query(this.#sql);
    return null;
  }

  handleCopyData(message: { readonly chunk: Buffer }): void {
    if (this.#failure !== undefined) return;
    try {
      this.#read(message.chunk);
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
    }
  }

  handleRowDescription(): void {}
  handleDataRow(): void {}
  handlePortalSuspended(): void {}
  handleCommandComplete(): void {}
  handleEmptyQuery(): void {}

  handleError(error: Error): void {
    this.callback(error);
  }

  handleReadyForQuery(): void {
    this.callback(this.#failure);
  }

  /** The server sends one row per message, the first one behind the header. */
  #read(chunk: Buffer): void {
    let at = this.#started ? 0 : HEADER_BYTES;
    this.#started = true;
    while (at < chunk.length) {
      const count = chunk.readInt16BE(at);
      at += 2;
      // The trailer.
      if (count === -1) return;
      if (count !== this.#fields.length) throw new Error(`A copied row has ${count} fields`);
      for (let index = 0; index < count; index += 1) {
        const length = Math.max(0, chunk.readInt32BE(at));
        at += 4;
        this.#fields[index] = chunk.subarray(at, at + length);
        at += length;
      }
      this.#onRow(this.#fields);
    }
  }
}
