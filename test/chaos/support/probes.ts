import { setTimeout as sleep } from 'node:timers/promises';
import type { Requests, Sent } from './requests.ts';

/** How often each probe asks, in milliseconds. */
const EVERY_MS = 500;

/** What one probe found in a while. */
export interface ProbeCounts {
  answered: number;
  /** Honest answers that ask to come again, by code. */
  refused: number;
  readonly codes: Map<string, number>;
  /** No answer within the time, or no connection. */
  silent: number;
  /** Answers that no client should get. */
  wrong: string[];
  /** Longest time to an answer, whichever, in milliseconds. */
  answerMsMax: number;
}

/** Asks for something again and again, at most once at a time, and counts what comes back. */
export class Probes implements AsyncDisposable {
  readonly #over = new AbortController();
  readonly #loops: Promise<void>[] = [];
  #counts = new Map<string, ProbeCounts>();

  /** `sent`: each by the name of its probe, made anew each time. */
  constructor(requests: Requests, sent: Readonly<Record<string, () => Sent>>, withinMs: number) {
    for (const [name, make] of Object.entries(sent)) {
      this.#loops.push(this.#ask(name, () => requests.once(make(), withinMs)));
    }
  }

  /** What was found since the last time. Answers of requests that began before count where they end. */
  take(): ReadonlyMap<string, ProbeCounts> {
    const taken = this.#counts;
    this.#counts = new Map();
    return taken;
  }

  async #ask(name: string, once: () => ReturnType<Requests['once']>): Promise<void> {
    while (!this.#over.signal.aborted) {
      const began = performance.now();
      const outcome = await once();
      const tookMs = performance.now() - began;
      const counts = this.#of(name);
      switch (outcome.kind) {
        case 'answered':
          counts.answered += 1;
          break;
        case 'refused':
          counts.refused += 1;
          counts.codes.set(outcome.code, (counts.codes.get(outcome.code) ?? 0) + 1);
          break;
        case 'unknown':
          counts.silent += 1;
          break;
        case 'wrong':
          counts.wrong.push(`${String(outcome.status)} ${outcome.text}`);
      }
      if (outcome.kind !== 'unknown') counts.answerMsMax = Math.max(counts.answerMsMax, tookMs);
      await sleep(Math.max(0, EVERY_MS - tookMs), undefined, { signal: this.#over.signal }).catch(
        () => undefined,
      );
    }
  }

  #of(name: string): ProbeCounts {
    let counts = this.#counts.get(name);
    if (counts === undefined) {
      counts = { answered: 0, refused: 0, codes: new Map(), silent: 0, wrong: [], answerMsMax: 0 };
      this.#counts.set(name, counts);
    }
    return counts;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await Promise.all(this.#loops);
  }
}
