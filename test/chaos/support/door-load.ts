import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';

/** How often it is looked what is due, in milliseconds. */
const TICK_MS = 5;
/** How long an answer is waited for, in milliseconds. */
const ANSWER_MS_MAX = 15_000;
const TOLD_MAX = 20;

/** One kind of request. */
export interface DoorRequest {
  readonly name: string;
  /** Its share of all requests. */
  readonly weight: number;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Body of the request with a number of its own. */
  readonly body?: (number: number) => unknown;
}

/** What came back, by kind of request. */
export interface DoorCounts {
  readonly sent: number;
  /** Answers of 2xx. Each outcome counts when it is there, also of a request that was sent before the last look. */
  readonly answered: number;
  /** By build that they say they come from. */
  readonly builds: Readonly<Record<string, number>>;
  /** Other answers: status, code and build with their number. */
  readonly refusals: Readonly<Record<string, number>>;
  /** Without an answer: reset connections and the like. */
  readonly broken: Readonly<Record<string, number>>;
  /** Answers that do not name one build. */
  readonly mixed: readonly string[];
  readonly msP50: number;
  readonly msP99: number;
}

export interface DoorLoadOptions {
  readonly url: string;
  /** Of every request, e.g. credentials. */
  readonly headers: Readonly<Record<string, string>>;
  readonly requests: readonly DoorRequest[];
  readonly perSecond: number;
}

/** A constant rate of requests to one address, open loop, each sent once: whatever goes wrong shows. */
export class DoorLoad implements AsyncDisposable {
  readonly #agent = new Agent({ connections: 256, pipelining: 1 });
  readonly #over = new AbortController();
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #requests: readonly DoorRequest[];
  readonly #perSecond: number;
  readonly #open = new Set<Promise<void>>();
  readonly #running: Promise<void>;
  #numbers = 0;
  #counts = emptyCounts();

  constructor({ url, headers, requests, perSecond }: DoorLoadOptions) {
    this.#url = url.replace(/\/$/, '');
    this.#headers = headers;
    this.#requests = requests.flatMap((one) => Array.from({ length: one.weight }, () => one));
    this.#perSecond = perSecond;
    this.#running = this.#run();
  }

  /** What was sent and what came since the last time that this was asked. */
  take(): DoorCounts {
    const { ms, ...counts } = this.#counts;
    this.#counts = emptyCounts();
    const sorted = ms.toSorted((left, right) => left - right);
    const at = (share: number): number => Math.round(sorted[Math.floor(share * sorted.length)] ?? 0);
    return { ...counts, msP50: at(0.5), msP99: at(0.99) };
  }

  /** Waits until what is under way now is answered. */
  async settled(): Promise<void> {
    await Promise.all(this.#open);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await this.#running;
    await this.settled();
    await this.#agent.destroy();
  }

  async #run(): Promise<void> {
    const begun = performance.now();
    for (let due = 0; !this.#over.signal.aborted; await sleep(TICK_MS)) {
      const seconds = (performance.now() - begun) / 1_000;
      for (; due < seconds * this.#perSecond; due += 1) {
        const one = this.#requests[due % this.#requests.length];
        if (one === undefined) continue;
        const sending = this.#send(one).finally(() => this.#open.delete(sending));
        this.#open.add(sending);
      }
    }
  }

  async #send({ name, method, path, body }: DoorRequest): Promise<void> {
    this.#numbers += 1;
    const number = this.#numbers;
    this.#counts.sent += 1;
    const begun = performance.now();
    try {
      const answer = await request(`${this.#url}${path}`, {
        method,
        dispatcher: this.#agent,
        signal: AbortSignal.timeout(ANSWER_MS_MAX),
        headers: {
          ...this.#headers,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body(number)) }),
      });
      const text = await answer.body.text();
      const counts = this.#counts;
      counts.ms.push(performance.now() - begun);
      const build = answer.headers['x-tandem-build'];
      if (typeof build !== 'string' || build.includes(',')) {
        if (counts.mixed.length < TOLD_MAX) counts.mixed.push(`${name}: ${String(build)}`);
      }
      if (answer.statusCode >= 200 && answer.statusCode < 300) {
        counts.answered += 1;
        count(counts.builds, `${name} ${String(build)}`);
      } else {
        const code = /"code":"(\w+)"/.exec(text)?.[1] ?? '';
        // Of a process that ended under the request the gateway tells, whose build says nothing of that process's.
        const from = text.includes('cannot be reached') ? 'a process that ended' : String(build);
        count(counts.refusals, `${name} ${String(answer.statusCode)} ${code} of ${from}`);
      }
    } catch (error) {
      const { code, name: kind } = error as { readonly code?: string; readonly name?: string };
      count(this.#counts.broken, `${name} ${code ?? kind ?? 'unknown'}`);
    }
  }
}

interface Counting {
  sent: number;
  answered: number;
  readonly builds: Record<string, number>;
  readonly refusals: Record<string, number>;
  readonly broken: Record<string, number>;
  readonly mixed: string[];
  readonly ms: number[];
}

function emptyCounts(): Counting {
  return { sent: 0, answered: 0, builds: {}, refusals: {}, broken: {}, mixed: [], ms: [] };
}

function count(into: Record<string, number>, name: string): void {
  into[name] = (into[name] ?? 0) + 1;
}
