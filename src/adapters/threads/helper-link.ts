import type { HelperLink, TaskHelpers } from './task.ts';

/** Shared numbers of a task and its helpers: whether one is lost, and orders that are not done. */
const LOST = 0;
const WORKING = 1;
const NUMBERS_BYTES = 8;
/** How often a thread that waits for helpers looks whether they are still there, in milliseconds. */
const SETTLE_LOOK_MS = 100;

/** What the threads of a task see of each other, whichever is blocked. */
export class HelperState {
  readonly #numbers: Int32Array<SharedArrayBuffer>;
  /** Microseconds of processor time, for each helper. */
  readonly #cpu: Float64Array<SharedArrayBuffer>;

  constructor(state: SharedArrayBuffer) {
    this.#numbers = new Int32Array(state, 0, NUMBERS_BYTES / 4);
    this.#cpu = new Float64Array(state, NUMBERS_BYTES);
  }

  static bytesFor(helpers: number): number {
    return NUMBERS_BYTES + helpers * 8;
  }

  lose(): void {
    Atomics.store(this.#numbers, LOST, 1);
    Atomics.notify(this.#numbers, WORKING);
  }

  isLost(): boolean {
    return Atomics.load(this.#numbers, LOST) === 1;
  }

  begin(orders: number): void {
    Atomics.add(this.#numbers, WORKING, orders);
  }

  end(helper: number, cpuMicroseconds: number): void {
    this.#cpu[helper] = cpuMicroseconds;
    Atomics.sub(this.#numbers, WORKING, 1);
    Atomics.notify(this.#numbers, WORKING);
  }

  /** Waits until no helper works, or one is lost. */
  settle(): void {
    for (;;) {
      const working = Atomics.load(this.#numbers, WORKING);
      if (working === 0 || this.isLost()) return;
      // Again and again, as a loss may come between the look and the wait.
      Atomics.wait(this.#numbers, WORKING, working, SETTLE_LOOK_MS);
    }
  }

  /** What helpers that are done have used. */
  cpuMicroseconds(): number {
    return this.#cpu.reduce((sum, own) => sum + own, 0);
  }
}

/** The helpers, for the thread of their task. */
export function helpersOf({ ports }: HelperLink, state: HelperState): TaskHelpers {
  return {
    count: ports.length,
    post(order) {
      state.begin(ports.length);
      for (const port of ports) port.postMessage(order);
    },
    settle: () => state.settle(),
    isLost: () => state.isLost(),
  };
}
