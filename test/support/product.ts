import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { killTree } from '../../examples/driver/process-tree.ts';
import { removeEmbedded } from '../../src/adapters/postgres/index.ts';
import { ROOT } from '../tidy/tree.ts';

/** How long the product may take to be ready; with several test files at once on two cores it can be slow. */
const READY_MS_MAX = 120_000;

/** `tandem dev` as a user runs it: a process of its own with an embedded database, in a folder of a test's own. */
export interface Product extends AsyncDisposable {
  readonly dataDir: string;
  /** Address of the running product; changes with each start. */
  readonly url: string;
  /** Starts it on the data that are there, and waits until it is ready. */
  start(): Promise<void>;
  /** SIGKILL to it and everything it started, the database included. */
  kill(): Promise<void>;
  /** SIGTERM, as Ctrl-C; resolves with the exit code. */
  stop(): Promise<number | null>;
}

export async function product(app: string, options: readonly string[] = []): Promise<Product> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tandem-product-'));
  let child: ChildProcess | undefined;
  let url = '';
  let log = '';
  const exited = (): Promise<number | null> =>
    new Promise((resolve) => {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null)
        resolve(child?.exitCode ?? null);
      else child.once('exit', (code) => resolve(code));
    });
  return {
    dataDir,
    get url() {
      return url;
    },
    async start() {
      const main = join(ROOT, 'src/cli/main.ts');
      const parameters = [
        'dev',
        '--app',
        join(ROOT, app),
        '--data-dir',
        dataDir,
        '--port',
        '0',
        '--json',
        ...options,
      ];
      const started = spawn(process.execPath, ['--conditions=tandem-source', main, ...parameters], {
        cwd: ROOT,
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      child = started;
      started.stderr.on('data', (chunk: Buffer) => (log = `${log}${chunk.toString()}`.slice(-8_000)));
      url = await new Promise<string>((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`not ready in time:\n${log}`)), READY_MS_MAX);
        createInterface({ input: started.stdout }).on('line', (line) => {
          clearTimeout(late);
          resolve((JSON.parse(line) as { url: string }).url);
        });
        started.once('exit', (code) => {
          clearTimeout(late);
          reject(new Error(`ended with ${String(code)} before it was ready:\n${log}`));
        });
      });
    },
    async kill() {
      if (child?.pid !== undefined) await killTree(child.pid);
    },
    async stop() {
      child?.kill('SIGTERM');
      return exited();
    },
    async [Symbol.asyncDispose]() {
      if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        await exited();
      }
      await removeEmbedded(join(dataDir, 'postgres'));
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** JSON of a route of the product; an answer that is no success is an error with its text. */
export async function fetchJson<TResult>(address: string, init?: RequestInit): Promise<TResult> {
  const response = await fetch(address, init);
  if (!response.ok) throw new Error(`${String(response.status)} ${await response.text()}`);
  return (await response.json()) as TResult;
}
