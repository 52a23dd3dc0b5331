import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { PlatformError } from '../../contract/errors.ts';
import type { ColumnSpec, ResultColumns, RowAppender, WarehouseSession } from '../../runtime/ports/index.ts';
import { fromFailure, type Order, type Report, type Row } from './orders.ts';
import { type DuckdbWarehouseOptions, WAREHOUSE_DEFAULTS } from './options.ts';
import { receiveFile } from './receive.ts';

/** In the repository the sources run as they are, in the package they are compiled. */
const EXTENSION = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
const PROCESS = new URL(`./background-process.${EXTENSION}`, import.meta.url);

/** How long the process stays without a session, in milliseconds. */
const IDLE_MS = 120_000;
/** Rows that are sent together. */
const BATCH_ROWS = 2_048;

/** What an order says beside its number and its session. */
type Said = Order extends infer TOrder
  ? TOrder extends Order
    ? Omit<TOrder, 'id' | 'session'>
    : never
  : never;

interface Waiting {
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Sessions in a process of their own, which gives way to everybody else: it is started for the first session and ends when
 * there was none for a while. If it dies, its sessions fail with UNAVAILABLE, and the next one has a new process.
 */
export class BackgroundSessions {
  readonly #options: DuckdbWarehouseOptions;
  readonly #lower: (pid: number) => Promise<void>;
  #process: SessionProcess | undefined;
  #open = 0;
  #idle: NodeJS.Timeout | undefined;

  constructor(options: DuckdbWarehouseOptions, lower: (pid: number) => Promise<void>) {
    this.#options = options;
    this.#lower = lower;
  }

  /** `release` is called once the session has ended. */
  async open(release: () => void): Promise<WarehouseSession> {
    clearTimeout(this.#idle);
    this.#open += 1;
    const ended = (): void => {
      this.#open -= 1;
      if (this.#open === 0) this.#idle = setTimeout(() => this.#process?.end(), IDLE_MS).unref();
      release();
    };
    try {
      if (this.#process?.isAlive !== true) this.#process = new SessionProcess(this.#options, this.#lower);
      return await BackgroundSession.open(this.#process, ended);
    } catch (error) {
      ended();
      throw error;
    }
  }
}

/** The process, as its sessions see it. */
class SessionProcess {
  /** Memory of each of its sessions, in bytes. */
  readonly memoryBytesMax: number;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;
  #failure: PlatformError | undefined;

  constructor(
    {
      directory,
      memoryBytesMax = WAREHOUSE_DEFAULTS.memoryBytesMax,
      spillBytesMax,
      threads,
      sessionsMax,
    }: DuckdbWarehouseOptions,
    lower: (pid: number) => Promise<void>,
  ) {
    this.memoryBytesMax = memoryBytesMax;
    const options = { directory, memoryBytesMax, spillBytesMax, threads, sessionsMax };
    this.#child = fork(fileURLToPath(PROCESS), [JSON.stringify(options)], {
      // A session of its own: where the kernel shares processors among sessions first, it is the session that gives way.
      detached: true,
      execArgv: [],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#child.on('message', (report: Report) => this.#take(report));
    this.#child.once('error', (error) => this.#fail(error.message));
    this.#child.once('exit', (code, signal) => this.#fail(signal ?? `exit code ${String(code)}`));
    this.#child.once('spawn', () => void lower(this.#child.pid ?? 0).catch(() => undefined));
    this.#hold();
  }

  get isAlive(): boolean {
    return this.#failure === undefined && this.#child.connected;
  }

  /** A number that nothing of this process has yet. */
  number(): number {
    this.#last += 1;
    return this.#last;
  }

  /** Resolves with what the process answers. */
  ask(session: number, said: Said): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure);
      const id = this.number();
      this.#waiting.set(id, { resolve, reject });
      this.#hold();
      this.#child.send({ ...said, id, session } as Order, (error) => {
        if (error !== null) this.#fail(error.message);
      });
    });
  }

  /** Says what is not answered. */
  tell(session: number, said: Said): void {
    if (this.isAlive) this.#child.send({ ...said, id: 0, session } as Order, () => undefined);
  }

  end(): void {
    if (this.#child.connected) this.#child.disconnect();
  }

  #take(report: Report): void {
    const waiting = this.#waiting.get(report.id);
    this.#waiting.delete(report.id);
    this.#hold();
    if ('failure' in report) waiting?.reject(fromFailure(report.failure));
    else waiting?.resolve(report.output);
  }

  #fail(how: string): void {
    this.#failure ??= new PlatformError(
      'UNAVAILABLE',
      `The process of the warehouse's background sessions ended (${how})`,
    );
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }

  /** Keeps this process alive only for answers that it waits for. */
  #hold(): void {
    if (this.#waiting.size > 0) {
      this.#child.ref();
      this.#child.channel?.ref();
    } else {
      this.#child.unref();
      this.#child.channel?.unref();
    }
  }
}

class BackgroundSession implements WarehouseSession {
  readonly scratch: string;
  readonly memoryBytesMax: number;
  readonly #process: SessionProcess;
  readonly #number: number;
  readonly #release: () => void;
  #ended: Promise<void> | undefined;

  private constructor(process: SessionProcess, number: number, scratch: string, release: () => void) {
    this.#process = process;
    this.#number = number;
    this.scratch = scratch;
    this.memoryBytesMax = process.memoryBytesMax;
    this.#release = release;
  }

  static async open(process: SessionProcess, release: () => void): Promise<BackgroundSession> {
    const number = process.number();
    const scratch = (await process.ask(number, { kind: 'open' })) as string;
    return new BackgroundSession(process, number, scratch, release);
  }

  async run(sql: string): Promise<void> {
    await this.#ask({ kind: 'run', sql });
  }

  async query(sql: string): Promise<ResultColumns> {
    return (await this.#ask({ kind: 'query', sql })) as ResultColumns;
  }

  async *stream(sql: string): AsyncGenerator<ResultColumns, void, undefined> {
    const stream = this.#process.number();
    await this.#ask({ kind: 'stream', stream, sql });
    try {
      for (;;) {
        const piece = (await this.#ask({ kind: 'next', stream })) as ResultColumns | undefined;
        if (piece === undefined) return;
        yield piece;
      }
    } finally {
      // A session that has ended, or whose process has, has left it.
      await this.#ask({ kind: 'leave', stream }).catch(() => undefined);
    }
  }

  receive(chunks: AsyncIterable<Uint8Array>): Promise<string> {
    return receiveFile(this.scratch, chunks);
  }

  async append(table: string, columns: readonly ColumnSpec[]): Promise<RowAppender> {
    const appender = this.#process.number();
    await this.#ask({ kind: 'append', appender, table, columns });
    return new BackgroundAppender(table, columns.length, {
      send: (rows) => this.#process.tell(this.#number, { kind: 'rows', appender, rows }),
      close: async () => void (await this.#ask({ kind: 'close', appender })),
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  #ask(said: Said): Promise<unknown> {
    if (this.#ended === undefined) return this.#process.ask(this.#number, said);
    return Promise.reject(new PlatformError('INTERNAL', 'The warehouse session has ended'));
  }

  async #end(): Promise<void> {
    try {
      await this.#process.ask(this.#number, { kind: 'end' });
    } catch (error) {
      // One whose process is gone has ended with it.
      if (this.#process.isAlive) throw error;
    } finally {
      this.#release();
    }
  }
}

interface AppenderParts {
  readonly send: (rows: readonly Row[]) => void;
  readonly close: () => Promise<void>;
}

/** Sends rows in batches. What the table does not take is told at the end. */
class BackgroundAppender implements RowAppender {
  readonly #table: string;
  readonly #width: number;
  readonly #parts: AppenderParts;
  #rows: Row[] = [];
  #isOpen = true;

  constructor(table: string, width: number, parts: AppenderParts) {
    this.#table = table;
    this.#width = width;
    this.#parts = parts;
  }

  row(values: Row): void {
    if (!this.#isOpen) throw new TypeError(`The appender of table ${this.#table} is closed`);
    if (values.length !== this.#width) {
      throw new TypeError(
        `A row of table ${this.#table} has ${String(this.#width)} values, not ${String(values.length)}`,
      );
    }
    this.#rows.push(values);
    if (this.#rows.length === BATCH_ROWS) this.#flush();
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#flush();
    await this.#parts.close();
  }

  #flush(): void {
    if (this.#rows.length > 0) this.#parts.send(this.#rows);
    this.#rows = [];
  }
}
