import { grouped, type Timeline } from '@tandem-examples/driver';
import type { RecordSender } from './record-sender.ts';
import { REPORTS, TRANSACTIONS } from './record-stream.ts';

const PROGRESS_MS = 5_000;

/** Tells how the ingestion of history goes: now and then, and at the end. */
export class HistoryProgress {
  readonly #timeline: Timeline;
  readonly #sender: RecordSender;
  readonly #began = performance.now();
  #told = this.#began;

  constructor(timeline: Timeline, sender: RecordSender) {
    this.#timeline = timeline;
    this.#sender = sender;
  }

  /** Says how far it is, at most every five seconds. */
  tick(): void {
    const now = performance.now();
    if (now - this.#told < PROGRESS_MS) return;
    this.#told = now;
    this.#timeline.say('history', `${grouped(this.#sender.sent)} records (${this.#rate()})`);
  }

  end(): void {
    const { distinct } = this.#sender;
    this.#timeline.say(
      'history',
      `${grouped(distinct[TRANSACTIONS])} transactions and ${grouped(distinct[REPORTS])} fraud reports (${this.#rate()})`,
    );
  }

  #rate(): string {
    return `${grouped((this.#sender.sent * 1_000) / (performance.now() - this.#began))} records/s`;
  }
}
