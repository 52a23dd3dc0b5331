import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type DuckDBConnection, DuckDBInstance, type DuckDBResult } from '@duckdb/node-api';
import { PlatformError } from '../../contract/errors.ts';
import type { ColumnSpec, ResultColumns, RowAppender, WarehouseSession } from '../../runtime/ports/index.ts';
import { createTable, TableAppender } from './appender.ts';
import { translate } from './failures.ts';
import { receiveFile } from './receive.ts';
import { readColumns, streamColumns, withEnd } from './result-columns.ts';
import type { Scratch } from './scratch.ts';

/** How often a statement that holds up the end of its session is interrupted, in milliseconds. */
const INTERRUPT_MS = 20;

/** Opens a session in this process; `release` is called once it has ended. */
export async function openSession(
  settings: { readonly memoryBytesMax: number; readonly spillBytesMax: number; readonly threads: number },
  scratch: Scratch,
  release: () => void,
): Promise<WarehouseSession> {
  const folder = await scratch.create();
  try {
    const spill = join(folder, '.spill');
    await mkdir(spill, { mode: 0o700 });
    const instance = await DuckDBInstance.create(':memory:', {
      threads: String(settings.threads),
      memory_limit: `${settings.memoryBytesMax}B`,
      temp_directory: spill,
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    });
    const connection = await instance.connect();
    // Given with the others above, the bound is not kept.
    await connection.run(
      `set timezone = 'UTC'; set max_temp_directory_size = '${String(settings.spillBytesMax)}B'`,
    );
    return new Session(folder, settings.memoryBytesMax, instance, connection, async () => {
      try {
        await scratch.remove(folder);
      } finally {
        release();
      }
    });
  } catch (error) {
    await scratch.remove(folder);
    throw error;
  }
}

class Session implements WarehouseSession {
  readonly scratch: string;
  readonly memoryBytesMax: number;
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;
  readonly #cleanUp: () => Promise<void>;
  readonly #appenders = new Set<TableAppender>();
  /** What ends each result that is being read piece by piece. */
  readonly #streams = new Set<() => void>();
  /** A connection does one statement at a time: each waits for the one before it. */
  #last: Promise<unknown> = Promise.resolve();
  #running = 0;
  #ended: Promise<void> | undefined;

  constructor(
    scratch: string,
    memoryBytesMax: number,
    instance: DuckDBInstance,
    connection: DuckDBConnection,
    cleanUp: () => Promise<void>,
  ) {
    this.scratch = scratch;
    this.memoryBytesMax = memoryBytesMax;
    this.#instance = instance;
    this.#connection = connection;
    this.#cleanUp = cleanUp;
  }

  run(sql: string): Promise<void> {
    return this.#next(sql, async () => {
      await this.#connection.run(sql);
    });
  }

  query(sql: string): Promise<ResultColumns> {
    // A streamed result that fails on its way just ends, without an error: this one is complete before it is read.
    return this.#next(sql, async () => readColumns(await this.#connection.run(sql)));
  }

  /** Statements that come in the meantime wait until it is at its end or left. */
  async *stream(sql: string): AsyncGenerator<ResultColumns, void, undefined> {
    const over = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<DuckDBResult>();
    this.#streams.add(over.resolve);
    const turn = this.#next(sql, async () => {
      begun.resolve(await this.#connection.stream(withEnd(sql)));
      await over.promise;
    });
    turn.catch((error: unknown) => begun.reject(error));
    try {
      for await (const columns of streamColumns(await begun.promise)) {
        if (this.#ended !== undefined) throw new PlatformError('INTERNAL', 'The warehouse session has ended');
        yield columns;
      }
    } catch (error) {
      throw translate(error, sql);
    } finally {
      over.resolve();
      this.#streams.delete(over.resolve);
      await turn.catch(() => undefined);
    }
  }

  receive(chunks: AsyncIterable<Uint8Array>): Promise<string> {
    return receiveFile(this.scratch, chunks);
  }

  append(table: string, columns: readonly ColumnSpec[]): Promise<RowAppender> {
    const sql = createTable(table, columns);
    return this.#next(sql, async () => {
      await this.#connection.run(sql);
      const driver = await this.#connection.createAppender(table);
      const appender = new TableAppender(table, columns, driver, () => this.#appenders.delete(appender));
      this.#appenders.add(appender);
      return appender;
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  #next<TResult>(sql: string, work: () => Promise<TResult>): Promise<TResult> {
    const turn = this.#last.then(async () => {
      if (this.#ended !== undefined) throw new PlatformError('INTERNAL', 'The warehouse session has ended');
      this.#running += 1;
      try {
        return await work();
      } catch (error) {
        throw translate(error, sql);
      } finally {
        this.#running -= 1;
      }
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Again and again: an interruption that comes just before its statement begins is lost. */
  async #interrupt(): Promise<void> {
    const timer = setInterval(() => this.#connection.interrupt(), INTERRUPT_MS);
    if (this.#running > 0) this.#connection.interrupt();
    await this.#last.finally(() => clearInterval(timer));
  }

  async #end(): Promise<void> {
    try {
      // Whoever left one of them unread must not hold up the end.
      for (const end of this.#streams) end();
      await this.#interrupt();
      for (const appender of this.#appenders) appender.abandon();
      this.#connection.closeSync();
      this.#instance.closeSync();
    } finally {
      await this.#cleanUp();
    }
  }
}
