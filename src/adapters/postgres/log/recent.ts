import type { RecordBatch } from '../../../runtime/ports/index.ts';
import { framedRecords } from './frame.ts';
import { READ_BYTES_MAX, StoredBatch } from './stored-batch.ts';

/** Bytes of batches that a process keeps for its own followers; the oldest are let go of first. */
const KEPT_BYTES_MAX = 16 * 1_048_576;

/** A batch that this process has stored. */
export interface Appended {
  readonly partition: number;
  /** Offset of its first record. */
  readonly base: number;
  readonly count: number;
  /** When it was made durable, by the store's clock. */
  readonly appendedAt: number;
  readonly traceparents: readonly string[];
  /** Its records before they were packed. */
  readonly frame: Buffer;
}

interface Kept {
  readonly run: Kept[];
  readonly batch: RecordBatch;
  readonly bytes: number;
}

/**
 * What this process has stored and its own followers have not read yet: whoever applies the records in the process that
 * stored them need not fetch and unpack them again. Batches come in when they are on disk, never before. Only partitions that
 * somebody follows are kept, in runs without a gap: what another process stores in between ends a run, and a follower that
 * finds nothing here reads the store.
 */
export class Recent {
  readonly #bytesMax: number;
  /** By topic and partition, for those that are followed. */
  readonly #runs = new Map<number, Map<number, Kept[]>>();
  /** All of them, in the order in which they came. */
  readonly #kept = new Set<Kept>();
  #bytes = 0;

  constructor(bytesMax: number = KEPT_BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  /** Bytes that are kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Somebody follows the partition from now on. */
  follow(topic: number, partition: number): void {
    let runs = this.#runs.get(topic);
    if (runs === undefined) this.#runs.set(topic, (runs = new Map()));
    if (!runs.has(partition)) runs.set(partition, []);
  }

  /** Keeps a batch that is on disk. */
  keep(topic: number, appended: Appended): void {
    const run = this.#runs.get(topic)?.get(appended.partition);
    if (run === undefined) return;
    const last = run.at(-1)?.batch;
    if (last !== undefined && last.base + last.count !== appended.base) this.#drop(run, run.length);
    const { frame } = appended;
    const kept = { run, batch: new StoredBatch(appended, framedRecords(frame)), bytes: frame.length };
    run.push(kept);
    this.#kept.add(kept);
    this.#bytes += kept.bytes;
    for (const oldest of this.#kept) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#drop(oldest.run, 1);
    }
  }

  /**
   * Batches from the one that holds `offset` on, as a read of the store would give them; none when that one is not kept.
   * What lies before it is let go of: a second follower that is further behind reads the store.
   */
  take(topic: number, partition: number, offset: number, maxRecords: number): RecordBatch[] {
    const run = this.#runs.get(topic)?.get(partition);
    if (run === undefined || run.length === 0) return [];
    let passed = 0;
    for (const { batch } of run) {
      if (batch.base + batch.count > offset) break;
      passed += 1;
    }
    this.#drop(run, passed);
    const first = run[0];
    if (first === undefined || first.batch.base > offset) return [];
    const batches: RecordBatch[] = [];
    let bytes = 0;
    for (const kept of run) {
      if (kept.batch.base >= offset + maxRecords || bytes >= READ_BYTES_MAX) break;
      batches.push(kept.batch);
      bytes += kept.bytes;
    }
    return batches;
  }

  /** Lets go of a topic's batches: some of them may be gone from the store. */
  forget(topic: number): void {
    for (const run of this.#runs.get(topic)?.values() ?? []) this.#drop(run, run.length);
  }

  /** Lets go of the oldest batches of a run. */
  #drop(run: Kept[], count: number): void {
    for (const kept of run.splice(0, count)) {
      this.#kept.delete(kept);
      this.#bytes -= kept.bytes;
    }
  }
}
