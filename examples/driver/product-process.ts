import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { killTree } from './process-tree.ts';
import { type Product, readKey } from './product.ts';

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
  /** The module of the app. */
  readonly app: string;
  /** Name of its log in the data folder, without `.log`. */
  readonly name: string;
  /** Whether features go by the time of events or by the clock on the wall. */
  readonly clock: 'event' | 'wall';
  /** Variables of its environment besides those of this process. */
  readonly environment: Readonly<Record<string, string>>;
  /** Where the product keeps everything. */
  readonly dataDir: string;
  /** Port on 127.0.0.1; 0 takes a free one. */
  readonly port: number;
  /** Processes of each service (`tandem up`); undefined: all services in one process (`tandem dev`). */
  readonly replicas: number | undefined;
}

/**
 * `tandem dev` or `tandem up` with an app as a child process in a process group of its own. Used over HTTP
 * only.
 */
export class ProductProcess implements Product {
  readonly #options: ProductOptions;
  /** Where the product's log goes. */
  readonly logPath: string;
  #child: ChildProcess | undefined;
  #url = '';
  headers: Readonly<Record<string, string>> = {};
  #up: Promise<void> = Promise.reject(new Error('The product was not started'));
  /** Set while the process is meant to end, so that its end is no failure. */
  #ending = false;

  constructor(options: ProductOptions) {
    this.#options = options;
    this.logPath = join(options.dataDir, `${options.name}.log`);
    this.#up.catch(() => undefined);
  }

  get url(): string {
    return this.#url;
  }

  get isDown(): boolean {
    return this.#ending;
  }

  up(): Promise<void> {
    return this.#up;
  }

  start(options: { readonly fresh: boolean }): Promise<void> {
    this.#up = this.#start(options.fresh);
    this.#up.catch(() => undefined);
    return this.#up;
  }

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

  async stop(): Promise<void> {
    const child = this.#child;
    this.#ending = true;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGTERM');
    const late = sleep(STOP_MS_MAX, 'late' as const, { ref: false });
    if ((await Promise.race([exited, late])) === 'late') await killTree(child.pid);
  }

  abandon(): void {
    const child = this.#child;
    if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null)
      child.kill('SIGTERM');
  }

  async #start(fresh: boolean): Promise<void> {
    const { root, dataDir } = this.#options;
    if (fresh && this.#options.replicas !== undefined) await this.#removeData();
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    const log = openSync(this.logPath, fresh ? 'w' : 'a');
    const main = join(root, 'src', 'cli', 'main.ts');
    const child = spawn(
      process.execPath,
      ['--conditions=tandem-source', main, ...this.#parameters(fresh)],
      // A group of its own: Ctrl-C in the terminal reaches the driver, which then stops the product in order.
      { cwd: root, detached: true, stdio: ['ignore', 'pipe', log], env: this.#environment() },
    );
    closeSync(log);
    this.#child = child;
    this.#ending = false;
    try {
      this.#url = await this.#readyLine(child);
      this.headers = await readKey(dataDir);
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

  #parameters(fresh: boolean): string[] {
    const { app, clock, dataDir, port, replicas } = this.#options;
    const common = ['--app', app, '--clock', clock, '--data-dir', dataDir, '--port', String(port), '--json'];
    if (replicas === undefined) return ['dev', ...common, ...(fresh ? ['--fresh'] : [])];
    const counts = REPLICATED.map((service) => `${service}=${String(replicas)}`);
    return ['up', ...common, '--replicas', ...counts];
  }

  /** What `--fresh` does with `tandem dev`, by that very verb. */
  async #removeData(): Promise<void> {
    const { root, app, dataDir } = this.#options;
    const main = join(root, 'src', 'cli', 'main.ts');
    const parameters = ['dev', '--app', app, '--data-dir', dataDir, '--port', '0', '--fresh', '--json'];
    const child = spawn(process.execPath, ['--conditions=tandem-source', main, ...parameters], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'ignore'],
      env: this.#environment(),
    });
    await this.#readyLine(child);
    child.kill('SIGTERM');
    await new Promise<void>((resolve) => child.once('exit', () => resolve()));
  }

  #environment(): NodeJS.ProcessEnv {
    return { ...process.env, ...this.#options.environment };
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

/** Services of which `--replicas` starts so many: gateway stays at one address, train follows its jobs. */
const REPLICATED = ['ingest', 'features', 'registry', 'serve'] as const;

/** The address in the line that says the product is ready; `undefined` for any other line. */
export function readyUrl(line: string): string | undefined {
  try {
    const said: unknown = JSON.parse(line);
    if (typeof said !== 'object' || said === null) return undefined;
    const { url } = said as { readonly url?: unknown };
    return typeof url === 'string' ? url.replace(/\/$/, '') : undefined;
  } catch {
    return undefined;
  }
}
