import type { Thread, ThreadEnd, Threads } from '../../../runtime/index.ts';
import type { PositionsBySource } from '../online/core.ts';
import type { Gap } from '../online/shard.ts';
import {
  STATE_THREAD,
  type StateCall,
  type StateCalls,
  type StateFacts,
  type StateReply,
  type StateThreadInput,
} from './messages.ts';
import { StateLost } from './state-host.ts';

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** A state partition in a thread, as far as it is known here. */
export interface Attached {
  /** `undefined` until it is there. */
  gaps: readonly Gap[] | undefined;
  /** Positions from which on it takes live records. */
  from: PositionsBySource;
  /** Once it is complete, it always is. */
  isComplete: boolean;
}

/** The end of a thread; `THREAD_SILENT`: it answered nothing any more. */
export interface StateThreadEnd {
  readonly reason: ThreadEnd['reason'] | 'THREAD_SILENT';
  readonly error: unknown;
}

export interface ThreadLinkOptions {
  readonly threads: Threads;
  readonly input: StateThreadInput;
  /** The clock of the whole state: the thread's follows it with each call. */
  readonly clock: () => number;
  readonly onClock: (clock: number) => void;
  readonly onEnd: (end: StateThreadEnd) => void;
}

/** One thread with a part of the state, and what is known of it here. */
export class ThreadLink {
  readonly #options: ThreadLinkOptions;
  readonly #pending = new Map<number, Pending>();
  #thread: Thread | undefined;
  #calls = 0;
  /** Looks since the last answer, while one is due. */
  #silentLooks = 0;
  /** Rises whenever it begins anew. */
  generation = 0;
  /** Next offsets, by source and partition, behind what was handed to it; `undefined` until it takes records. */
  handed: Map<string, number[]> | undefined;
  /** Whether it was handed all that any thread was: once it is, it stays so. */
  isLevel = false;
  /** Records that it was handed and has not applied. */
  outstanding = 0;
  readonly attached = new Map<number, Attached>();
  facts: StateFacts | undefined;

  constructor(options: ThreadLinkOptions) {
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#thread !== undefined;
  }

  /** Starts the thread, with nothing in it. */
  start(): void {
    const { threads, input, onClock, onEnd } = this.#options;
    this.generation += 1;
    this.#thread = threads.start(STATE_THREAD, {
      input,
      onMessage: (message) => {
        const { id, clock, value } = message as StateReply;
        onClock(clock);
        this.#silentLooks = 0;
        const pending = this.#pending.get(id);
        this.#pending.delete(id);
        pending?.resolve(value);
      },
      onEnd: (end) => {
        this.#forget();
        onEnd(end);
      },
    });
  }

  /** Calls the thread. Rejects with {@link StateLost} when it ends before the answer. */
  call<TCall extends StateCall>(
    call: TCall,
    ask: StateCalls[TCall]['ask'],
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<StateCalls[TCall]['answer']> {
    const thread = this.#thread;
    if (thread === undefined) return Promise.reject(new StateLost('the thread has ended'));
    this.#calls += 1;
    const id = this.#calls;
    // Reads say for themselves what the clock is to be.
    const clock = call === 'read' ? Number.NEGATIVE_INFINITY : this.#options.clock();
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
    });
    thread.post({ id, call, ask, clock }, transfer);
    return answer as Promise<StateCalls[TCall]['answer']>;
  }

  /**
   * Counts looks at it, however long is between them: one that has owed an answer at so many of them in a row is ended. A pause of the
   * whole process is one look.
   */
  look(silentMax: number): void {
    const thread = this.#thread;
    this.#silentLooks = this.#pending.size === 0 ? 0 : this.#silentLooks + 1;
    if (thread === undefined || this.#silentLooks <= silentMax) return;
    const error = new Error(`The thread answered nothing at ${String(silentMax)} looks`);
    this.#forget();
    void thread.stop();
    this.#options.onEnd({ reason: 'THREAD_SILENT', error });
  }

  async stop(): Promise<void> {
    const thread = this.#thread;
    this.#forget();
    await thread?.stop();
  }

  #forget(): void {
    this.#thread = undefined;
    this.handed = undefined;
    this.isLevel = false;
    this.outstanding = 0;
    this.#silentLooks = 0;
    this.attached.clear();
    this.facts = undefined;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(new StateLost('the thread ended'));
  }
}
