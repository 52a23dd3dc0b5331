import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { KnownTopic } from './topics.ts';

/**
 * How often the ends of partitions are looked up while somebody waits for records, in milliseconds: at the least pause while
 * each look finds something, twice as long after each that finds nothing. A look costs about 0.2 ms of CPU, here and in the
 * store together.
 */
const POLL_MS_MIN = 10;
const POLL_MS_MAX = 100;

/** A reader that waits for the record at an offset. */
export interface Watch extends Disposable {
  /** Whether the log was closed. */
  readonly closed: boolean;
  /** Resolves when there may be a record, after `waitMs`, or when `signal` is aborted. */
  wait(waitMs: number, signal: AbortSignal | undefined): Promise<void>;
}

/**
 * Where partitions end, as far as this process knows, and who waits for them to grow. An append of this
 * process wakes its readers at once; appends of others are noticed by one query for all waiting readers of
 * the process.
 */
export class Tail {
  readonly #pool: pg.Pool;
  readonly #next = new Map<number, Map<number, number>>();
  readonly #watches = new Set<TailWatch>();
  #waiting = 0;
  #polling = false;
  /** Pause before the next look, in milliseconds. */
  #pauseMs = POLL_MS_MAX;
  #closed = false;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The highest known next offset of a partition; 0 when nothing is known. */
  next(topic: KnownTopic, partition: number): number {
    return this.#next.get(topic.id)?.get(partition) ?? 0;
  }

  /** Notes that the partition has records below `next` and wakes who waits for them. `false`: that was known. */
  advance(topic: { readonly id: number }, partition: number, next: number): boolean {
    let known = this.#next.get(topic.id);
    if (known === undefined) this.#next.set(topic.id, (known = new Map()));
    if ((known.get(partition) ?? 0) >= next) return false;
    known.set(partition, next);
    for (const watch of this.#watches) {
      if (watch.topic === topic.id && watch.partition === partition && watch.offset < next) watch.wake();
    }
    return true;
  }

  watch(topic: KnownTopic, partition: number, offset: number): Watch {
    const watch = new TailWatch(this, topic.id, partition, offset);
    this.#watches.add(watch);
    return watch;
  }

  forget(watch: TailWatch): void {
    this.#watches.delete(watch);
  }

  beginWaiting(): void {
    this.#waiting += 1;
    if (this.#polling) return;
    this.#polling = true;
    void this.#run();
  }

  endWaiting(): void {
    this.#waiting -= 1;
  }

  close(): void {
    this.#closed = true;
    this.#wakeAll();
  }

  async #run(): Promise<void> {
    while (this.#waiting > 0 && !this.#closed) {
      await sleep(this.#pauseMs);
      if (this.#waiting === 0 || this.#closed) break;
      this.#pauseMs = (await this.#poll()) ? POLL_MS_MIN : Math.min(2 * this.#pauseMs, POLL_MS_MAX);
    }
    this.#polling = false;
  }

  /** Whether something was found that this process did not know of. */
  async #poll(): Promise<boolean> {
    const topics = [...new Set([...this.#watches].map((watch) => watch.topic))];
    try {
      const { rows } = await this.#pool.query<{ topic: number; part: number; next: number }>({
        name: 'tail',
        text: 'select topic, part, next from tandem_log_head where topic = any($1)',
        values: [topics],
      });
      const grown = rows.filter(({ topic, part, next }) => this.advance({ id: topic }, part, next));
      return grown.length > 0;
    } catch {
      // The readers look for themselves and report what is wrong.
      this.#wakeAll();
      return false;
    }
  }

  #wakeAll(): void {
    for (const watch of this.#watches) watch.wake();
  }
}

class TailWatch implements Watch {
  readonly topic: number;
  readonly partition: number;
  readonly offset: number;
  readonly #tail: Tail;
  #woken = false;
  #resolve: (() => void) | undefined;

  constructor(tail: Tail, topic: number, partition: number, offset: number) {
    this.#tail = tail;
    this.topic = topic;
    this.partition = partition;
    this.offset = offset;
  }

  get closed(): boolean {
    return this.#tail.closed;
  }

  wake(): void {
    this.#woken = true;
    this.#resolve?.();
  }

  async wait(waitMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.#woken || this.closed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const stop = (): void => resolve();
    const timer = setTimeout(stop, waitMs);
    this.#resolve = stop;
    signal?.addEventListener('abort', stop, { once: true });
    this.#tail.beginWaiting();
    try {
      await promise;
    } finally {
      this.#tail.endWaiting();
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
    }
  }

  [Symbol.dispose](): void {
    this.#tail.forget(this);
  }
}
