import type { ServiceName } from '../../contract/index.ts';
import type { Clock } from '../ports/index.ts';

/** Limits of waiting for a service that no process serves. */
export const ARRIVAL_LIMITS = {
  /** Longest wait for a first instance, in milliseconds; the call's deadline may end it sooner. */
  arrivalMsMax: 10_000,
  /**
   * A service that had no instance for so long while it was needed, in milliseconds, is not just starting (13 s at most were
   * seen, on a busy machine): calls fail at once until one is there.
   */
  absentMsMax: 15_000,
  /** A need that nobody said for so long, in milliseconds, is forgotten, here as by those who start processes. */
  forgetMs: 30_000,
  /** How often it is said that a service is needed, in milliseconds. */
  needMs: 1_000,
  /** How long saying so the first time may take, in milliseconds; then calls fail as if it could not be said. */
  sayMsMax: 2_000,
  /** How often the list is looked at when nothing tells of a change, in milliseconds. */
  lookMs: 250,
  /** Calls that wait for one service; one more fails at once. */
  waitersMax: 1_024,
} as const;

export interface ArrivalsParts {
  readonly addresses: (service: ServiceName) => readonly URL[];
  readonly clock: Clock;
  /** Says that a service is needed, so that somebody starts it. Without it calls do not wait. */
  readonly need?: ((service: ServiceName) => Promise<void>) | undefined;
  /** Tells of each change of the lists; the function that comes back ends that. */
  readonly subscribe?: ((listener: () => void) => () => void) | undefined;
}

interface Waiting {
  calls: number;
  /** When a call first found no address, after there was one or nobody asked; `undefined` while there is one. */
  absentSinceMs: number | undefined;
  /** When it was last said that the service is needed, and whether that went well. */
  saidMs: number;
  said: Promise<boolean>;
  /** When it was last known to have been said. */
  knownMs: number;
}

/** Lets calls wait for the first instance of a service that runs at zero processes. */
export class Arrivals {
  readonly #parts: ArrivalsParts;
  readonly #waiting = new Map<ServiceName, Waiting>();
  readonly #wakes = new Set<() => void>();
  readonly #unsubscribe: (() => void) | undefined;

  constructor(parts: ArrivalsParts) {
    this.#parts = parts;
    this.#unsubscribe = parts.subscribe?.(() => {
      for (const [service, waiting] of this.#waiting) {
        if (parts.addresses(service).length > 0) waiting.absentSinceMs = undefined;
      }
      for (const wake of this.#wakes) wake();
    });
  }

  /**
   * Waits until the service has an address, at most `leftMs`. Resolves with `false` when none came, and at once
   * when nobody can be told that it is needed or none came for longer than a start takes. Also calls that do not wait
   * say that it is needed.
   */
  async wait(service: ServiceName, leftMs: number, signal?: AbortSignal): Promise<boolean> {
    const { clock, need, addresses } = this.#parts;
    if (need === undefined) return false;
    const waiting = this.#waitingFor(service);
    if (waiting.calls >= ARRIVAL_LIMITS.waitersMax) return false;
    const begunMs = clock.monotonic();
    const absentUntilMs = this.#absentSince(waiting, begunMs) + ARRIVAL_LIMITS.absentMsMax;
    const end = Math.min(begunMs + Math.min(leftMs, ARRIVAL_LIMITS.arrivalMsMax), absentUntilMs);
    waiting.calls += 1;
    try {
      for (;;) {
        if (addresses(service).length > 0) {
          waiting.absentSinceMs = undefined;
          return true;
        }
        const nowMs = clock.monotonic();
        if (nowMs >= absentUntilMs) void this.#say(waiting, service, need);
        if (nowMs >= end || signal?.aborted === true) return false;
        const isSaid = await this.#within(end - nowMs, this.#say(waiting, service, need));
        // What was said once holds for much longer than anybody waits here: a store that is slow or gone since then
        // takes nothing back.
        if (!isSaid && waiting.knownMs < begunMs - ARRIVAL_LIMITS.needMs) return false;
        await this.#pause(Math.min(ARRIVAL_LIMITS.lookMs, end - nowMs), service, signal);
      }
    } finally {
      waiting.calls -= 1;
    }
  }

  close(): void {
    this.#unsubscribe?.();
  }

  #waitingFor(service: ServiceName): Waiting {
    let waiting = this.#waiting.get(service);
    if (waiting === undefined) {
      waiting = {
        calls: 0,
        absentSinceMs: undefined,
        saidMs: -Infinity,
        said: Promise.resolve(true),
        knownMs: -Infinity,
      };
      this.#waiting.set(service, waiting);
    }
    return waiting;
  }

  #absentSince(waiting: Waiting, nowMs: number): number {
    if (nowMs - waiting.saidMs > ARRIVAL_LIMITS.forgetMs) waiting.absentSinceMs = undefined;
    return (waiting.absentSinceMs ??= nowMs);
  }

  /** Says that the service is needed, once for all calls that wait. Resolves with whether it could be said. */
  #say(
    waiting: Waiting,
    service: ServiceName,
    need: (service: ServiceName) => Promise<void>,
  ): Promise<boolean> {
    const nowMs = this.#parts.clock.monotonic();
    if (nowMs - waiting.saidMs < ARRIVAL_LIMITS.needMs) return waiting.said;
    waiting.saidMs = nowMs;
    waiting.said = need(service).then(
      () => {
        waiting.knownMs = this.#parts.clock.monotonic();
        return true;
      },
      () => false,
    );
    return waiting.said;
  }

  /** `false` when it is not known in time: a store that is away may take long to say so. */
  async #within(leftMs: number, said: Promise<boolean>): Promise<boolean> {
    const over = new AbortController();
    const late = this.#parts.clock.sleep(Math.min(leftMs, ARRIVAL_LIMITS.sayMsMax), over.signal);
    try {
      return await Promise.race([said, late.then(() => false)]);
    } finally {
      over.abort();
    }
  }

  /** Until the list changes, the caller leaves or `ms` are over. */
  async #pause(ms: number, service: ServiceName, signal: AbortSignal | undefined): Promise<void> {
    const over = new AbortController();
    const wake = (): void => over.abort();
    this.#wakes.add(wake);
    signal?.addEventListener('abort', wake, { once: true });
    try {
      // It may have come while it was said that it is needed.
      if (this.#parts.addresses(service).length === 0) await this.#parts.clock.sleep(ms, over.signal);
    } finally {
      this.#wakes.delete(wake);
      signal?.removeEventListener('abort', wake);
    }
  }
}
