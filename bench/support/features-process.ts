import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { VectorRead } from '../../src/contract/index.ts';
import { cpuTime } from './cpu-time.ts';
import { paymentOf } from './recovery-log.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MAIN = ['--conditions=tandem-source', join(ROOT, 'src/cli/main.ts')];
const READY_MS_MAX = 1_800_000;
/** Pause between two questions whether it is ready, in milliseconds. */
const LOOK_MS = 20;

/** Where the process finds what it works on. */
export interface FeaturesPlace {
  /** Address of the database. */
  readonly url: string;
  /** Folder of the objects. */
  readonly directory: string;
}

/** `tandem run features` on the app of bench/fixtures/ingest. It is killed at the end of the scope. */
export class FeaturesProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #begunMs: number;
  #serial = 0;
  /** From the start of the process to its first vector. */
  seconds = Number.NaN;

  private constructor(
    child: ChildProcess,
    url: string,
    headers: Readonly<Record<string, string>>,
    begunMs: number,
  ) {
    this.#child = child;
    this.#url = url;
    this.#headers = headers;
    this.#begunMs = begunMs;
  }

  /** `parameters` are for Node itself. */
  static async start(place: FeaturesPlace, parameters: readonly string[] = []): Promise<FeaturesProcess> {
    const environment = { ...process.env, DATABASE_URL: place.url, TANDEM_REPLICA: 'features-1' };
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [...MAIN, 'keys', 'create', 'bench', '--role', 'admin', '--direct'],
      { cwd: ROOT, env: environment },
    );
    const app = join(ROOT, 'bench/fixtures/ingest/app.ts');
    const own = ['run', 'features', '--app', app, '--data-dir', place.directory, '--json'];
    const begunMs = performance.now();
    const child = spawn(process.execPath, [...parameters, ...MAIN, ...own], {
      cwd: ROOT,
      env: environment,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const line = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', resolve);
      child.once('exit', (code) => reject(new Error(`features ended with ${String(code)}`)));
    });
    const url = (JSON.parse(line) as { url: string }).url.replace(/\/$/, '');
    return new FeaturesProcess(child, url, { authorization: `Bearer ${stdout.trim()}` }, begunMs);
  }

  /** Resolves when it says that it is ready and has answered a vector. */
  async ready(): Promise<void> {
    const endMs = performance.now() + READY_MS_MAX;
    for (;;) {
      const answer = await fetch(`${this.#url}/readyz`).catch(() => undefined);
      await answer?.arrayBuffer();
      if (answer?.ok === true) break;
      if (performance.now() > endMs) throw new Error('features did not get ready in time');
      await sleep(LOOK_MS);
    }
    await this.count(0);
    this.seconds = (performance.now() - this.#begunMs) / 1_000;
  }

  /** How many events of the last 30 days the customer has, with the one to decide on. */
  async count(customer: number): Promise<number> {
    this.#serial += 1;
    const at = Date.now();
    // An id that no event of the log has.
    const candidate = JSON.parse(paymentOf(-this.#serial, customer, at)) as unknown;
    const answer = await fetch(`${this.#url}/v1/vectors/spending/read`, {
      method: 'POST',
      headers: { ...this.#headers, 'content-type': 'application/json' },
      body: JSON.stringify({ candidates: [candidate] }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${String(answer.status)} ${text}`);
    const read = JSON.parse(text) as VectorRead;
    return Number(read.rows[0]?.values[read.names.indexOf('customer_count_30d')]);
  }

  /** CPU so far; 0 where there is no /proc. */
  async cpuSeconds(): Promise<{ readonly main: number; readonly threads: number }> {
    const folder = `/proc/${String(this.#child.pid)}`;
    const whole = (await cpuTime(folder))?.own ?? 0;
    const main = (await cpuTime(`${folder}/task/${String(this.#child.pid)}`))?.own ?? 0;
    return { main, threads: whole - main };
  }

  /** Most memory that it has had at a time, in MiB; NaN where there is no /proc. */
  async rssMiBPeak(): Promise<number> {
    const text = await readFile(`/proc/${String(this.#child.pid)}/status`, 'utf8').catch(() => '');
    return Number(/VmHWM:\s+(\d+) kB/.exec(text)?.[1] ?? Number.NaN) / 1_024;
  }

  /** Ends it in good order. */
  async end(): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.#ended();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended();
  }

  async #ended(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null)
      await new Promise((resolve) => this.#child.once('exit', resolve));
  }
}
