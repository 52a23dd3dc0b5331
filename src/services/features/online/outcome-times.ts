import { ExpiringIndex } from './expiring-index.ts';
import type { SectionReader, SectionWriter } from './sections.ts';

/** Columns of the index: times between which there is never a gap longer than the horizon. */
const EARLIEST = 0;
const LATEST = 1;
const COLUMNS = 2;

/** An outcome: whom it names, when it happened, and from when on it is remembered. */
export interface LearntOutcome {
  readonly target: string;
  readonly time: number;
  readonly came: number;
}

/** When the events happened that name an event. */
export class OutcomeTimes {
  readonly #index: ExpiringIndex;
  readonly #horizonMs: number;

  constructor({ keepMs, horizonMs }: { readonly keepMs: number; readonly horizonMs: number }) {
    this.#index = new ExpiringIndex(COLUMNS, keepMs);
    this.#horizonMs = horizonMs;
  }

  learn({ target, time, came }: LearntOutcome): void {
    const index = this.#index;
    for (let isFound = index.locate(target); isFound; isFound = index.locateOlder(target)) {
      const [earliest, latest] = [index.get(EARLIEST), index.get(LATEST)];
      if (time < earliest - this.#horizonMs || time > latest + this.#horizonMs) continue;
      // An event looks for outcomes over more than a horizon, so it meets one of those without gaps if it meets the stretch.
      index.set(EARLIEST, Math.min(earliest, time));
      index.set(LATEST, Math.max(latest, time));
      index.renew(came);
      return;
    }
    index.insert(target, came);
    index.set(EARLIEST, time);
    index.set(LATEST, time);
  }

  /** Whether one lies before the maturity of the event of this time, and not more than the horizon before the event. */
  hasBefore(maturity: number, id: string, time: number): boolean {
    const index = this.#index;
    // Only outcomes from before the maturity count: whoever is decided on at the maturity could know no later one.
    for (let isFound = index.locate(id); isFound; isFound = index.locateOlder(id))
      if (index.get(EARLIEST) < maturity && index.get(LATEST) >= time - this.#horizonMs) return true;
    return false;
  }

  renew(id: string, came: number): void {
    const index = this.#index;
    for (let isFound = index.locate(id); isFound; isFound = index.locateOlder(id)) index.renew(came);
  }

  sweep(before: number, ids: number): void {
    this.#index.sweep(before, ids);
  }

  save(writer: SectionWriter): void {
    this.#index.save(writer);
  }

  load(reader: SectionReader): void {
    this.#index.load(reader);
  }
}
