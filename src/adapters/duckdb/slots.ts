import { PlatformError } from '../../contract/errors.ts';

/** Lets a bounded number of holders in, the others in the order in which they came. */
export class Slots {
  readonly #waiting: (() => void)[] = [];
  readonly #waitingMax: number;
  #free: number;

  constructor(count: number, waitingMax: number) {
    this.#free = count;
    this.#waitingMax = waitingMax;
  }

  /**
   * Waits for a slot and returns the function that gives it back. Rejects with OVERLOADED when too many wait
   * already.
   */
  async take(): Promise<() => void> {
    if (this.#free > 0) this.#free -= 1;
    else if (this.#waiting.length >= this.#waitingMax) {
      throw new PlatformError(
        'OVERLOADED',
        `${this.#waiting.length} callers wait for a warehouse session already`,
      );
    } else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    };
  }
}
