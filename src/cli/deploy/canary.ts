import type { Clock } from '../../runtime/index.ts';
import type { ProcessRecord } from '../supervisor/state-file.ts';
import { ask, type Asked, type Shown } from '../ask.ts';
import { ROLLOUT_LIMITS, ROLLOUT_TIMES } from './limits.ts';
import { readTraffic, type Traffic, trafficOf, trafficSince, worse } from './traffic.ts';

/** What a look at a process finds. */
export interface Look {
  /** Why it is not ready; `undefined` when it is. */
  readonly problem: string | undefined;
  /** `undefined` when it did not say. */
  readonly traffic: Traffic | undefined;
}

export interface CanaryParts {
  /** The new process. */
  readonly fresh: () => ProcessRecord;
  /** The old ones that run beside it. */
  readonly old: () => readonly ProcessRecord[];
  readonly look: (url: string) => Promise<Look>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Watches a new process beside the old ones; resolves with what is wrong with it, or `undefined` when its time is over. */
export async function watchCanary(parts: CanaryParts): Promise<string | undefined> {
  const { clock, signal } = parts;
  const canary = new Canary(parts);
  const until = clock.monotonic() + ROLLOUT_TIMES.canaryMs;
  for (;;) {
    const problem = await canary.look();
    if (problem !== undefined || signal.aborted) return problem;
    if (clock.monotonic() >= until) return undefined;
    await clock.sleep(ROLLOUT_TIMES.lookMs, signal);
  }
}

class Canary {
  readonly #parts: CanaryParts;
  readonly #begun = new Map<string, Traffic>();
  #unready = 0;
  #stuck = 0;
  #answered = 0;

  constructor(parts: CanaryParts) {
    this.#parts = parts;
  }

  async look(): Promise<string | undefined> {
    const { fresh, old, look } = this.#parts;
    const { url, restarts } = fresh();
    if (restarts > 0 || url === null) return 'the new process ended';
    const [found, others] = await Promise.all([
      look(url),
      Promise.all(
        old().map(async (record) =>
          this.#since(record.url, record.url === null ? undefined : await look(record.url)),
        ),
      ),
    ]);
    if (fresh().restarts > 0) return 'the new process ended';
    const badMax = ROLLOUT_LIMITS.badLooksMax;
    this.#unready = found.problem === undefined ? 0 : this.#unready + 1;
    if (this.#unready >= badMax) return `the new process is not ready any more: ${found.problem ?? ''}`;
    const mine = this.#since(url, found);
    const theirs = trafficOf(others);
    this.#countStuck(mine);
    if (this.#stuck > badMax) {
      return `the new process answers none of the ${String(mine.waiting)} requests that it has`;
    }
    return worse(mine, theirs);
  }

  /** What a process answered since it was first looked at. */
  #since(url: string | null, found: Look | undefined): Traffic {
    if (url === null || found?.traffic === undefined) return { waiting: 0, routes: new Map() };
    const begun = this.#begun.get(url) ?? found.traffic;
    this.#begun.set(url, begun);
    return trafficSince(found.traffic, begun);
  }

  #countStuck({ waiting, routes }: Traffic): void {
    const answered = [...routes.values()].reduce((sum, { requests }) => sum + requests, 0);
    const isStuck = waiting >= ROLLOUT_LIMITS.waitingMin && answered === this.#answered;
    this.#stuck = isStuck ? this.#stuck + 1 : 0;
    this.#answered = answered;
  }
}

/** Asks `/readyz` and `/metrics` of a process. */
export async function lookAt(url: string, shown: Shown = {}): Promise<Look> {
  const [problem, traffic] = await Promise.all([
    askAt(url, '/readyz', shown).then(
      ({ ok, text }) => (ok ? undefined : reasonIn(text)),
      (error: unknown) => `it does not answer (${error instanceof Error ? error.message : String(error)})`,
    ),
    askAt(url, '/metrics', shown).then(
      ({ ok, text }) => (ok ? readTraffic(text) : undefined),
      () => undefined,
    ),
  ]);
  return { problem, traffic };
}

function askAt(url: string, path: string, shown: Shown): Promise<Asked> {
  return ask(new URL(path, url), { ...shown, signal: AbortSignal.timeout(ROLLOUT_TIMES.answerMsMax) });
}

function reasonIn(text: string): string {
  try {
    const { detail } = JSON.parse(text) as { readonly detail?: unknown };
    return typeof detail === 'string' ? detail : 'it says no reason';
  } catch {
    return 'it says no reason';
  }
}
