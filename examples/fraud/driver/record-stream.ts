import { RandomStream } from '@tandem-examples/driver';
import { isFraud, reportRecord, reportTime, type Transaction, transactionRecord } from '../transaction.ts';
import { STREAM } from '../world.ts';

/** Names of the app's sources. */
export const TRANSACTIONS = 'transactions';
export const REPORTS = 'fraud_reports';

/** A second copy of a record is sent at most this much later, in milliseconds of event time. */
const COPY_DELAY_MS = 10_000;

export interface DisorderOptions {
  /**
   * Records are sent in the order of their time plus a random part below this, in milliseconds. 0 keeps the
   * order.
   */
  readonly shuffleMs: number;
  /** Probability that a record is sent a second time. */
  readonly duplicate: number;
  readonly seed: number;
}

/** A record on its way to the product. */
export interface OutgoingRecord {
  readonly source: typeof TRANSACTIONS | typeof REPORTS;
  /** The transaction it is or reports. */
  readonly transaction: Transaction;
  /** The place in the order of sending, in milliseconds of event time. */
  readonly sendAt: number;
  /** Whether the same record is in the stream twice and this is the later one. */
  readonly copy: boolean;
}

/** The record's JSON text. */
export function recordText(record: OutgoingRecord): string {
  return record.source === TRANSACTIONS
    ? transactionRecord(record.transaction)
    : reportRecord(record.transaction);
}

interface Entry extends OutgoingRecord {
  readonly sequence: number;
}

/**
 * Merges transactions and the reports of their frauds in the order of sending, and disturbs that order as
 * asked: the same options disturb in the same way. Holds back only what is not yet due.
 */
export class RecordStream {
  readonly #options: DisorderOptions;
  readonly #chance: RandomStream;
  readonly #heap: Entry[] = [];
  #sequence = 0;

  constructor(options: DisorderOptions) {
    if (!(options.shuffleMs >= 0))
      throw new RangeError(`shuffleMs is 0 or more; got ${String(options.shuffleMs)}`);
    if (!(options.duplicate >= 0 && options.duplicate <= 1)) {
      throw new RangeError(`duplicate is from 0 to 1; got ${String(options.duplicate)}`);
    }
    this.#options = options;
    this.#chance = new RandomStream(options.seed, STREAM.disorder);
  }

  /** Adds a transaction; they must come in the order of time. */
  add(transaction: Transaction): void {
    this.#schedule(TRANSACTIONS, transaction, transaction.time);
    if (isFraud(transaction)) this.#schedule(REPORTS, transaction, reportTime(transaction));
  }

  /** Takes what is sent before anything that can still be added, given the time of the latest transaction. */
  *takeUntil(time: number): Generator<OutgoingRecord> {
    for (let next = this.#heap[0]; next !== undefined && next.sendAt <= time; next = this.#heap[0]) {
      this.#removeFirst();
      yield next;
    }
  }

  /** Takes all that is left. */
  takeRest(): Generator<OutgoingRecord> {
    return this.takeUntil(Infinity);
  }

  #schedule(source: Entry['source'], transaction: Transaction, time: number): void {
    const { shuffleMs, duplicate } = this.#options;
    const sendAt = time + (shuffleMs === 0 ? 0 : this.#chance.uniform() * shuffleMs);
    this.#insert({ source, transaction, sendAt, copy: false, sequence: this.#sequence++ });
    if (duplicate > 0 && this.#chance.uniform() < duplicate) {
      const again = sendAt + this.#chance.uniform() * COPY_DELAY_MS;
      this.#insert({ source, transaction, sendAt: again, copy: true, sequence: this.#sequence++ });
    }
  }

  #insert(entry: Entry): void {
    const heap = this.#heap;
    let place = heap.length;
    heap.push(entry);
    while (place > 0) {
      const parent = (place - 1) >>> 1;
      const above = heap[parent];
      if (above === undefined || before(above, entry)) break;
      heap[place] = above;
      place = parent;
    }
    heap[place] = entry;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let place = 0;
    for (;;) {
      const left = heap[2 * place + 1];
      const right = heap[2 * place + 2];
      const smaller = right !== undefined && left !== undefined && before(right, left) ? right : left;
      if (smaller === undefined || before(last, smaller)) break;
      heap[place] = smaller;
      place = 2 * place + (smaller === right ? 2 : 1);
    }
    heap[place] = last;
  }
}

function before(one: Entry, other: Entry): boolean {
  return one.sendAt < other.sendAt || (one.sendAt === other.sendAt && one.sequence < other.sequence);
}
