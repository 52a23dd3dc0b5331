import { type Event, PlatformError, type RecordResult, type Rejection } from '../../contract/index.ts';
import type { EventLog } from '../../runtime/index.ts';
import type { SourceContract } from './record.ts';

/** Records that are stored together, and where each stands in its request. */
export class Batch {
  /** Place of its first record among the records of the request. */
  readonly first: number;
  readonly refused: RefusedRecord[] = [];
  /** Bytes of the body that it holds in memory. */
  heldBytes = 0;
  size = 0;
  bytes = 0;
  readonly #contract: SourceContract;
  /** By partition. */
  readonly #shares = new Map<number, Share>();

  constructor(contract: SourceContract, first: number) {
    this.#contract = contract;
    this.first = first;
  }

  /** Place of the next record among the records of the request. */
  get next(): number {
    return this.first + this.size;
  }

  accept(event: Event, bytes: Uint8Array): void {
    const partition = this.#contract.partitionOf(event.key);
    let share = this.#shares.get(partition);
    if (share === undefined) this.#shares.set(partition, (share = { records: [], indexes: [] }));
    share.records.push(bytes);
    share.indexes.push(this.next);
    this.size += 1;
    this.bytes += bytes.byteLength;
  }

  /** `whole`: whether these are all bytes of the record. */
  refuse(rejection: Rejection, bytes: Uint8Array, whole: boolean): void {
    this.refused.push({ index: this.next, rejection, bytes, whole });
    this.size += 1;
    this.bytes += bytes.byteLength;
  }

  /**
   * Appends the accepted records, all partitions at once; the records of a key are in one partition and keep their
   * order. Tells `stored` of each partition that succeeded, then rejects if one did not.
   */
  async append(log: EventLog, stored: (appended: Appended) => void): Promise<void> {
    const appends: Promise<void>[] = [];
    for (const [partition, { records, indexes }] of this.#shares) {
      const append = log.append(this.#contract.topic, partition, records);
      appends.push(append.then((base) => stored({ partition, base, indexes })));
    }
    await settleAll(appends);
  }
}

/** The records of one partition, and the place of each in the request. */
interface Share {
  readonly records: Uint8Array[];
  readonly indexes: number[];
}

/** A record of a batch that broke the contract, with its place in the request. */
interface RefusedRecord {
  readonly index: number;
  readonly rejection: Rejection;
  readonly bytes: Uint8Array;
  readonly whole: boolean;
}

/** Records of one partition that are in the log: the one at place `indexes[i]` has the offset `base + i`. */
export interface Appended {
  readonly partition: number;
  readonly base: number;
  readonly indexes: readonly number[];
}

/** Waits for all and then rejects with the first failure, so that nothing is still under way when it is reported. */
export async function settleAll(work: readonly Promise<void>[]): Promise<void> {
  if (work.length === 1) return work[0];
  for (const outcome of await Promise.allSettled(work)) {
    if (outcome.status === 'rejected') throw outcome.reason;
  }
}

/** What became of a request's records so far. */
export class Tally {
  accepted = 0;
  quarantined = 0;
  readonly #source: string;
  readonly #next: number[];

  constructor(contract: SourceContract) {
    this.#source = contract.source.name;
    this.#next = Array.from({ length: contract.partitions }, () => 0);
  }

  add({ partition, base, indexes }: Appended): void {
    this.accepted += indexes.length;
    this.#next[partition] = Math.max(this.#next[partition] ?? 0, base + indexes.length);
  }

  /** Next offsets that include every accepted record; 0 where there is none. */
  get positions(): Record<string, number[]> {
    return { [this.#source]: [...this.#next] };
  }

  /** The error with what has become durable in its details: it stays. Other errors than the platform's pass as they are. */
  explain(error: unknown, details: Readonly<Record<string, unknown>> = {}): unknown {
    if (!PlatformError.is(error)) return error;
    return new PlatformError(error.code, error.message, {
      cause: error,
      details: {
        ...error.details,
        accepted: this.accepted,
        quarantined: this.quarantined,
        positions: this.positions,
        ...details,
      },
    });
  }
}

/** Accepted records as entries of an answer, by their place in the request. */
export function acceptedResults({ partition, base, indexes }: Appended): RecordResult[] {
  return indexes.map((index, place) => ({ status: 'accepted', index, partition, offset: base + place }));
}
