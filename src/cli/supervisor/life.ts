import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { Clock } from '../../runtime/index.ts';
import { ask } from '../ask.ts';
import type { Child } from './child.ts';

/** When a process that runs counts as hung, as too large, or as long unready. */
export const LIFE = {
  /** Pause between two looks at a process, in milliseconds. */
  lookMs: 1_000,
  /** How long `/livez` may take to answer, in milliseconds. */
  answerMsMax: 3_500,
  /** So many unanswered `/livez` in a row, and the process is ended: 12.5 s with the pauses. */
  failuresMax: 3,
  /** So many looks in a row at which a process holds more than its memory, and it is started anew. */
  overMax: 3,
  /** Every so many looks `/readyz` is asked, and at each one after the process was reported. */
  readyEvery: 5,
  /** A process that is not ready for so long is reported, in milliseconds. It is not ended: readiness is not life. */
  unreadyMs: 10_000,
} as const;

/** Why another process must take the place of one: one that is `hung` does not hear SIGTERM, a `mute` one never said its address. */
export interface Fault {
  readonly reason: 'ended' | 'hung' | 'memory' | 'mute';
  readonly how: string;
}

export interface LifeOptions {
  /** Most memory that the process may hold, in MiB; `undefined`: any. */
  readonly memoryMax: number | undefined;
  readonly clock: Clock;
  /** Whether it was reported already that the process is not ready. Default: not. */
  readonly isReported?: boolean;
  /** Ends the watch. */
  readonly signal: AbortSignal;
  /** Told when the process is not ready for long, and with `null` when it is again. */
  readonly report: (problem: string | null) => void;
}

/** Watches a process that listens; resolves when it must be started anew, or with `undefined` at the end of the watch. */
export async function watchLife(child: Child, options: LifeOptions): Promise<Fault | undefined> {
  const { clock, signal, memoryMax } = options;
  const readiness = new ReadinessWatch(child, options);
  let failures = 0;
  let over = 0;
  for (let look = 1; !signal.aborted; look += 1) {
    await clock.sleep(LIFE.lookMs, signal);
    if (signal.aborted || child.url === undefined) continue;
    failures = (await isAnswered(child.url, '/livez', signal)) === 'no answer' ? failures + 1 : 0;
    if (signal.aborted) break;
    if (failures >= LIFE.failuresMax) {
      const how = `did not answer ${String(failures)} times in a row, ${String(LIFE.answerMsMax)} ms each`;
      return { reason: 'hung', how };
    }
    const held = memoryMax === undefined ? undefined : await memoryOf(child.pid);
    over = held !== undefined && memoryMax !== undefined && held > memoryMax ? over + 1 : 0;
    if (over >= LIFE.overMax) {
      return { reason: 'memory', how: `holds ${String(held)} MiB of the ${String(memoryMax)} MiB it may` };
    }
    const isDue = look % LIFE.readyEvery === 0 || readiness.isReported;
    if (failures === 0 && isDue) await readiness.look();
  }
  return undefined;
}

/** Notes since when a process is not ready. */
class ReadinessWatch {
  readonly #child: Child;
  readonly #options: LifeOptions;
  #unreadyMs: number | undefined;
  #isReported: boolean;

  constructor(child: Child, options: LifeOptions) {
    this.#child = child;
    this.#options = options;
    this.#isReported = options.isReported === true;
  }

  /** Whether somebody waits to hear that it is ready again. */
  get isReported(): boolean {
    return this.#isReported;
  }

  async look(): Promise<void> {
    const { clock, signal, report } = this.#options;
    if (this.#child.url === undefined) return;
    const isReady = (await isAnswered(this.#child.url, '/readyz', signal)) === 'well';
    if (isReady) {
      if (this.#isReported) report(null);
      this.#isReported = false;
      this.#unreadyMs = undefined;
      return;
    }
    this.#unreadyMs ??= clock.monotonic();
    const unreadyMs = clock.monotonic() - this.#unreadyMs;
    if (unreadyMs < LIFE.unreadyMs) return;
    this.#isReported = true;
    report(`not ready for ${String(Math.round(unreadyMs / 1_000))} s`);
  }
}

/** Any answer means that the process lives; whether it is well is another question. */
async function isAnswered(
  url: string,
  path: '/livez' | '/readyz',
  signal: AbortSignal,
): Promise<'well' | 'unwell' | 'no answer'> {
  try {
    const late = AbortSignal.timeout(LIFE.answerMsMax);
    const { ok } = await ask(new URL(path, url), {
      signal: AbortSignal.any([signal, late]),
      isOwnProcess: true,
    });
    return ok ? 'well' : 'unwell';
  } catch {
    return 'no answer';
  }
}

/** Memory that a process holds, in MiB; `undefined` where the system does not say. */
export async function memoryOf(pid: number): Promise<number | undefined> {
  try {
    if (process.platform === 'linux') {
      const [, kibibytes] =
        /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${String(pid)}/status`, 'utf8')) ?? [];
      return kibibytes === undefined ? undefined : Math.round(Number(kibibytes) / 1_024);
    }
    if (process.platform === 'win32') return undefined;
    const { stdout } = await promisify(execFile)('ps', ['-o', 'rss=', '-p', String(pid)]);
    return Math.round(Number(stdout) / 1_024);
  } catch {
    return undefined;
  }
}
