import { PlatformError } from '../../contract/errors.ts';

/**
 * Lets a bounded number of tasks run; the others wait in the order in which they came, until they are
 * aborted.
 */
export class TaskQueue {
  readonly #waiting = new Set<() => void>();
  readonly #waitingMax: number;
  #free: number;

  constructor(threadsMax: number, waitingMax: number) {
    this.#free = threadsMax;
    this.#waitingMax = waitingMax;
  }

  /**
   * Resolves when the task may run; whoever got in must {@link leave}. Rejects with OVERLOADED or the
   * signal's reason.
   */
  async enter(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (this.#free > 0) {
      this.#free -= 1;
      return;
    }
    if (this.#waiting.size >= this.#waitingMax) {
      throw new PlatformError('OVERLOADED', `${this.#waiting.size} tasks wait for a thread already`);
    }
    await new Promise<void>((resolve, reject) => {
      const start = (): void => {
        signal?.removeEventListener('abort', abort);
        resolve();
      };
      const abort = (): void => {
        this.#waiting.delete(start);
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiting.add(start);
    });
  }

  leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free += 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
