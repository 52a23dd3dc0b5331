import type { Clock } from '../../runtime/index.ts';

/** Pauses before a child is started again, in milliseconds. */
export const BACK_OFF = {
  /** The first; each further one is twice as long. */
  firstMs: 200,
  /** The longest. */
  mostMs: 30_000,
  /** A child that ran this long has recovered: the next pause is the first again. */
  steadyMs: 30_000,
} as const;

/** How long to wait before a child that ended is started again. */
export class BackOff {
  readonly #clock: Clock;
  #startedAt: number;
  #nextMs: number = BACK_OFF.firstMs;

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
    if (this.#clock.monotonic() - this.#startedAt >= BACK_OFF.steadyMs) this.#nextMs = BACK_OFF.firstMs;
    const pauseMs = this.#nextMs;
    this.#nextMs = Math.min(2 * pauseMs, BACK_OFF.mostMs);
    return pauseMs;
  }
}
