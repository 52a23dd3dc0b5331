import { PlatformError } from '../../../contract/index.ts';
import type { Outcome, ThreadRead } from './messages.ts';
import { type GroupRows, StateLost } from './state-host.ts';
import type { ThreadLink } from './thread-link.ts';

/** How many messages of reads are on their way at a time; those that come meanwhile go together in the next. */
const IN_FLIGHT_MAX = 2;

/** What one read asks of one thread. */
export interface ReadShare {
  readonly link: ThreadLink;
  /** Of the thread when the read was made: one that has begun anew meanwhile has not what is asked for. */
  readonly generation: number;
  /** Indexes of the read's asks, in the order in which the thread has them. */
  readonly indexes: readonly number[];
  readonly read: Omit<ThreadRead, 'clock'>;
}

interface Waiting {
  readonly shares: readonly ReadShare[];
  readonly resolve: (answers: readonly GroupRows[]) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Hands reads to the threads: at once while few are under way, else those that wait go together. All threads that a read concerns are
 * asked between the same records, so that they answer from the same positions.
 */
export class ReadQueue {
  readonly #clock: () => number;
  #waiting: Waiting[] = [];
  #inFlight = 0;

  /** `clock`: that of the whole state at the moment at which reads are handed over. */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** The answers by share. Rejects as the first of them does. */
  read(shares: readonly ReadShare[]): Promise<readonly GroupRows[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ shares, resolve, reject });
      if (this.#inFlight < IN_FLIGHT_MAX) this.#flush();
    });
  }

  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    const byLink = new Map<ThreadLink, { reads: ThreadRead[]; answered: ((outcome: Answer) => void)[] }>();
    const clock = this.#clock();
    for (const { shares, resolve, reject } of waiting) {
      if (shares.some(({ link, generation }) => link.generation !== generation || !link.isRunning)) {
        reject(new StateLost('a thread has ended'));
        continue;
      }
      const answers = shares.map(
        ({ link, read }) =>
          new Promise<GroupRows>((found, failed) => {
            const batch = byLink.get(link) ?? { reads: [], answered: [] };
            byLink.set(link, batch);
            batch.reads.push({ ...read, clock: read.at === 'exactly' ? undefined : clock });
            batch.answered.push((outcome) => settle(outcome, found, failed));
          }),
      );
      Promise.all(answers).then(resolve, reject);
    }
    if (byLink.size === 0) return;
    this.#inFlight += 1;
    const calls = [...byLink].map(async ([link, { reads, answered }]) => {
      try {
        const outcomes = await link.call('read', reads);
        for (const [index, settled] of answered.entries()) settled(outcomes[index] ?? missing());
      } catch (error) {
        for (const settled of answered) settled({ error });
      }
    });
    void Promise.all(calls).then(() => {
      this.#inFlight -= 1;
      if (this.#waiting.length > 0) this.#flush();
    });
  }
}

type Answer = Outcome<GroupRows> | { readonly error: unknown };

function settle(answer: Answer, found: (rows: GroupRows) => void, failed: (error: unknown) => void): void {
  if ('value' in answer) found(answer.value);
  else if ('error' in answer) failed(answer.error);
  else {
    const { code, message, details } = answer.failure;
    failed(new PlatformError(code, message, details === undefined ? {} : { details }));
  }
}

function missing(): Answer {
  return { error: new Error('A thread answered fewer reads than it was asked for') };
}
