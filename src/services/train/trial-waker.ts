import type { Signals } from '../../runtime/index.ts';
import { TRIAL_SIGNAL } from './trial-unit.ts';

/** Wakes whoever waits for trials when one has ended, in whichever process. */
export class TrialWaker implements Disposable {
  #next = new AbortController();
  readonly #unsubscribe: () => void;

  constructor(signals: Signals) {
    this.#unsubscribe = signals.subscribe(TRIAL_SIGNAL, () => {
      const woken = this.#next;
      this.#next = new AbortController();
      woken.abort();
    });
  }

  /** Aborted when the next trial ends. Take it before looking, so that none is missed. */
  next(): AbortSignal {
    return this.#next.signal;
  }

  [Symbol.dispose](): void {
    this.#unsubscribe();
  }
}
