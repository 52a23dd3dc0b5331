import type { Clock } from '../../runtime/index.ts';

/** Pauses before a child is started again, in milliseconds. */
export const BACK_OFF = {
  /** A child that ran for a while and ends is started again at once; this comes before the next try, and doubles. */
  firstMs: 100,
  /** The longest. */
  mostMs: 30_000,
  /** A child that ran this long has recovered: the next one is started at once again. */
  steadyMs: 5_000,
} as const;

/** How long to wait before a child that ended is started again. */
export class BackOff {
  readonly #clock: Clock;
  #startedAt: number;
  #nextMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedAt = clock.monotonic();
  }

  /** The child starts now. */
  started(): void {
    this.#startedAt = this.#clock.monotonic();
  }

  /** The child has ended now: the pause before the next start, in milliseconds. */
  ended(): number {
    if (this.#clock.monotonic() - this.#startedAt >= BACK_OFF.steadyMs) this.#nextMs = 0;
    const pauseMs = this.#nextMs;
    this.#nextMs = Math.min(Math.max(2 * pauseMs, BACK_OFF.firstMs), BACK_OFF.mostMs);
    return pauseMs;
  }
}
