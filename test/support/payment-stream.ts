import { setTimeout as sleep } from 'node:timers/promises';
import type { IngestResult, Positions } from '../../src/contract/index.ts';
import type { Headers } from './service-process.ts';

/** The windows of the app's features, the shortest first. */
export const WINDOWS = ['1h', '24h', '30d'] as const;
export type Window = (typeof WINDOWS)[number];

const BATCH = 500;
const IN_FLIGHT_MAX = 8;
/** One batch in so many is sent once more after it was acknowledged. */
const AGAIN_EACH = 20;
const RETRY_MS = 50;
const MINUTE_MS = 60_000;
/** How far back events lie that the shortest windows do not see, in milliseconds. */
const HOURS_BACK_MS = 120 * MINUTE_MS;
const DAYS_BACK_MS = 3 * 1_440 * MINUTE_MS;

export interface PaymentStreamOptions {
  /** Address of ingest. */
  readonly url: string;
  readonly headers: Headers;
  /** Events that are offered a second. */
  readonly rate: number;
  readonly customers: number;
}

/** What a window must show. Amounts are as they are sent. */
export interface WindowTruth {
  count: number;
  cents: number;
  least: number;
  most: number;
  last: number;
  /** Time of the last one. */
  at: number;
}

export interface CustomerTruth {
  readonly customerId: string;
  /** One of the customer's events that was acknowledged. */
  stored: Payment | undefined;
  readonly windows: Readonly<Record<Window, WindowTruth>>;
}

/** What was sent and acknowledged. */
export interface SentPayments {
  /** Each counted once. */
  readonly events: number;
  /** Events that were sent a second time. */
  readonly again: number;
  /** Acknowledged a second, over all of the time. */
  readonly perSecond: number;
  /** Positions behind all of them. */
  readonly positions: Positions;
  readonly customers: readonly CustomerTruth[];
}

interface Payment {
  readonly paymentId: string;
  readonly at: number;
  readonly customerId: string;
  readonly shopId: string;
  readonly amount: number;
}

interface Made {
  readonly payment: Payment;
  readonly customer: number;
  /** The shortest window that sees it. */
  readonly window: Window;
}

/**
 * Payments in NDJSON batches over HTTP, at a rate, and what the features of each customer must come to, kept as the batches are
 * acknowledged. Some come late, some twice, and no two of a customer have the same time, so that the last one is known.
 */
export class PaymentStream {
  readonly #options: PaymentStreamOptions;
  readonly #begunAt = Date.now();
  readonly #begunMs = performance.now();
  readonly #customers: CustomerTruth[];
  /** Newest and oldest times given away, by customer. */
  readonly #newest: number[];
  readonly #late: number[];
  readonly #positions: Record<string, number[]> = {};
  readonly #work = new Set<Promise<void>>();
  readonly #sending: Promise<void>;
  #serial = 0;
  #batches = 0;
  #events = 0;
  #again = 0;
  #isOver = false;

  constructor(options: PaymentStreamOptions) {
    this.#options = options;
    this.#customers = Array.from({ length: options.customers }, (_, customer) => ({
      customerId: `customer-${String(customer)}`,
      stored: undefined,
      windows: { '1h': nothing(), '24h': nothing(), '30d': nothing() },
    }));
    this.#newest = this.#customers.map(() => 0);
    this.#late = this.#customers.map(() => 0);
    this.#sending = this.#send();
  }

  /** Stops, waits for every acknowledgement and says what was sent. */
  async end(): Promise<SentPayments> {
    this.#isOver = true;
    await this.#sending;
    await Promise.all(this.#work);
    const seconds = (performance.now() - this.#begunMs) / 1_000;
    return {
      events: this.#events,
      again: this.#again,
      perSecond: this.#events / seconds,
      positions: this.#positions,
      customers: this.#customers,
    };
  }

  async #send(): Promise<void> {
    let owed = 0;
    let lookedMs = performance.now();
    while (!this.#isOver) {
      const nowMs = performance.now();
      // What could not be offered in time is not offered later: a machine that is too slow gets a lower rate, not a heap.
      owed = Math.min(owed + ((nowMs - lookedMs) / 1_000) * this.#options.rate, IN_FLIGHT_MAX * BATCH);
      lookedMs = nowMs;
      while (owed >= BATCH && this.#work.size < IN_FLIGHT_MAX) {
        owed -= BATCH;
        const work = this.#deliver(Array.from({ length: BATCH }, () => this.#make())).finally(() =>
          this.#work.delete(work),
        );
        this.#work.add(work);
      }
      await sleep(2);
    }
  }

  /** Sends a batch until it is acknowledged. An id that came through before is dropped by those who keep state. */
  async #deliver(made: readonly Made[]): Promise<void> {
    this.#batches += 1;
    const isTwice = this.#batches % AGAIN_EACH === 0;
    const body = made.map(({ payment }) => JSON.stringify(payment)).join('\n');
    await this.#acknowledged(body);
    for (const item of made) this.#note(item);
    this.#events += made.length;
    if (!isTwice) return;
    await this.#acknowledged(body);
    this.#again += made.length;
  }

  async #acknowledged(body: string): Promise<void> {
    for (;;) {
      const answer = await fetch(`${this.#options.url}/v1/sources/payments/events?results=quarantined`, {
        method: 'POST',
        headers: { ...this.#options.headers, 'content-type': 'application/x-ndjson' },
        body,
      }).catch(() => undefined);
      const text = await answer?.text().catch(() => undefined);
      if (answer?.ok === true && text !== undefined) {
        const { accepted, positions } = JSON.parse(text) as IngestResult;
        if (accepted !== BATCH) throw new Error(`${String(accepted)} of ${String(BATCH)} were accepted`);
        this.#reach(positions);
        return;
      }
      if (answer !== undefined && answer.status < 429)
        throw new Error(`${String(answer.status)} ${text ?? ''}`);
      await sleep(RETRY_MS);
    }
  }

  #reach(positions: Positions): void {
    for (const [source, offsets] of Object.entries(positions)) {
      const known = (this.#positions[source] ??= []);
      for (const [partition, offset] of offsets.entries())
        known[partition] = Math.max(known[partition] ?? 0, offset);
    }
  }

  #make(): Made {
    const serial = this.#serial;
    this.#serial += 1;
    const mixed = Math.imul(serial + 1, 0x9e3779b1) >>> 0;
    const customer = mixed % this.#customers.length;
    const kind = (mixed >>> 11) % 50;
    const { at, window } = this.#time(customer, kind, mixed);
    const payment = {
      paymentId: `p${String(serial)}`,
      at,
      customerId: `customer-${String(customer)}`,
      shopId: `shop-${String((mixed >>> 9) % 500)}`,
      amount: ((mixed >>> 5) % 40_000) / 100,
    };
    return { payment, customer, window };
  }

  /** A time that no other event of the customer has. */
  #time(customer: number, kind: number, mixed: number): { readonly at: number; readonly window: Window } {
    if (kind < 3) {
      const late = (this.#late[customer] = (this.#late[customer] ?? 0) + 1);
      if (kind === 0) return { at: this.#begunAt - DAYS_BACK_MS - late, window: '30d' };
      if (kind === 1) return { at: this.#begunAt - HOURS_BACK_MS - late, window: '24h' };
      return { at: this.#begunAt - 10 * MINUTE_MS - late, window: '1h' };
    }
    const at = Math.max((this.#newest[customer] ?? 0) + 1, Date.now() - (mixed % 3_000));
    this.#newest[customer] = at;
    return { at, window: '1h' };
  }

  #note({ payment, customer, window }: Made): void {
    const truth = this.#customers[customer];
    if (truth === undefined) return;
    truth.stored ??= payment;
    for (const wider of WINDOWS.slice(WINDOWS.indexOf(window))) {
      const { amount, at } = payment;
      const known = truth.windows[wider];
      known.count += 1;
      known.cents += Math.round(amount * 100);
      known.least = Math.min(known.least, amount);
      known.most = Math.max(known.most, amount);
      if (at > known.at) Object.assign(known, { at, last: amount });
    }
  }
}

function nothing(): WindowTruth {
  return { count: 0, cents: 0, least: Infinity, most: -Infinity, last: Number.NaN, at: -Infinity };
}
