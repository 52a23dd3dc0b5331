/**
 * Threads that help the calling one to train. Whoever may start threads makes them, and has each call {@link helpTrees} with every order
 * that is posted. They read and write the memory that training works on, so it takes no copies and is only for loops in WebAssembly.
 *
 * Helpers change no bit of what is trained: each sum is made by one thread, in the order in which it is made without them.
 */
export interface Helpers {
  /** Threads beside the calling one, from 1 to {@link HELPERS_MAX}. */
  readonly count: number;
  /** Hands an order, which is structured-cloneable, to every helper. It does not wait. */
  post(order: unknown): void;
  /** Waits until every helper has returned from what was posted, or one is lost. */
  settle(): void;
  /** Whether a helper has ended before its time. Training then throws {@link HelperLost} instead of waiting for it. */
  isLost(): boolean;
}

/** Most helpers of a training: with more, the shares of a node are smaller than what it costs to hand them out. */
export const HELPERS_MAX = 15;

/** A thread that helped to train has ended before its time, and its share of the work is not done. */
export class HelperLost extends Error {
  constructor() {
    super('A thread that helped to train has ended before its time');
    this.name = 'HelperLost';
  }
}
