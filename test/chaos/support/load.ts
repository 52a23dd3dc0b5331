import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { TargetRecipe } from './target.ts';

/** What a load is: constant rates, whatever the answers are. */
export interface LoadOptions {
  readonly target: TargetRecipe;
  readonly seed: number;
  /** Events a second. Default 500. */
  readonly eventsPerSecond?: number;
  /** Events of one request: real producers send small batches. Default 10. */
  readonly eventsPerRequest?: number;
  /** Decisions a second, half of them durable and half buffered. Default 200. */
  readonly decisionsPerSecond?: number;
  /** Which decisions. Default both. */
  readonly decisions?: readonly string[];
  /** How long a decision may take with all its tries, in milliseconds. Default 10,000. */
  readonly decisionMs?: number;
  /** How long one try of a decision may take before another address is asked, in milliseconds. Default 2,000. */
  readonly tryMs?: number;
  /** Keys of the events. Default 200. */
  readonly keys?: number;
  /** Goes in front of ids and keys, so that a second load is told apart. Default `load`. */
  readonly name?: string;
}

/** Latencies in milliseconds, from the moment when a request was due, not when it was sent. */
export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** Counts of a load so far. */
export interface LoadReport {
  readonly events: {
    /** Distinct events that were due so far. */
    readonly due: number;
    /** Distinct events with a 2xx. */
    readonly acknowledged: number;
    /** Distinct events that are being sent, or sent again. */
    readonly pending: number;
    /** Requests that were sent again. */
    readonly resent: number;
    readonly latency: Percentiles;
  };
  readonly decisions: {
    readonly due: number;
    readonly answered: number;
    /** Of those answered, how many took more than one try. */
    readonly answeredLater: number;
    /** Without a 2xx within the deadline. */
    readonly failed: number;
    readonly pending: number;
    readonly latency: Percentiles;
  };
  /** How tries ended that brought no 2xx, by what was asked for and how, e.g. `decide 503 UNAVAILABLE`. */
  readonly refusals: Readonly<Record<string, number>>;
  /** Answers that no client should get, e.g. 500 or an acknowledgement of fewer events than were sent; few of them. */
  readonly wrong: readonly string[];
  /** Decisions that failed for good: what the last try said and when it was due, since 1970; few of them. */
  readonly failures: readonly { readonly at: number; readonly decision: string; readonly last: string }[];
}

/** What the load knows at its end. */
export interface LoadResult extends LoadReport {
  /** By key: how many acknowledged events, and the sum of their serial numbers. */
  readonly keys: Readonly<Record<string, { readonly count: number; readonly serials: number }>>;
  /** Ids that were given out, by decision. */
  readonly decisionIds: Readonly<Record<string, readonly string[]>>;
}

/** Requests to the process of the load. */
export type LoadOrder = { readonly order: 'report' } | { readonly order: 'stop'; readonly withinMs: number };
/** Answers of the process of the load. */
export type LoadAnswer =
  | { readonly answer: 'started' }
  | { readonly answer: 'report'; readonly report: LoadReport }
  | { readonly answer: 'stopped'; readonly result: LoadResult };

/** How long the end of a load is waited for beyond what it was given, in milliseconds. */
const MARGIN_MS = 30_000;

/** A load that runs in a process of its own. */
export interface Load extends AsyncDisposable {
  readonly pid: number;
  report(): Promise<LoadReport>;
  /**
   * Begins nothing new, and sends again what is unknown until it is acknowledged, for `withinMs` at most: what is
   * left then counts as pending. Default 60,000.
   */
  stop(withinMs?: number): Promise<LoadResult>;
}

/** Starts a load; resolves when it sends. */
export async function startLoad(options: LoadOptions): Promise<Load> {
  const child = fork(fileURLToPath(new URL('load-process.ts', import.meta.url)), [JSON.stringify(options)], {
    execArgv: ['--conditions=tandem-source'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  try {
    await answerOf(child, 'started', MARGIN_MS);
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  const ask = (order: LoadOrder): void => void child.send(order);
  return {
    pid: child.pid ?? 0,
    async report() {
      const answered = answerOf(child, 'report', MARGIN_MS);
      ask({ order: 'report' });
      return (await answered).report;
    },
    async stop(withinMs = 60_000) {
      const answered = answerOf(child, 'stopped', withinMs + MARGIN_MS);
      ask({ order: 'stop', withinMs });
      return (await answered).result;
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

function answerOf<TName extends LoadAnswer['answer']>(
  child: ChildProcess,
  name: TName,
  withinMs: number,
): Promise<Extract<LoadAnswer, { readonly answer: TName }>> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      clearTimeout(late);
      child.off('message', onMessage);
      child.off('exit', onExit);
    };
    const onMessage = (message: LoadAnswer): void => {
      if (message.answer !== name) return;
      done();
      resolve(message as Extract<LoadAnswer, { readonly answer: TName }>);
    };
    const onExit = (code: number | null): void => {
      done();
      reject(new Error(`The load ended with ${String(code)}`));
    };
    const late = setTimeout(() => {
      done();
      reject(new Error(`The load did not answer '${name}' within ${String(withinMs)} ms`));
    }, withinMs);
    child.on('message', onMessage);
    child.once('exit', onExit);
  });
}
