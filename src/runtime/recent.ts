import type { Clock } from './ports/index.ts';

/**
 * Averages cover this long, in milliseconds: long enough that a reader each second misses nothing, short enough that a step
 * of load shows as what it is by the second look.
 */
export const RECENT_MS = 1_000;
const BUCKETS = 8;
const BUCKET_MS = RECENT_MS / BUCKETS;

interface Bucket {
  /** Number of the bucket since the clock's zero. */
  number: number;
  sum: number;
  count: number;
}

/** Sums by eighths of a second; those older than {@link RECENT_MS} are forgotten. */
class Buckets {
  readonly #ring: readonly Bucket[] = Array.from({ length: BUCKETS }, () => ({
    number: -1,
    sum: 0,
    count: 0,
  }));

  at(ms: number): Bucket {
    const number = Math.floor(ms / BUCKET_MS);
    const bucket = this.#ring[number % BUCKETS] as Bucket;
    if (bucket.number !== number) Object.assign(bucket, { number, sum: 0, count: 0 });
    return bucket;
  }

  total(nowMs: number): { readonly sum: number; readonly count: number } {
    const oldest = Math.floor(nowMs / BUCKET_MS) - BUCKETS;
    const live = this.#ring.filter(({ number }) => number > oldest);
    return {
      sum: live.reduce((total, { sum }) => total + sum, 0),
      count: live.reduce((total, { count }) => total + count, 0),
    };
  }
}

/**
 * A level that goes up and down, such as requests in flight, averaged over time. A reader that comes once a second sees a
 * burst that began and ended between two looks.
 */
export class RecentLevel {
  readonly #clock: Clock;
  readonly #buckets = new Buckets();
  #level = 0;
  #countedTo: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#countedTo = clock.monotonic();
  }

  /** The level changes by so much now. */
  add(change: number): void {
    this.#count(this.#clock.monotonic());
    this.#level += change;
  }

  /** The average over the last second. */
  average(): number {
    const now = this.#clock.monotonic();
    this.#count(now);
    // The oldest bucket has begun to make room for the present one.
    const coveredMs = RECENT_MS - BUCKET_MS + (now % BUCKET_MS);
    return this.#buckets.total(now).sum / coveredMs;
  }

  #count(now: number): void {
    let from = Math.max(this.#countedTo, now - RECENT_MS);
    while (from < now) {
      const to = Math.min(now, (Math.floor(from / BUCKET_MS) + 1) * BUCKET_MS);
      // Beyond some exponent the next border is no larger than the number itself.
      if (to <= from) break;
      this.#buckets.at(from).sum += this.#level * (to - from);
      from = to;
    }
    this.#countedTo = now;
  }
}

/** Measurements, such as times of waiting, averaged over those of the last second. */
export class RecentSamples {
  readonly #clock: Clock;
  readonly #buckets = new Buckets();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(value: number): void {
    const bucket = this.#buckets.at(this.#clock.monotonic());
    bucket.sum += value;
    bucket.count += 1;
  }

  /** The average; 0 when nothing was measured lately. */
  average(): number {
    const { sum, count } = this.#buckets.total(this.#clock.monotonic());
    return count === 0 ? 0 : sum / count;
  }
}
