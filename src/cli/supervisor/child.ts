import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServiceName } from '../../contract/index.ts';
import { ask } from '../ask.ts';
import type { Build } from '../deploy/build.ts';
import { conditionsFor } from '../deploy/installation.ts';
import { isAlive, type ProcessIdentity, processStart, sendSignal } from '../process-identity.ts';
import { lastError } from './last-error.ts';
import { logFile, openLog } from './log-file.ts';
import type { ProcessRecord } from './state-file.ts';

/** Times of children, in milliseconds. */
export const CHILD_TIMES = {
  /** A child that has not said its address after this is ended and started again; one that is not ready is reported. */
  readyMsMax: 60_000,
  /** How often a starting child is asked whether it is ready. */
  askMs: 100,
  /** How long one such question may take. */
  answerMsMax: 2_000,
  /** How often it is looked whether a child lives that another supervisor started. */
  lookMs: 100,
  /** What a child gets beyond its own grace before it is ended with SIGKILL. */
  endMarginMs: 2_000,
} as const;

/** A process that runs one service. */
export interface Child extends ProcessIdentity {
  /** Base address, once it has said it. */
  readonly url: string | undefined;
  /** Resolves when it has ended, with how. */
  readonly ended: Promise<string>;
  /** The last error that it wrote, in words; `undefined` when there is none that could be why it ended. */
  lastError(): Promise<string | undefined>;
}

export interface SpawnOptions {
  readonly service: ServiceName;
  readonly slot: number;
  readonly dataDir: string;
  /** What it runs. */
  readonly build: Build;
  /** Parameters of `tandem run SERVICE`. */
  readonly parameters: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
}

/**
 * Starts `tandem run` in a process group of its own, so that a Ctrl-C at the terminal reaches the supervisor
 * alone. It outlives a supervisor that is killed: it writes into a file and says its address through a pipe
 * that nothing is written to afterwards. If nobody reads the address, the child ends by itself, so that none
 * runs that no state knows of.
 */
export async function spawnChild(options: SpawnOptions): Promise<Child> {
  const { build } = options;
  const command = [...conditionsFor(build), build.main, 'run', options.service, '--app', build.app];
  const path = logFile(options.dataDir, options.service, options.slot);
  await using log = await openLog(options.dataDir, options.service, options.slot);
  const { size: begin } = await log.stat();
  const started = spawn(process.execPath, [...command, ...options.parameters, '--json'], {
    detached: true,
    env: { ...options.environment, TANDEM_BUILD: build.id },
    stdio: ['ignore', 'pipe', log.fd],
  });
  const ended = endOf(started);
  await new Promise<void>((resolve, reject) => {
    started.once('spawn', resolve);
    started.once('error', reject);
  });
  const { pid = 0, stdout } = started;
  let url: string | undefined;
  if (stdout !== null) createInterface({ input: stdout }).once('line', (line) => (url = readUrl(line)));
  return {
    pid,
    started: (await processStart(pid)) ?? '',
    ended,
    lastError: () => lastError(path, begin),
    get url() {
      return url;
    },
  };
}

function endOf(started: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    started.once('exit', (code, signal) => resolve(signal ?? `exit code ${String(code)}`));
    started.once('error', (error) => resolve(error.message));
  });
}

function readUrl(line: string): string | undefined {
  try {
    const { url } = JSON.parse(line) as { readonly url?: unknown };
    return typeof url === 'string' && URL.canParse(url) ? url : undefined;
  } catch {
    return undefined;
  }
}

/** A child that another supervisor started: as it is none of this process, its end must be looked for. */
export function adoptChild(record: ProcessRecord & { readonly pid: number }, dataDir: string): Child {
  const { pid, started, url, service, slot } = record;
  const look = async (): Promise<string> => {
    while (await isAlive({ pid, started })) await sleep(CHILD_TIMES.lookMs);
    return 'unknown reason';
  };
  return {
    pid,
    started,
    url: url ?? undefined,
    ended: look(),
    lastError: () => lastError(logFile(dataDir, service, slot), 0),
  };
}

/**
 * Waits until `/readyz` says that the child is ready; `false` when the child ended, time is over or `signal` is aborted. The time
 * begins anew whenever it has come nearer to that, which `moved` is told.
 */
export async function readyWithin(
  child: Child,
  withinMs: number,
  signal: AbortSignal,
  moved: (progress: number) => void = () => undefined,
): Promise<boolean> {
  const over = new AbortController();
  const stop = (): void => over.abort();
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  const timer = setTimeout(stop, withinMs);
  void child.ended.then(stop);
  let progress = 0;
  try {
    while (!over.signal.aborted) {
      const answer = child.url === undefined ? undefined : await answerOf(child.url, over.signal);
      if (answer?.status === 200) return true;
      if (answer !== undefined && answer.progress !== progress) {
        progress = answer.progress;
        timer.refresh();
        moved(progress);
      }
      await sleep(CHILD_TIMES.askMs, undefined, { signal: over.signal }).catch(() => undefined);
    }
    return false;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}

async function answerOf(
  url: string,
  over: AbortSignal,
): Promise<{ readonly status: number; readonly progress: number } | undefined> {
  try {
    const signal = AbortSignal.any([over, AbortSignal.timeout(CHILD_TIMES.answerMsMax)]);
    const { status, content } = await ask(new URL('/readyz', url), { signal, isOwnProcess: true });
    const { details } = (content ?? {}) as { readonly details?: { readonly progress?: unknown } };
    const { progress } = details ?? {};
    return { status, progress: typeof progress === 'number' ? progress : 0 };
  } catch {
    return undefined;
  }
}

/** Asks a child to end and waits; after its grace and a margin, its group is ended at once. */
export async function endChild(child: Child, graceMs: number): Promise<void> {
  if (!(await isAlive(child))) return;
  sendSignal(child.pid, 'SIGTERM');
  const over = new AbortController();
  const late = sleep(graceMs + CHILD_TIMES.endMarginMs, 'late', { signal: over.signal }).catch(() => 'ended');
  const how = await Promise.race([late, child.ended.then(() => 'ended')]);
  over.abort();
  if (how === 'late') killChild(child);
  await child.ended;
}

/** Ends a child and what it started, at once. */
export function killChild(child: ProcessIdentity): void {
  sendSignal(-child.pid, 'SIGKILL');
}
