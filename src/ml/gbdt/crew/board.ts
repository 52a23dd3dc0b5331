import type { Kernel, SharedMemory } from '../kernel.ts';
import { arrayBytes } from '../kernel-wasm.ts';
import { HELPERS_MAX } from './helpers.ts';
import { Slots } from './slots.ts';

/** Times that a thread looks for a change before it sleeps: some tens of microseconds, about what it costs to wake it. */
const LOOKS_MAX = 20_000;
/** Shared numbers, those that different threads write in cache lines of their own. */
const TICKET = 0;
const DONE = 16;
const JOINED = 32;
const ENDED = 33;
const FAILED = 34;
const KIND = 48;
const SHARES = 49;
const NUMBERS = 64;
/** The lower bits of a ticket are the shares that nobody has taken yet; the others tell one piece of work from the next. */
const LEFT_BITS = 8;
const LEFT_MASK = (1 << LEFT_BITS) - 1;
const ROUND_MASK = 0x7f_ffff;
/** Numbers that the largest kind of work is described by, and those of a result, with some to spare. */
const WORK_SLOTS = 64;
const RESULT_SLOTS = 32;

/** Where the parts of a board lie in its memory, as it is posted to helpers. */
export interface BoardPlaces {
  readonly memory: SharedMemory;
  readonly numbers: number;
  readonly work: number;
  readonly results: number;
}

/**
 * @internal What the threads of a crew see of each other: which work there is, which of its shares are taken, how many are done. Whoever
 * is free takes the next share, the thread that has the work too. So a helper that the system does not let run holds up nobody, unless it
 * has begun.
 */
export class Board {
  readonly places: BoardPlaces;
  readonly work: Slots;
  /** One for each share. */
  readonly results: readonly Slots[];
  readonly #numbers: Int32Array<SharedArrayBuffer>;
  #round = 0;

  constructor(places: BoardPlaces) {
    this.places = places;
    const { buffer } = places.memory;
    this.#numbers = new Int32Array(buffer, places.numbers, NUMBERS);
    this.work = new Slots(new Float64Array(buffer, places.work, WORK_SLOTS));
    this.results = Array.from(
      { length: HELPERS_MAX + 1 },
      (_, share) =>
        new Slots(new Float64Array(buffer, places.results + share * RESULT_SLOTS * 8, RESULT_SLOTS)),
    );
  }

  /** Helpers that have arrived. */
  joined(): number {
    return Atomics.load(this.#numbers, JOINED);
  }

  join(): void {
    Atomics.add(this.#numbers, JOINED, 1);
  }

  /** Offers the work that the slots are about. The one before must be done. */
  offer(kind: number, shares: number): void {
    const numbers = this.#numbers;
    numbers[KIND] = kind;
    numbers[SHARES] = shares;
    Atomics.store(numbers, DONE, 0);
    this.#post(shares);
  }

  /** Tells helpers that there will be no more work. */
  end(): void {
    Atomics.store(this.#numbers, ENDED, 1);
    this.#post(0);
  }

  /** Takes a share of the work, the last one first, or says that none is left. */
  take(): { readonly kind: number; readonly index: number; readonly of: number } | undefined {
    const numbers = this.#numbers;
    for (;;) {
      const ticket = Atomics.load(numbers, TICKET);
      const left = ticket & LEFT_MASK;
      if (left === 0) return undefined;
      if (Atomics.compareExchange(numbers, TICKET, ticket, ticket - 1) !== ticket) continue;
      // The work cannot change before this share is done.
      return { kind: numbers[KIND] as number, index: left - 1, of: numbers[SHARES] as number };
    }
  }

  /** Says that a share is done. */
  finish(): void {
    Atomics.add(this.#numbers, DONE, 1);
    Atomics.notify(this.#numbers, DONE);
  }

  /** Says that a share cannot be done. */
  fail(): void {
    Atomics.store(this.#numbers, FAILED, 1);
    this.finish();
  }

  hasFailed(): boolean {
    return Atomics.load(this.#numbers, FAILED) === 1;
  }

  /** Waits for work; false when there will be no more. */
  awaitWork(): boolean {
    const numbers = this.#numbers;
    for (;;) {
      const ticket = Atomics.load(numbers, TICKET);
      if ((ticket & LEFT_MASK) > 0) return true;
      if (Atomics.load(numbers, ENDED) === 1) return false;
      if (!this.#changes(TICKET, ticket)) Atomics.wait(numbers, TICKET, ticket);
    }
  }

  /** Waits, for so many milliseconds at most, until all shares are done. */
  awaitDone(timeoutMs: number): boolean {
    const numbers = this.#numbers;
    for (;;) {
      const done = Atomics.load(numbers, DONE);
      if (done === numbers[SHARES]) return true;
      if (this.#changes(DONE, done)) continue;
      if (Atomics.wait(numbers, DONE, done, timeoutMs) === 'timed-out') return false;
    }
  }

  #post(left: number): void {
    this.#round = (this.#round + 1) & ROUND_MASK;
    Atomics.store(this.#numbers, TICKET, (this.#round << LEFT_BITS) | left);
    Atomics.notify(this.#numbers, TICKET);
  }

  #changes(at: number, from: number): boolean {
    for (let look = 0; look < LOOKS_MAX; look += 1) {
      if (Atomics.load(this.#numbers, at) !== from) return true;
    }
    return false;
  }
}

/** @internal Makes a board in a kernel's memory. */
export function makeBoard(kernel: Kernel, memory: SharedMemory): Board {
  return new Board({
    memory,
    numbers: kernel.integers(NUMBERS).byteOffset,
    work: kernel.doubles(WORK_SLOTS).byteOffset,
    results: kernel.doubles(RESULT_SLOTS * (HELPERS_MAX + 1)).byteOffset,
  });
}

/** @internal Bytes of a kernel's memory that a board takes. */
export const BOARD_BYTES: number =
  arrayBytes(NUMBERS, 4) + arrayBytes(WORK_SLOTS, 8) + arrayBytes(RESULT_SLOTS * (HELPERS_MAX + 1), 8);
