import type { Clock, Logger } from '../../runtime/index.ts';
import type { Shown } from '../ask.ts';

/** Least time between two tries to get another key, in milliseconds. */
const RENEW_MS = 5_000;

export interface SupervisorKeyParts {
  /** The key that lies in the data directory. */
  readonly read: () => Promise<string | undefined>;
  /** Sees to it that a valid one lies there: makes another one when that was revoked. */
  readonly ensure: () => Promise<void>;
  /** What servers must show that speak TLS. */
  readonly peers?: Shown['peers'];
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The key with which the supervisor asks its processes how they are. It can be revoked while the supervisor runs, as any
 * other: then the one that lies in the data directory by now takes its place, or a new one that is put there.
 */
export class SupervisorKey {
  readonly #parts: SupervisorKeyParts;
  #key: string | undefined;
  #isRefused = false;
  #triedAtMs = -Infinity;
  #renewing: Promise<void> | undefined;

  private constructor(parts: SupervisorKeyParts, key: string | undefined) {
    this.#parts = parts;
    this.#key = key;
  }

  static async load(parts: SupervisorKeyParts): Promise<SupervisorKey> {
    return new SupervisorKey(parts, await parts.read());
  }

  /** What processes are shown. */
  get shown(): Shown {
    return { key: this.#key, peers: this.#parts.peers };
  }

  /**
   * As {@link shown}, for those who ask again and again: `undefined` while the key is known to be refused, because a process
   * that hears a wrong key too often does not listen to this machine for a while.
   */
  get accepted(): Shown | undefined {
    if (!this.#isRefused) return this.shown;
    this.refused(this.#key);
    return undefined;
  }

  /** A process refused this key: gets another one, in a while if there is none yet. */
  refused(key: string | undefined): void {
    // An answer to a question that was asked with the one before says nothing.
    if (key !== this.#key) return;
    this.#isRefused = true;
    const nowMs = this.#parts.clock.monotonic();
    if (this.#renewing !== undefined || nowMs - this.#triedAtMs < RENEW_MS) return;
    this.#triedAtMs = nowMs;
    this.#renewing = this.#renew().finally(() => (this.#renewing = undefined));
  }

  async #renew(): Promise<void> {
    const { read, ensure, logger } = this.#parts;
    try {
      const left = await read();
      if (left === undefined || left === this.#key) await ensure();
      // The same key again means that it is valid: processes that did not know it yet may do so now.
      this.#key = await read();
      this.#isRefused = false;
      logger.info("The supervisor's key was refused; it has the one that lies in the data directory now");
    } catch (error) {
      logger.warn("The supervisor's key was refused, and there is no other one yet: nothing is scaled", {
        error,
      });
    }
  }

  /** Resolves when no other key is being got. */
  async settled(): Promise<void> {
    await this.#renewing;
  }
}
