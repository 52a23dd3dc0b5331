import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { killTree } from './process-tree.ts';

/**
 * How long the product may take to be ready; the first start creates a database, after a crash it recovers
 * one.
 */
const READY_MS_MAX = 180_000;
/** How long a clean stop may take before it is ended hard. */
const STOP_MS_MAX = 60_000;

export interface ProductOptions {
  /** The repository: where src/cli/main.ts lies. */
  readonly root: string;
  /** Where the product keeps everything. */
  readonly dataDir: string;
  /** Port on 127.0.0.1; 0 takes a free one. */
  readonly port: number;
}

/** `tandem dev` with this app as a child process in a process group of its own. Used over HTTP only. */
export class ProductProcess {
  readonly #options: ProductOptions;
  /** Where the product's log goes. */
  readonly logPath: string;
  #child: ChildProcess | undefined;
  #url = '';
  #up: Promise<void> = Promise.reject(new Error('The product was not started'));
  /** Set while the process is meant to end, so that its end is no failure. */
  #ending = false;

  constructor(options: ProductOptions) {
    this.#options = options;
    this.logPath = join(options.dataDir, 'fraud.log');
    this.#up.catch(() => undefined);
  }

  /** The address it listens on now; another one after a restart when the port is 0. */
  get url(): string {
    return this.#url;
  }

  /** Whether it was ended on purpose and is not up again. */
  get isDown(): boolean {
    return this.#ending;
  }

  /** Resolves when it takes requests. Rejects when it ended by itself. */
  up(): Promise<void> {
    return this.#up;
  }

  /** Starts it and waits until it is ready. With `fresh` it begins with an empty data folder. */
  start(options: { readonly fresh: boolean }): Promise<void> {
    this.#up = this.#start(options.fresh);
    this.#up.catch(() => undefined);
    return this.#up;
  }

  /** Kills it and everything it started, as a power cut would, and starts it again on the data it left. */
  async killAndRestart(): Promise<void> {
    const pid = this.#child?.pid;
    this.#ending = true;
    const restarted = Promise.withResolvers<void>();
    restarted.promise.catch(() => undefined);
    this.#up = restarted.promise;
    try {
      if (pid !== undefined) await killTree(pid);
      await this.#start(false);
      restarted.resolve();
    } catch (error) {
      restarted.reject(error);
      throw error;
    }
  }

  /** Asks it to stop, waits, and ends it hard if it does not. Calling it twice is no error. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#ending = true;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGTERM');
    const late = sleep(STOP_MS_MAX, 'late' as const, { ref: false });
    if ((await Promise.race([exited, late])) === 'late') await killTree(child.pid);
  }

  /** For the end of this process when nothing can be waited for: asks the product to stop, if it runs. */
  abandon(): void {
    const child = this.#child;
    if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null)
      child.kill('SIGTERM');
  }

  async #start(fresh: boolean): Promise<void> {
    const { root, dataDir, port } = this.#options;
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    const log = openSync(this.logPath, fresh ? 'w' : 'a');
    const main = join(root, 'src', 'cli', 'main.ts');
    const app = join(root, 'examples', 'fraud', 'app.ts');
    const parameters = [
      'dev',
      '--app',
      app,
      '--clock',
      'event',
      '--data-dir',
      dataDir,
      '--port',
      String(port),
      '--json',
    ];
    const child = spawn(
      process.execPath,
      ['--conditions=tandem-source', main, ...parameters, ...(fresh ? ['--fresh'] : [])],
      // A group of its own: Ctrl-C in the terminal reaches the driver, which then stops the product in order.
      { cwd: root, detached: true, stdio: ['ignore', 'pipe', log] },
    );
    closeSync(log);
    this.#child = child;
    this.#ending = false;
    try {
      this.#url = await this.#readyLine(child);
    } catch (error) {
      if (child.pid !== undefined && child.exitCode === null) await killTree(child.pid);
      throw error;
    }
    child.once('exit', (code, signal) => {
      if (this.#ending || this.#child !== child) return;
      this.#up = this.#failure(`ended by itself (${signal ?? `exit code ${String(code)}`})`).then((error) => {
        throw error;
      });
      this.#up.catch(() => undefined);
    });
  }

  async #readyLine(child: ChildProcess): Promise<string> {
    const { stdout } = child;
    if (stdout === null) throw new Error('The product has no output');
    const ready = new Promise<string>((resolve, reject) => {
      const lines = createInterface({ input: stdout });
      lines.on('line', (line) => {
        const url = readyUrl(line);
        if (url !== undefined) resolve(url);
      });
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        void this.#failure(`did not start (${signal ?? `exit code ${String(code)}`})`).then(reject);
      });
    });
    const late = sleep(READY_MS_MAX, undefined, { ref: false }).then(async () => {
      throw await this.#failure(`was not ready after ${String(READY_MS_MAX / 1_000)} s`);
    });
    return Promise.race([ready, late]);
  }

  async #failure(what: string): Promise<Error> {
    const log = await readFile(this.logPath, 'utf8').catch(() => '');
    const tail = log.trimEnd().split('\n').slice(-15).join('\n');
    return new Error(`The product ${what}. The end of ${this.logPath}:\n${tail.slice(-4_000)}`);
  }
}

/** The address in the line that says the product is ready; `undefined` for any other line. */
export function readyUrl(line: string): string | undefined {
  try {
    const said: unknown = JSON.parse(line);
    if (typeof said !== 'object' || said === null || !('url' in said)) return undefined;
    return typeof said.url === 'string' ? said.url.replace(/\/$/, '') : undefined;
  } catch {
    return undefined;
  }
}
