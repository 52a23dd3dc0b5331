import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { SeededRandom } from '../../../src/ml/random.ts';
import type { LoadAnswer, LoadOptions, LoadOrder, LoadReport, LoadResult, Percentiles } from './load.ts';
import { type Outcome, Requests, TRY_MS } from './requests.ts';
import { makeTarget } from './target.ts';

/** How often it is looked what is due, in milliseconds. */
const TICK_MS = 5;
/** How long one request of events may take, in milliseconds. */
const EVENTS_TRY_MS = 5_000;
/** A producer that gets no acknowledgement goes on for this long, in milliseconds. */
const EVENTS_PATIENCE_MS = 600_000;
/** How many wrong answers and failed decisions are told in words. */
const TOLD_MAX = 20;

type Settings = Required<LoadOptions>;

interface Order {
  readonly orderId: string;
  readonly at: number;
  readonly customerId: string;
  readonly serial: number;
  readonly risk: number;
}

/** Constant rates of events and decisions, open loop: what is due is sent, whether or not the last was answered. */
class LoadProcess {
  readonly #settings: Settings;
  readonly #requests: Requests;
  readonly #random: SeededRandom;
  readonly #begun = performance.now();
  readonly #over = new AbortController();
  readonly #work = new Set<Promise<void>>();
  readonly #eventLatency = createHistogram();
  readonly #decisionLatency = createHistogram();
  readonly #refusals = new Map<string, number>();
  readonly #wrong: string[] = [];
  readonly #failures: { at: number; decision: string; last: string }[] = [];
  readonly #keys = new Map<string, { count: number; serials: number }>();
  readonly #ids = new Map<string, string[]>();
  readonly #events = { due: 0, acknowledged: 0, pending: 0, resent: 0 };
  readonly #decisions = { due: 0, answered: 0, answeredLater: 0, failed: 0, pending: 0 };
  #serial = 0;
  /** From when on what is unknown is given up, by `performance.now()`. */
  #patienceUntil = Infinity;

  constructor(settings: Settings, requests: Requests) {
    this.#settings = settings;
    this.#requests = requests;
    this.#random = new SeededRandom(settings.seed);
  }

  async run(): Promise<void> {
    const { eventsPerSecond, eventsPerRequest, decisionsPerSecond, decisions } = this.#settings;
    const { signal } = this.#over;
    while (!signal.aborted) {
      const seconds = (performance.now() - this.#begun) / 1_000;
      while (this.#events.due + eventsPerRequest <= seconds * eventsPerSecond) {
        this.#track(
          this.#produce(this.#orders(eventsPerRequest), this.#dueAt(this.#events.due, eventsPerSecond)),
        );
      }
      while (this.#decisions.due + 1 <= seconds * decisionsPerSecond) {
        const decision = decisions[this.#decisions.due % decisions.length] ?? '';
        this.#track(this.#decide(decision, this.#dueAt(this.#decisions.due, decisionsPerSecond)));
      }
      await sleep(TICK_MS);
    }
  }

  async stop(withinMs: number): Promise<LoadResult> {
    this.#over.abort();
    this.#patienceUntil = performance.now() + withinMs;
    const late = sleep(withinMs, undefined, { ref: false });
    while (this.#work.size > 0 && performance.now() < this.#patienceUntil) {
      await Promise.race([Promise.all(this.#work), late]);
    }
    return {
      ...this.report(),
      keys: Object.fromEntries(this.#keys),
      decisionIds: Object.fromEntries(this.#ids),
    };
  }

  report(): LoadReport {
    return {
      events: { ...this.#events, latency: percentiles(this.#eventLatency) },
      decisions: { ...this.#decisions, latency: percentiles(this.#decisionLatency) },
      refusals: Object.fromEntries(this.#refusals),
      wrong: [...this.#wrong],
      failures: [...this.#failures],
    };
  }

  #dueAt(number: number, perSecond: number): number {
    return this.#begun + (number / perSecond) * 1_000;
  }

  #track(work: Promise<void>): void {
    this.#work.add(work);
    void work.finally(() => this.#work.delete(work));
  }

  #order(): Order {
    const { name, keys } = this.#settings;
    this.#serial += 1;
    return {
      orderId: `${name}-${String(this.#serial)}`,
      at: Date.now(),
      customerId: `${name}-${String(this.#random.integer(keys))}`,
      serial: this.#serial,
      risk: this.#random.uniform(),
    };
  }

  #orders(count: number): Order[] {
    return Array.from({ length: count }, () => this.#order());
  }

  /** Sends events, and the same ones again until they are acknowledged. */
  async #produce(orders: readonly Order[], due: number): Promise<void> {
    const events = this.#events;
    events.due += orders.length;
    events.pending += orders.length;
    const sent = {
      service: 'ingest',
      method: 'POST',
      path: '/v1/sources/orders/events?results=quarantined',
      mediaType: 'application/x-ndjson',
      body: orders.map((order) => JSON.stringify(order)).join('\n'),
    } as const;
    let tries = 0;
    for (
      const end = performance.now() + EVENTS_PATIENCE_MS;
      performance.now() < Math.min(end, this.#patienceUntil);
    ) {
      const outcome = await this.#requests.until(
        sent,
        Math.min(performance.now() + EVENTS_TRY_MS, this.#patienceUntil),
        (tried) => {
          tries += 1;
          this.#count('events', tried);
        },
        EVENTS_TRY_MS,
      );
      if (outcome.kind === 'wrong') break;
      if (outcome.kind === 'answered') {
        this.#acknowledge(orders, outcome.body, due);
        break;
      }
    }
    events.resent += Math.max(0, tries - 1);
    events.pending -= orders.length;
  }

  #acknowledge(orders: readonly Order[], body: unknown, due: number): void {
    const { accepted } = body as { readonly accepted?: unknown };
    if (accepted !== orders.length) this.#tell(`events: ${JSON.stringify(body).slice(0, 300)}`);
    this.#events.acknowledged += orders.length;
    record(this.#eventLatency, performance.now() - due);
    for (const { customerId, serial } of orders) {
      const key = this.#keys.get(customerId) ?? { count: 0, serials: 0 };
      this.#keys.set(customerId, { count: key.count + 1, serials: key.serials + serial });
    }
  }

  async #decide(decision: string, due: number): Promise<void> {
    const { decisionMs, tryMs } = this.#settings;
    const decisions = this.#decisions;
    decisions.due += 1;
    decisions.pending += 1;
    const at = Date.now();
    let tries = 0;
    const outcome = await this.#requests.until(
      {
        service: 'serve',
        method: 'POST',
        path: `/v1/decisions/${decision}`,
        body: JSON.stringify({ ...this.#order(), orderId: `ask-${String(this.#serial)}` }),
      },
      due + decisionMs,
      (tried) => {
        tries += 1;
        this.#count('decide', tried);
      },
      tryMs,
    );
    decisions.pending -= 1;
    if (outcome.kind !== 'answered') {
      decisions.failed += 1;
      if (this.#failures.length < TOLD_MAX) this.#failures.push({ at, decision, last: nameOf(outcome) });
      return;
    }
    decisions.answered += 1;
    if (tries > 1) decisions.answeredLater += 1;
    record(this.#decisionLatency, performance.now() - due);
    const { decisionId } = outcome.body as { readonly decisionId: string };
    const ids = this.#ids.get(decision);
    if (ids === undefined) this.#ids.set(decision, [decisionId]);
    else ids.push(decisionId);
  }

  #count(what: string, outcome: Outcome): void {
    if (outcome.kind === 'answered') return;
    if (outcome.kind === 'wrong') this.#tell(`${what}: ${String(outcome.status)} ${outcome.text}`);
    const name = `${what} ${nameOf(outcome)}`;
    this.#refusals.set(name, (this.#refusals.get(name) ?? 0) + 1);
  }

  #tell(text: string): void {
    if (this.#wrong.length < TOLD_MAX) this.#wrong.push(text);
  }
}

function nameOf(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'answered':
      return '200';
    case 'refused':
      return `${String(outcome.status)} ${outcome.code}`;
    case 'unknown':
      return outcome.reason;
    case 'wrong':
      return `${String(outcome.status)} wrong`;
  }
}

/** In microseconds. */
function record(histogram: RecordableHistogram, ms: number): void {
  histogram.record(Math.max(1, Math.round(ms * 1_000)));
}

function percentiles(histogram: RecordableHistogram): Percentiles {
  const at = (share: number): number => Math.round(histogram.percentile(share) / 10) / 100;
  return {
    count: histogram.count,
    p50: at(50),
    p90: at(90),
    p99: at(99),
    p999: at(99.9),
    max: histogram.count === 0 ? 0 : Math.round(histogram.max / 10) / 100,
  };
}

const given = JSON.parse(process.argv[2] ?? '') as LoadOptions;
const load = new LoadProcess(
  {
    eventsPerSecond: 500,
    eventsPerRequest: 10,
    decisionsPerSecond: 200,
    decisions: ['accept', 'suggest'],
    decisionMs: 10_000,
    tryMs: TRY_MS,
    keys: 200,
    name: 'load',
    ...given,
  },
  new Requests(await makeTarget(given.target)),
);
const answer = (message: LoadAnswer): void => void process.send?.(message);
process.on('message', (message: LoadOrder) => {
  if (message.order === 'report') answer({ answer: 'report', report: load.report() });
  else {
    void load.stop(message.withinMs).then((result) => {
      process.send?.({ answer: 'stopped', result } satisfies LoadAnswer, () => process.exit(0));
    });
  }
});
// Nobody is left to report to.
process.on('disconnect', () => process.exit(1));
answer({ answer: 'started' });
await load.run();
