import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { locateBinaries } from '../../../src/adapters/postgres/embedded/binaries.ts';
import { choosePlace } from '../../../src/adapters/postgres/embedded/place.ts';
import { clusterName, readPidFile } from '../../../src/adapters/postgres/embedded/postmaster.ts';
import { processesWith, signal } from '../../../src/adapters/postgres/embedded/processes.ts';
import { removeEmbedded } from '../../../src/adapters/postgres/index.ts';
import { compileCacheFolder } from '../../../src/cli/compile-cache.ts';
import { isAlive } from '../../../src/cli/process-identity.ts';
import { livingProcesses, type ProcessRecord, readState } from '../../../src/cli/supervisor/state-file.ts';
import { SERVICE_NAMES, type ServiceName } from '../../../src/contract/index.ts';
import { ROOT } from '../../tidy/tree.ts';
import { atEnd } from './ending.ts';
import { directTarget, type TargetRecipe } from './target.ts';

/** How long the platform may take to be ready for the first time, in milliseconds: it makes its database. */
const FIRST_MS_MAX = 120_000;
/** How often it is looked whether everything is ready, in milliseconds. */
const LOOK_MS = 50;
/** How long one process may take to say whether it is ready, in milliseconds. */
const ANSWER_MS_MAX = 2_500;
/** How long an init system waits before it starts a service again, in milliseconds: systemd's default. */
const AGAIN_MS = 100;
/** How long the supervisor may take to stop everything, in milliseconds. */
const STOP_MS_MAX = 30_000;

export interface PlatformOptions {
  /** File of the app. Default: `fixtures/app.ts`. */
  readonly app?: string;
  /** Processes of each service; those that are not named have one. */
  readonly replicas?: Readonly<Partial<Record<ServiceName, number>>>;
  /** Options as `--set` takes them, e.g. `features.snapshotMs=2000`. */
  readonly set?: readonly string[];
  /** Environment of the supervisor and so of every process. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Start the supervisor again whenever it ends, as an init system would. Default: it stays away. */
  readonly keepUp?: boolean;
  /** Folder in which the data directory is made, with the database inside it. Default: the temporary folder. */
  readonly parent?: string;
  /** Told what is going on. */
  readonly note: (text: string) => void;
}

/** `tandem up` as a user runs it: real processes and an embedded database, in a folder of its own. */
export class Platform implements AsyncDisposable {
  readonly dataDir: string;
  readonly #options: PlatformOptions;
  #supervisor: ChildProcess | undefined;
  #replicas: Readonly<Partial<Record<ServiceName, number>>>;
  #hasFailed = false;
  #isStopping = false;
  #stopped: Promise<void> | undefined;
  /** A run that is told to end leaves no process behind. */
  readonly #ending: Disposable;

  private constructor(dataDir: string, options: PlatformOptions) {
    this.dataDir = dataDir;
    this.#options = options;
    this.#replicas = options.replicas ?? {};
    this.#ending = atEnd(() => this[Symbol.asyncDispose]());
  }

  /** Starts everything and waits until it is ready. */
  static async start(options: PlatformOptions): Promise<Platform> {
    return Platform.begin(options, async (platform) => {
      await platform.untilReady(FIRST_MS_MAX);
    });
  }

  /** Starts everything and waits for what `first` waits for. */
  static async begin(
    options: PlatformOptions,
    first: (platform: Platform) => Promise<void>,
  ): Promise<Platform> {
    const { parent = tmpdir() } = options;
    const platform = new Platform(await mkdtemp(join(parent, 'tandem-chaos-')), options);
    try {
      // The database stays where it is put only if its system user can get there.
      if (options.parent !== undefined) await chmod(platform.dataDir, 0o755);
      await platform.startSupervisor();
      await first(platform);
      return platform;
    } catch (error) {
      platform.failed();
      await platform[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Where requests go: the ports of the processes. */
  get target(): TargetRecipe {
    return directTarget(this.dataDir);
  }

  /** Starts `tandem up`, on what is there; does not wait for it. Its messages go to `logs/supervisor.log`. */
  async startSupervisor(): Promise<void> {
    const { app, set = [], environment = {} } = this.#options;
    const file = app ?? fileURLToPath(new URL('../fixtures/app.ts', import.meta.url));
    const numbers = Object.entries(this.#replicas).map(([service, number]) => `${service}=${String(number)}`);
    await mkdir(join(this.dataDir, 'logs'), { recursive: true });
    const log = await open(join(this.dataDir, 'logs', 'supervisor.log'), 'a');
    if (this.#isStopping) return log.close();
    this.#supervisor = spawn(
      process.execPath,
      [
        '--conditions=tandem-source',
        join(ROOT, 'src/cli/main.ts'),
        'up',
        '--app',
        file,
        '--data-dir',
        this.dataDir,
        '--json',
        ...(numbers.length === 0 ? [] : ['--replicas', ...numbers]),
        ...(set.length === 0 ? [] : ['--set', ...set]),
      ],
      {
        cwd: ROOT,
        // A checkout's first files are compiled before the product can look for what an earlier start left; those of
        // the package need no compiling.
        env: { ...process.env, NODE_COMPILE_CACHE: compileCacheFolder(this.dataDir), ...environment },
        // In a group of its own: a Ctrl-C at the terminal is for the chaos run, which then stops it.
        detached: true,
        stdio: ['ignore', 'ignore', log.fd],
      },
    );
    await log.close();
    this.#supervisor.once('exit', () => {
      if (this.#options.keepUp !== true || this.#isStopping) return;
      setTimeout(() => void this.#again(), AGAIN_MS);
    });
  }

  async #again(): Promise<void> {
    if (!this.#isStopping) await this.startSupervisor();
  }

  /** The supervisor, as long as it runs. */
  get supervisorPid(): number | undefined {
    const child = this.#supervisor;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return undefined;
    return child.pid;
  }

  /** Resolves when this process, which has ended, is not taken for the supervisor any more. */
  async supervisorGone(pid: number): Promise<void> {
    while (this.supervisorPid === pid) await sleep(1);
  }

  /** SIGKILL to the supervisor, if it runs; resolves when it is gone. */
  async killSupervisor(): Promise<void> {
    const supervisor = this.#supervisor;
    if (supervisor === undefined || this.supervisorPid === undefined) return;
    const ended = new Promise((resolve) => supervisor.once('exit', resolve));
    supervisor.kill('SIGKILL');
    await ended;
  }

  /** Runs another verb of `tandem` on this platform; resolves with its exit code and what it wrote. */
  tandem(...parameters: readonly string[]): Promise<{ code: number | null; out: string; err: string }> {
    return new Promise((resolve) => {
      const child = spawn(
        process.execPath,
        [
          '--conditions=tandem-source',
          join(ROOT, 'src/cli/main.ts'),
          ...parameters,
          '--data-dir',
          this.dataDir,
        ],
        { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] },
      );
      let [out, err] = ['', ''];
      child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
      child.once('close', (code) => resolve({ code, out, err }));
    });
  }

  /** From now on that many processes of the service, also after a restart of the supervisor. */
  async scale(service: ServiceName, replicas: number): Promise<void> {
    this.#replicas = { ...this.#replicas, [service]: replicas };
    const { code, err } = await this.tandem('scale', service, String(replicas));
    if (code !== 0) throw new Error(`tandem scale ${service} ${String(replicas)}: ${err}`);
  }

  /** The processes as the supervisor last wrote them down. */
  async processes(service?: ServiceName): Promise<readonly ProcessRecord[]> {
    const found = (await readState(this.dataDir))?.processes ?? [];
    return found.filter((record) => service === undefined || record.service === service);
  }

  /** Those of a service that run at this moment. */
  async living(service?: ServiceName): Promise<readonly (ProcessRecord & { readonly pid: number })[]> {
    const state = await readState(this.dataDir);
    const living = state === undefined ? [] : await livingProcesses(state);
    return living.filter((record) => service === undefined || record.service === service);
  }

  /** The process id of the embedded database's postmaster; `undefined` when it does not run. */
  async postmasterPid(): Promise<number | undefined> {
    const place = await choosePlace(join(this.dataDir, 'postgres'), await locateBinaries());
    const file = await readPidFile(place.data);
    return file !== undefined && (await isAlive({ pid: file.pid, started: '' })) ? file.pid : undefined;
  }

  /**
   * Why not everything is ready, in words; `undefined` when it is: the supervisor runs, each service has as many
   * processes as are wanted, and every one of them says that it is ready. `without`: services that may be absent.
   */
  async unready(without: readonly ServiceName[] = []): Promise<string | undefined> {
    const state = await readState(this.dataDir);
    if (state === undefined) return 'the supervisor has written no state yet';
    if (state.supervisor.pid !== this.supervisorPid) return 'the supervisor does not run yet';
    const asked: Promise<string | undefined>[] = [];
    for (const service of SERVICE_NAMES) {
      if (without.includes(service)) continue;
      const records = state.processes.filter((record) => record.service === service);
      const wanted = state.services[service]?.replicas ?? 0;
      if (records.length !== wanted)
        return `${service}: ${String(records.length)} of ${String(wanted)} processes`;
      for (const { state: is, slot, url, pid } of records) {
        const name = `${service}-${String(slot)}`;
        if (is !== 'ready' || url === null || pid === null) return `${name} is ${is}`;
        asked.push(whyUnready(url).then((why) => (why === undefined ? undefined : `${name}: ${why}`)));
      }
    }
    return (await Promise.all(asked)).find((why) => why !== undefined);
  }

  /** Waits until everything is ready; resolves with how long that took since `begun`, in milliseconds. */
  async untilReady(
    withinMs: number,
    without: readonly ServiceName[] = [],
    begun: number = performance.now(),
  ): Promise<number> {
    for (;;) {
      const why = await this.unready(without);
      const tookMs = performance.now() - begun;
      if (why === undefined) return tookMs;
      if (this.supervisorPid === undefined && this.#options.keepUp !== true)
        throw new Error(`The supervisor does not run; ${why}`);
      if (tookMs > withinMs) throw new Error(`Not everything is ready after ${String(withinMs)} ms: ${why}`);
      await sleep(LOOK_MS);
    }
  }

  /** Something went wrong: the logs are kept when this platform is stopped. */
  failed(): void {
    this.#hasFailed = true;
  }

  /** Stops everything, keeps the logs if something failed, and removes the rest. */
  [Symbol.asyncDispose](): Promise<void> {
    return (this.#stopped ??= this.#stop());
  }

  async #stop(): Promise<void> {
    this.#isStopping = true;
    // Whatever fails, what comes after it is still done; the first failure is then told.
    const failures: unknown[] = [];
    const steps = [
      () => this.#endSupervisor(),
      async () => (await this.living()).forEach(({ pid }) => signal(pid, 'SIGKILL')),
      () => this.#keepLogs(),
      () => removeEmbedded(join(this.dataDir, 'postgres')),
      () => rm(this.dataDir, { recursive: true, force: true, maxRetries: 5 }),
    ];
    for (const step of steps) await step().catch((error: unknown) => failures.push(error));
    this.#ending[Symbol.dispose]();
    if (failures.length > 0) throw new AggregateError(failures, `${this.dataDir} was not stopped in order`);
  }

  async #endSupervisor(): Promise<void> {
    const supervisor = this.#supervisor;
    if (supervisor === undefined || this.supervisorPid === undefined) return;
    const ended = new Promise((resolve) => supervisor.once('exit', resolve));
    const late = setTimeout(() => supervisor.kill('SIGKILL'), STOP_MS_MAX);
    // Processes that a run stopped with SIGSTOP would not hear of the end.
    const stopped = await Promise.all([this.living().catch(() => []), this.#databaseProcesses()]);
    for (const { pid } of stopped.flat()) signal(pid, 'SIGCONT');
    supervisor.kill('SIGCONT');
    supervisor.kill('SIGTERM');
    await ended;
    clearTimeout(late);
  }

  async #databaseProcesses(): Promise<readonly { readonly pid: number }[]> {
    const { data } = await choosePlace(join(this.dataDir, 'postgres'), await locateBinaries());
    return processesWith(clusterName(data));
  }

  async #keepLogs(): Promise<void> {
    if (!this.#hasFailed) return;
    const kept = await mkdtemp(join(tmpdir(), 'tandem-chaos-logs-'));
    await cp(join(this.dataDir, 'logs'), kept, { recursive: true });
    this.#options.note(`the logs are kept in ${kept}`);
  }
}

async function whyUnready(url: string): Promise<string | undefined> {
  try {
    const answer = await fetch(new URL('/readyz', url), { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    const text = await answer.text();
    return answer.ok ? undefined : text.slice(0, 300);
  } catch (error) {
    return String((error as Error).cause ?? error);
  }
}
