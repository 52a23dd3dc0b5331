import { partitionOf, SOURCE_PARTITIONS } from '../../src/contract/index.ts';
import type { RecordBatch, RecordBody } from '../../src/runtime/index.ts';

export interface StreamOptions {
  readonly keys: number;
  /** Between two events, in milliseconds. */
  readonly stepMs: number;
  /** Share of events that come late, and by how much at most, in milliseconds. */
  readonly lateShare: number;
  readonly lateMsMax: number;
  /** Share of records that were sent before. */
  readonly againShare: number;
}

/** Records of one partition of the log, as JSON, as the log hands them over. */
export interface StreamBatch extends RecordBatch {
  readonly body: RecordBody;
  /** Event time of the latest. */
  readonly time: number;
}

const START = Date.UTC(2026, 0, 1);

/**
 * A stream of payments that is the same in every run: keys are drawn evenly, which is the worst there is for caches, and ids are
 * UUIDs.
 */
export class OnlineStream {
  readonly #options: StreamOptions;
  /** By partition. */
  readonly #keys: readonly (readonly string[])[];
  readonly #offsets = Array.from({ length: SOURCE_PARTITIONS }, () => 0);
  readonly #latest: (Record<string, unknown> | undefined)[] = [];
  #state = 0x2545f491;
  #batches = 0;
  #time = START;

  constructor(options: StreamOptions) {
    this.#options = options;
    const keys = Array.from({ length: options.keys }, (_, index) => `customer-${String(index)}`);
    this.#keys = this.#offsets.map((_, partition) =>
      keys.filter((key) => partitionOf(key, SOURCE_PARTITIONS) === partition),
    );
  }

  /** The next records, of the partition whose turn it is. */
  batch(records: number): StreamBatch {
    const partition = this.#batches % SOURCE_PARTITIONS;
    this.#batches += 1;
    const base = this.#offsets[partition] ?? 0;
    this.#offsets[partition] = base + records;
    const texts = Array.from({ length: records }, () => JSON.stringify(this.#record(partition)));
    const starts = new Uint32Array(records + 1);
    for (const [index, text] of texts.entries()) starts[index + 1] = (starts[index] ?? 0) + text.length;
    const bytes = Buffer.from(texts.join(''), 'latin1');
    return {
      partition,
      base,
      count: records,
      appendedAt: this.#time,
      record: (index) => bytes.subarray(starts[index], starts[index + 1]),
      body: { bytes, starts },
      time: this.#time,
    };
  }

  /** A record as it would come next. */
  candidate(partition: number): Record<string, unknown> {
    return this.#make(partition, 0);
  }

  #record(partition: number): Record<string, unknown> {
    const { stepMs, lateShare, lateMsMax, againShare } = this.#options;
    this.#time += stepMs;
    const draw = this.#draw();
    const latest = this.#latest[partition];
    if (draw < againShare && latest !== undefined) return latest;
    const late = 1 - draw < lateShare ? Math.floor(this.#draw() * lateMsMax) : 0;
    return (this.#latest[partition] = this.#make(partition, late));
  }

  #make(partition: number, late: number): Record<string, unknown> {
    const keys = this.#keys[partition] ?? [];
    return {
      paymentId: this.#uuid(),
      at: this.#time - late,
      customerId: keys[Math.floor(this.#draw() * keys.length)],
      shopId: 'shop',
      amount: Math.floor(this.#draw() * 100_000) / 100,
    };
  }

  #uuid(): string {
    const [a, b, c] = [this.#hex(), this.#hex(), this.#hex()];
    return `${a}-${b.slice(0, 4)}-4${b.slice(5)}-8${c.slice(0, 3)}-${c.slice(3)}${this.#hex().slice(1)}`;
  }

  /** Eight digits. */
  #hex(): string {
    return (this.#draw() * 2 ** 32 + 2 ** 32).toString(16).slice(1);
  }

  /** From 0 to 1 (xorshift). */
  #draw(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return (state >>> 0) / 2 ** 32;
  }
}
