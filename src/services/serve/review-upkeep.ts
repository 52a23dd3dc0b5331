import { PlatformError } from '../../contract/index.ts';
import type { ServiceHost } from '../../runtime/index.ts';
import { textOf } from './failures.ts';
import type { ServeMetrics } from './metrics.ts';
import type { ServeOptions } from './options.ts';
import { countWaiting, dropOldest, listUnsent } from './review-store.ts';
import { sendOutcome } from './send-outcome.ts';

/** An outcome is sent by who took its answer; one that is not sent after this, in milliseconds, is sent here. */
const UNSENT_AFTER_MS = 5_000;
/** Outcomes that one round sends. */
const SENT_MAX = 100;

/** What {@link ReviewUpkeep} needs. */
export interface ReviewUpkeepParts {
  readonly host: ServiceHost<ServeOptions>;
  readonly metrics: Pick<ServeMetrics, 'reviewsWaiting' | 'reviewsOldest' | 'reviewsDropped'>;
}

/** Counts the queue of reviews, holds it to its bound, and sends outcomes that were not sent. Any replica may do it at any time. */
export class ReviewUpkeep {
  readonly #parts: ReviewUpkeepParts;
  readonly #stopping = new AbortController();
  #done: Promise<void> | undefined;
  /** Whether the last round failed: only the first failure is told. */
  #failing = false;

  constructor(parts: ReviewUpkeepParts) {
    this.#parts = parts;
  }

  /** Begins; returns at once. */
  start(): void {
    this.#done ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    const { clock, options, logger } = this.#parts.host;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.#look();
        await this.#send();
        this.#failing = false;
      } catch (error) {
        if (!this.#failing)
          logger.warn('The queue of reviews cannot be looked after', { error: textOf(error) });
        this.#failing = true;
      }
      await clock.sleep(options.reviewUpkeepMs, signal);
    }
  }

  async #look(): Promise<void> {
    const { host, metrics } = this.#parts;
    const { app, clock, logger, options, tables } = host;
    const counts = await countWaiting(tables);
    for (const decision of app.decisions.keys()) {
      const { waiting = 0, oldestAt } = counts.get(decision) ?? {};
      const ageMs = oldestAt === undefined ? 0 : Math.max(0, clock.now() - oldestAt);
      metrics.reviewsWaiting.set(waiting, { decision });
      metrics.reviewsOldest.set(ageMs / 1_000, { decision });
    }
    const waiting = [...counts.values()].reduce((sum, count) => sum + count.waiting, 0);
    if (waiting <= options.reviewsMax) return;
    const dropped = await dropOldest(tables, waiting - options.reviewsMax);
    if (dropped.length === 0) return;
    for (const decision of dropped) metrics.reviewsDropped.add(1, { decision });
    logger.error('The queue of reviews is full: the oldest have left it, and stay in the ledger', {
      dropped: dropped.length,
      reviewsMax: options.reviewsMax,
    });
  }

  async #send(): Promise<void> {
    const { host } = this.#parts;
    const { clock, logger, tables } = host;
    const { signal } = this.#stopping;
    for (const outcome of await listUnsent(tables, clock.now() - UNSENT_AFTER_MS, SENT_MAX)) {
      if (signal.aborted) return;
      try {
        await sendOutcome(host, outcome, { signal });
      } catch (error) {
        if (!PlatformError.is(error) || error.retryable) throw error;
        logger.error('The outcome of a review is refused: the review waits again', {
          decisionId: outcome.decisionId,
          error: textOf(error),
        });
      }
    }
  }
}
