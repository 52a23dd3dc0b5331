import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { type DuckDBConnection, DuckDBInstance, type DuckDBResult } from '@duckdb/node-api';
import { PlatformError } from '../../contract/errors.ts';
import type {
  ColumnSpec,
  ResultColumns,
  RowAppender,
  Warehouse,
  WarehouseSession,
} from '../../runtime/ports/index.ts';
import { createTable, TableAppender } from './appender.ts';
import { translate } from './failures.ts';
import { readColumns, streamColumns, withEnd } from './result-columns.ts';
import { openScratch, type Scratch } from './scratch.ts';
import { Slots } from './slots.ts';

export interface DuckdbWarehouseOptions {
  /**
   * Folder for scratch and spill files, on a local disk of this machine. Created when missing; may be shared
   * by processes.
   */
  readonly directory: string;
  /** Memory of one session, in bytes; beyond it DuckDB spills to disk. */
  readonly memoryBytesMax?: number;
  /** Threads of one session. */
  readonly threads?: number;
  /** Sessions open at a time; further ones wait their turn. */
  readonly sessionsMax?: number;
  /** Callers that may wait for a session; more are refused with OVERLOADED. */
  readonly waitingMax?: number;
}

/** Defaults of {@link DuckdbWarehouseOptions}. */
export const WAREHOUSE_DEFAULTS = {
  memoryBytesMax: 1_073_741_824,
  threads: 2,
  sessionsMax: 2,
  waitingMax: 100,
} as const;

/** How often a statement that holds up the end of its session is interrupted, in milliseconds. */
const INTERRUPT_MS = 20;

/**
 * The port `Warehouse` on DuckDB: each session is an in-memory database of its own with its own memory,
 * threads and scratch folder, and times are UTC. Nothing is loaded from the network. Statements of one
 * session run one after another, in the order of the calls; they run beside the main thread, while `append`
 * fills tables on it.
 *
 * Results may have integers of up to 64 bits (safe ones), floats, booleans and strings; any other type is
 * refused with an INTERNAL that says which column to cast. Other failures are INTERNAL, a full disk is
 * STORAGE_FULL.
 */
export function duckdbWarehouse(options: DuckdbWarehouseOptions): Warehouse {
  const settings = { ...WAREHOUSE_DEFAULTS, ...options };
  const slots = new Slots(settings.sessionsMax, settings.waitingMax);
  const scratch = openScratch(settings.directory);
  return {
    async session() {
      const release = await slots.take();
      try {
        return await openSession(settings, scratch, release);
      } catch (error) {
        release();
        throw translate(error, 'opening a session');
      }
    },
  };
}

async function openSession(
  settings: { readonly memoryBytesMax: number; readonly threads: number },
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
    await connection.run(`set timezone = 'UTC'`);
    return new Session(folder, instance, connection, async () => {
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
    instance: DuckDBInstance,
    connection: DuckDBConnection,
    cleanUp: () => Promise<void>,
  ) {
    this.scratch = scratch;
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

  async receive(chunks: AsyncIterable<Uint8Array>): Promise<string> {
    const path = join(this.scratch, randomUUID());
    const file = await open(path, 'wx', 0o600);
    try {
      for await (const chunk of chunks) await writeAll(file, chunk);
    } catch (error) {
      throw translate(error, 'receiving a file');
    } finally {
      await file.close();
    }
    return path;
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

async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.byteLength;) at += (await file.write(chunk, at)).bytesWritten;
}
