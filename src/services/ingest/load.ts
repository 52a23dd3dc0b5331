import { PlatformError } from '../../contract/index.ts';
import type { Clock, Gauge } from '../../runtime/index.ts';

/** How much work may be under way. */
export interface LoadLimits {
  readonly requestsMax: number;
  readonly heldBytesMax: number;
}

/** Counts the work of all requests, refuses what is too much, and waits for its end. */
export class Load {
  readonly #limits: LoadLimits;
  readonly #gauge: Gauge;
  #requests = 0;
  #heldBytes = 0;
  #stopping = false;
  #idle: (() => void) | undefined;

  constructor(limits: LoadLimits, gauge: Gauge) {
    this.#limits = limits;
    this.#gauge = gauge;
  }

  /** Runs a request. Rejects with OVERLOADED beyond the limit and with UNAVAILABLE while the service stops. */
  async run<TResult>(work: () => Promise<TResult>): Promise<TResult> {
    if (this.#stopping) throw new PlatformError('UNAVAILABLE', 'The service is stopping');
    const { requestsMax } = this.#limits;
    if (this.#requests >= requestsMax) {
      throw new PlatformError(
        'OVERLOADED',
        `${String(requestsMax)} requests are at work, which is the limit`,
        {
          details: { requestsMax },
        },
      );
    }
    this.#count(1);
    try {
      return await work();
    } finally {
      this.#count(-1);
    }
  }

  /** Notes that bytes of a body are in memory. Throws OVERLOADED beyond the limit. */
  hold(bytes: number): void {
    const { heldBytesMax } = this.#limits;
    if (this.#heldBytes + bytes > heldBytesMax) {
      const text = `Bodies hold ${String(this.#heldBytes)} bytes in memory, the limit is ${String(heldBytesMax)}`;
      throw new PlatformError('OVERLOADED', text, { details: { heldBytesMax } });
    }
    this.#heldBytes += bytes;
  }

  release(bytes: number): void {
    this.#heldBytes -= bytes;
  }

  /** Refuses new requests and waits, `graceMs` at most, for those at work. */
  async stop(clock: Clock, graceMs: number): Promise<void> {
    this.#stopping = true;
    if (this.#requests === 0) return;
    const waiting = new AbortController();
    const idle = new Promise<void>((resolve) => (this.#idle = resolve));
    await Promise.race([idle, clock.sleep(graceMs, waiting.signal)]);
    waiting.abort();
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  #count(change: number): void {
    this.#requests += change;
    this.#gauge.set(this.#requests);
    if (this.#requests === 0) this.#idle?.();
  }
}
