import { timingSafeEqual } from 'node:crypto';
import { type Clock, type Keys, KEYS_SIGNAL, type Signals, type StoredKey } from '../ports/index.ts';
import type { Logger } from '../service.ts';
import { type ApiKeyParts, hashSecret } from './api-key.ts';

/** How often it is asked whether the keys are others when no signal comes, in milliseconds. */
const LOOK_MS = 1_000;

export interface KeyRingParts {
  readonly keys: Keys;
  readonly signals: Signals;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The API keys as this process knows them: read anew at each signal and whenever the revision is another, so that a
 * revoked key ends everywhere within moments. While the store is away the last known keys stay.
 */
export class KeyRing {
  readonly #parts: KeyRingParts;
  readonly #stopping = new AbortController();
  #known: ReadonlyMap<string, StoredKey> = new Map();
  #revision = -1;
  #wake = new AbortController();
  #loop: Promise<void> | undefined;
  #isAway = false;

  constructor(parts: KeyRingParts) {
    this.#parts = parts;
  }

  /** Another number whenever the keys are others. */
  get revision(): number {
    return this.#revision;
  }

  /** Reads the keys once and keeps them fresh until {@link KeyRing.stop}. */
  async start(): Promise<void> {
    const unsubscribe = this.#parts.signals.subscribe(KEYS_SIGNAL, () => this.#wake.abort());
    this.#stopping.signal.addEventListener('abort', unsubscribe);
    await this.#refresh();
    this.#loop = this.#follow();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake.abort();
    await this.#loop;
  }

  /** The key that was handed out as these parts, or why it is none. The time it takes says nothing of the secret. */
  find({ id, secret }: ApiKeyParts): StoredKey | 'unknown' | 'revoked' | 'expired' {
    const stored = this.#known.get(id);
    const given = Buffer.from(hashSecret(secret), 'hex');
    const wanted = stored === undefined ? Buffer.alloc(given.length) : Buffer.from(stored.hash, 'hex');
    if (stored === undefined || given.length !== wanted.length || !timingSafeEqual(given, wanted))
      return 'unknown';
    if (stored.revokedAt !== null) return 'revoked';
    if (stored.expiresAt !== null && stored.expiresAt <= this.#parts.clock.now()) return 'expired';
    return stored;
  }

  async #follow(): Promise<void> {
    const { clock, logger } = this.#parts;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await clock.sleep(LOOK_MS, this.#wake.signal);
      if (this.#wake.signal.aborted) this.#wake = new AbortController();
      if (signal.aborted) return;
      try {
        await this.#refresh();
        if (this.#isAway) logger.info('The API keys can be read again');
        this.#isAway = false;
      } catch (error) {
        if (!this.#isAway) logger.warn('The API keys cannot be read: the last known ones stay', { error });
        this.#isAway = true;
      }
    }
  }

  async #refresh(): Promise<void> {
    // The revision is read first: a change after it is found at the next look.
    const revision = await this.#parts.keys.revision();
    if (revision === this.#revision) return;
    const keys = await this.#parts.keys.all();
    this.#known = new Map(keys.map((key) => [key.id, key]));
    this.#revision = revision;
  }
}
