import { PlatformError } from '../../contract/index.ts';
import type { CallContext, Clock, FailPoints, Logger, Tables } from '../../runtime/index.ts';
import { expired, textOf } from './failures.ts';
import type { LedgerPartitions } from './ledger-partitions.ts';
import { insertEntries, isDataError, type NewEntry } from './ledger-store.ts';
import type { ServeMetrics } from './metrics.ts';
import type { ServeOptions } from './options.ts';

/** First and longest pause between attempts to write while the database is away, in milliseconds. */
const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 1_000;

/** What {@link Ledger} needs. */
export interface LedgerParts {
  readonly tables: Tables;
  readonly partitions: LedgerPartitions;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<ServeMetrics, 'ledgerBuffered' | 'ledgerLost'>;
  readonly failPoints: FailPoints;
  readonly limits: Pick<ServeOptions, 'ledgerBatchMax' | 'ledgerBufferMax' | 'ledgerLagMsMax'>;
}

/** An entry that waits to be written. */
interface Pending {
  readonly entry: NewEntry;
  /** When it came, by the monotonic clock. */
  readonly since: number;
  /** Durable entries have a caller who waits. */
  readonly waiter?: { readonly signal: AbortSignal; settle(error?: unknown): void };
}

/**
 * Writes the ledger in groups: while one insert is under way the next entries collect. No timer is needed,
 * the time of the commit itself makes the groups.
 */
export class Ledger {
  readonly #parts: LedgerParts;
  #durable: Pending[] = [];
  /** In the order in which they came, by decision id. An entry leaves when it is on disk. */
  readonly #buffered = new Map<string, Pending>();
  #running: Promise<void> | undefined;
  /** Whether the last attempt to write failed. */
  #away = false;
  /** When the attempt under way began, by the monotonic clock. */
  #attemptedAt: number | undefined;
  /** Whether what collected while the database was away is still being written. */
  #isCatchingUp = false;
  #closed = false;
  /** Ends the pause before the next attempt. */
  #pause = new AbortController();
  #waitingForRoom: (() => void)[] = [];

  constructor(parts: LedgerParts) {
    this.#parts = parts;
  }

  /**
   * Resolves when the entry is on disk. Rejects with UNAVAILABLE when the database is away (the entry may be
   * on disk nevertheless), DEADLINE_EXCEEDED when the caller's time is over.
   */
  recordDurable(entry: NewEntry, context: CallContext): Promise<void> {
    const { signal } = context;
    if (signal.aborted) return Promise.reject(expired());
    return new Promise((resolve, reject) => {
      const settle = (error?: unknown): void => {
        signal.removeEventListener('abort', giveUp);
        if (error === undefined) resolve();
        else reject(error);
      };
      const giveUp = (): void => settle(expired());
      signal.addEventListener('abort', giveUp, { once: true });
      this.#durable.push({ entry, since: this.#parts.clock.monotonic(), waiter: { signal, settle } });
      // Somebody waits: do not sit out a pause that only the buffer needs.
      this.#pause.abort();
      this.#start();
    });
  }

  /**
   * Resolves when the buffer has taken the entry, which is at once unless it is full. Rejects when it stays
   * full until the caller's time is over: UNAVAILABLE when the database is away, else DEADLINE_EXCEEDED.
   */
  async recordBuffered(entry: NewEntry, context: CallContext): Promise<void> {
    while (this.#isFull()) {
      if (context.signal.aborted) throw this.#isAway() ? unavailable() : expired();
      await this.#room(context.signal);
    }
    this.#buffered.set(entry.decisionId, { entry, since: this.#parts.clock.monotonic() });
    this.#count();
    this.#start();
  }

  /** An answered entry that is not on disk yet. */
  buffered(decisionId: string): NewEntry | undefined {
    return this.#buffered.get(decisionId)?.entry;
  }

  /**
   * Writes what waits, for `graceMs` at most; what is left then is counted as lost. Nothing may be recorded
   * any more.
   */
  async close(graceMs: number): Promise<void> {
    const { clock, logger, metrics } = this.#parts;
    const over = new AbortController();
    await Promise.race([this.#running, clock.sleep(graceMs, over.signal)]);
    over.abort();
    this.#closed = true;
    this.#pause.abort();
    for (const pending of this.#durable) pending.waiter?.settle(unavailable());
    this.#durable = [];
    const lost = this.#buffered.size;
    if (lost === 0) return;
    metrics.ledgerLost.add(lost);
    logger.error('The service stops with entries that could not be written to the ledger', { lost });
  }

  #isFull(): boolean {
    const { limits, clock } = this.#parts;
    if (this.#buffered.size >= limits.ledgerBufferMax) return true;
    const [oldest] = this.#buffered.values();
    // While the database is away, and until what collected then is written, the number alone is the bound: answers go
    // on until the buffer is full.
    if (this.#isCatchingUp || this.#isAway()) return false;
    return oldest !== undefined && clock.monotonic() - oldest.since > limits.ledgerLagMsMax;
  }

  /** After a write: whether the buffer is as far behind as it may only be after the database was away. */
  #noteLag(): void {
    const { limits, clock } = this.#parts;
    const now = clock.monotonic();
    const [oldest] = this.#buffered.values();
    const isBehind = oldest !== undefined && now - oldest.since > limits.ledgerLagMsMax;
    const wasSilent = this.#attemptedAt !== undefined && now - this.#attemptedAt > limits.ledgerLagMsMax;
    this.#isCatchingUp = isBehind && (this.#isCatchingUp || this.#away || wasSilent);
  }

  /** Whether the last attempt failed, or the present one gets no answer: a lost network often tells nobody. */
  #isAway(): boolean {
    const { limits, clock } = this.#parts;
    if (this.#away || this.#attemptedAt === undefined) return this.#away;
    return clock.monotonic() - this.#attemptedAt > limits.ledgerLagMsMax;
  }

  /** Resolves when there may be room: after a write, at the signal, or when the database may count as away. */
  #room(signal: AbortSignal): Promise<void> {
    const { limits, clock } = this.#parts;
    const over = new AbortController();
    return new Promise((resolve) => {
      const go = (): void => {
        signal.removeEventListener('abort', go);
        over.abort();
        resolve();
      };
      signal.addEventListener('abort', go, { once: true });
      this.#waitingForRoom.push(go);
      if (!this.#isAway()) void clock.sleep(limits.ledgerLagMsMax, over.signal).then(go);
    });
  }

  #start(): void {
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    let pauseMs = RETRY_MS_MIN;
    while (!this.#closed && (this.#durable.length > 0 || this.#buffered.size > 0)) {
      await this.#writeGroup();
      const waiting = this.#waitingForRoom;
      this.#waitingForRoom = [];
      for (const go of waiting) go();
      if (!this.#away) {
        pauseMs = RETRY_MS_MIN;
      } else if (this.#durable.length === 0) {
        this.#pause = new AbortController();
        await this.#parts.clock.sleep(pauseMs, this.#pause.signal);
        pauseMs = Math.min(pauseMs * 2, RETRY_MS_MAX);
      }
    }
    // In the same breath as the check above: an entry that comes now starts a new run.
    this.#running = undefined;
  }

  async #writeGroup(): Promise<void> {
    const { clock, partitions, limits } = this.#parts;
    const group = this.#durable
      .splice(0, limits.ledgerBatchMax)
      .filter((pending) => pending.waiter?.signal.aborted === false);
    for (const pending of this.#buffered.values()) {
      if (group.length >= 2 * limits.ledgerBatchMax) break;
      group.push(pending);
    }
    if (group.length === 0) return;
    this.#attemptedAt = clock.monotonic();
    try {
      await partitions.prepare(clock.now());
      await this.#write(group);
      this.#noteLag();
      this.#count();
    } catch (error) {
      this.#fail(group, error);
    } finally {
      this.#attemptedAt = undefined;
    }
  }

  async #write(group: readonly Pending[]): Promise<void> {
    const { failPoints, tables } = this.#parts;
    try {
      await failPoints.pass('serve.ledger.before');
      await insertEntries(
        tables,
        group.map((pending) => pending.entry),
      );
      await failPoints.pass('serve.ledger.committed');
    } catch (error) {
      if (isDataError(error) && group.length > 1) {
        // One entry that the database cannot hold must not take the others with it.
        const middle = group.length >> 1;
        await this.#write(group.slice(0, middle));
        await this.#write(group.slice(middle));
      } else this.#fail(group, error);
      return;
    }
    this.#away = false;
    for (const { entry, waiter } of group) {
      if (waiter === undefined) this.#buffered.delete(entry.decisionId);
      else waiter.settle();
    }
  }

  #fail(group: readonly Pending[], error: unknown): void {
    const { logger, metrics } = this.#parts;
    if (isDataError(error)) {
      for (const { entry, waiter } of group) {
        logger.error('The database cannot hold an entry of the ledger', {
          decisionId: entry.decisionId,
          error,
        });
        if (waiter === undefined) {
          this.#buffered.delete(entry.decisionId);
          metrics.ledgerLost.add(1);
        } else waiter.settle(error);
      }
      return;
    }
    if (!this.#away) {
      logger.warn('The ledger cannot be written', { error: textOf(error), buffered: this.#buffered.size });
    }
    this.#away = true;
    this.#isCatchingUp = true;
    const answer = unavailable(error);
    for (const { waiter } of group) waiter?.settle(answer);
  }

  #count(): void {
    this.#parts.metrics.ledgerBuffered.set(this.#buffered.size);
  }
}

function unavailable(cause?: unknown): PlatformError {
  return new PlatformError('UNAVAILABLE', 'The ledger cannot be written now, so nothing can be decided', {
    cause,
  });
}
