import type { Clock } from '../ports/index.ts';

/** Addresses whose failures are counted at a time; beyond it the oldest are forgotten. */
const ADDRESSES_MAX = 10_000;

export interface ThrottleOptions {
  /** So many wrong credentials of one address within `windowMs` are one too many. */
  readonly failuresMax: number;
  readonly windowMs: number;
}

interface Failures {
  count: number;
  /** When the first of them was, by the monotonic clock. */
  sinceMs: number;
}

/** Counts wrong credentials by the address that they came from. */
export class Throttle {
  readonly #options: ThrottleOptions;
  readonly #clock: Clock;
  readonly #failures = new Map<string, Failures>();

  constructor(options: ThrottleOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  /** How long nothing more is taken from the address, in milliseconds; 0 when it may go on. */
  waitMs(address: string): number {
    const found = this.#failures.get(address);
    if (found === undefined || found.count < this.#options.failuresMax) return 0;
    const leftMs = found.sinceMs + this.#options.windowMs - this.#clock.monotonic();
    if (leftMs > 0) return leftMs;
    this.#failures.delete(address);
    return 0;
  }

  failed(address: string): void {
    const now = this.#clock.monotonic();
    const found = this.#failures.get(address);
    if (found !== undefined && now - found.sinceMs < this.#options.windowMs) {
      found.count += 1;
      return;
    }
    this.#failures.delete(address);
    this.#failures.set(address, { count: 1, sinceMs: now });
    const [oldest] = this.#failures.keys();
    if (this.#failures.size > ADDRESSES_MAX && oldest !== undefined) this.#failures.delete(oldest);
  }
}
