import type { Tables } from './tables.ts';

/** Limits of the log; each is enforced with a coded error. */
export interface EventLogLimits {
  /** Largest number of records in one `append` call. Default 10,000. */
  readonly appendRecordsMax: number;
  /** Largest size of one record, in bytes. Default 1 MiB. */
  readonly recordBytesMax: number;
  /** Most bytes that callers may have waiting in one process; beyond it `append` rejects with OVERLOADED. Default 64 MiB. */
  readonly queuedBytesMax: number;
}

export interface TopicOptions {
  /** Number of partitions, 1 to 1,024, fixed for the life of the topic. */
  readonly partitions: number;
}

export interface Topic {
  readonly name: string;
  readonly partitions: number;
}

/** Records that lie one after another in memory: record i is what `bytes` has from `starts[i]` to `starts[i + 1]`. */
export interface RecordBody {
  readonly bytes: Buffer;
  /** One more than there are records: the last one is the end. */
  readonly starts: Uint32Array;
}

/**
 * Records with the consecutive offsets `base .. base + count - 1` of one partition, as they were stored together.
 * `record(i)` is a view into shared memory: copy it if it must outlive the batch.
 */
export interface RecordBatch {
  readonly partition: number;
  readonly base: number;
  readonly count: number;
  /** When the batch was made durable, by the store's clock, in milliseconds since 1970-01-01 UTC. */
  readonly appendedAt: number;
  /** Traces that some of the records were appended under, as `traceparent` headers; only a few, and mostly none. */
  readonly traceparents?: readonly string[];
  record(index: number): Uint8Array;
  /** All of them at once, where they lie so: whoever reads millions makes no view of each. */
  readonly body?: RecordBody;
}

export interface AppendOptions {
  /** The trace that the records belong to, as a `traceparent` header; whoever reads them finds it in their batch. */
  readonly traceparent?: string;
}

export interface ReadOptions {
  /** Stop after the batch with which this many records are reached. At least one batch is returned when there is one. Default 10,000. */
  readonly maxRecords?: number;
  /** How long to wait for the first record, in milliseconds. 0 returns at once. Default 0. */
  readonly waitMs?: number;
  /** Ends the wait early; the read then returns what there is. */
  readonly signal?: AbortSignal;
}

/** First and next offset of a partition: records `first .. next - 1` can be read. */
export interface PartitionRange {
  readonly first: number;
  readonly next: number;
}

/**
 * An append-only log of topics cut into partitions. Offsets of a partition start at 0, have no gaps and are in commit
 * order. A record is opaque bytes. Every adapter passes test/conformance/event-log.ts.
 */
export interface EventLog {
  readonly limits: EventLogLimits;
  /** Makes the topic if it does not exist. Rejects with CONFLICT when it exists with another number of partitions. */
  createTopic(name: string, options: TopicOptions): Promise<Topic>;
  /** Rejects with TOPIC_NOT_FOUND. */
  topic(name: string): Promise<Topic>;
  /**
   * Makes the records durable, in their order and with consecutive offsets, and resolves with the first record's offset.
   * Calls that wait for the same partition are stored together (group commit). A rejection means *unknown*, except for
   * BAD_REQUEST, OVERLOADED and TOPIC_NOT_FOUND, which mean that nothing was stored.
   */
  append(
    topic: string,
    partition: number,
    records: readonly Uint8Array[],
    options?: AppendOptions,
  ): Promise<number>;
  /**
   * Reads from `offset` on. The first batch may begin before `offset`: skip what was seen. Returns `[]` at the end of the
   * partition. Rejects with OFFSET_OUT_OF_RANGE below the first kept offset.
   */
  read(topic: string, partition: number, offset: number, options?: ReadOptions): Promise<RecordBatch[]>;
  /** The range of every partition, by index. */
  ranges(topic: string): Promise<PartitionRange[]>;
  /**
   * Drops whole storage segments whose records are all older than `before` (milliseconds since 1970-01-01 UTC) and,
   * for each partition, all below `keepFrom[partition]`. Returns the number of records dropped.
   */
  retain(topic: string, before: number, keepFrom: readonly number[]): Promise<number>;
}

/** The right to consume one partition for a group, until another owner's claim raises the epoch. */
export interface Claim {
  readonly topic: string;
  readonly group: string;
  readonly partition: number;
  readonly owner: string;
  /** Rises with each change of owner. */
  readonly epoch: number;
  /** The next offset to read: everything below it is done. */
  readonly committed: number;
}

/** Positions of consumer groups, with leases by the store's clock and fencing epochs. */
export interface ConsumerGroups {
  /** Claims the partition if nobody else's lease on it is live. `undefined` when somebody's is. */
  claim(
    topic: string,
    group: string,
    partition: number,
    owner: string,
    leaseMs: number,
  ): Promise<Claim | undefined>;
  /** Extends the lease. `false` when the claim was taken over: the owner must stop. */
  renew(claim: Claim, leaseMs: number): Promise<boolean>;
  /**
   * Commits that everything below `offset` is done; in `tx` when the effect is to share the transaction. Rejects with
   * FENCED when the claim was taken over; then nothing changed and `tx` must be rolled back.
   */
  commit(claim: Claim, offset: number, tx?: Tables): Promise<void>;
  /** Gives the partition back at once, keeping the position. */
  release(claim: Claim): Promise<void>;
  /** Committed offsets of the group by partition; 0 where it never committed. */
  positions(topic: string, group: string): Promise<number[]>;
}
