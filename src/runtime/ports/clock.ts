/** Time as a port, so that a seeded simulation can drive every service. */
export interface Clock {
  /** Wall-clock time in milliseconds since 1970-01-01 UTC. */
  now(): number;
  /** A clock that never goes back, in milliseconds with a fraction; only differences mean anything. */
  monotonic(): number;
  /**
   * Resolves after `ms` milliseconds; at once when `signal` is aborted. For 0 it resolves when other work that waits had its
   * turn: requests that came, answers of the store. It never rejects.
   */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Chance as a port. */
export interface Random {
  /** A float in [0, 1). */
  float(): number;
  /** A time-ordered UUID (version 7, RFC 9562): ids made later sort later. */
  id(): string;
}
