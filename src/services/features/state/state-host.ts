import type { Event, Positions } from '../../../contract/index.ts';
import type { RecordBatch, ResultColumns } from '../../../runtime/index.ts';
import type { PositionsBySource } from '../online/core.ts';
import type { Gap, GroupSize } from '../online/shard.ts';
import type { Plan, VectorPlan } from '../plan.ts';

/** Records with consecutive offsets of one partition, as the log has them. */
export type Records = Pick<RecordBatch, 'partition' | 'base' | 'count' | 'record' | 'body'>;

/** Rows of a source's archive, in the order of their offsets. */
export interface ArchivedRows {
  readonly source: string;
  readonly partition: number;
  /** Where they were asked for from: nothing between it and the first row is an event. */
  readonly from: number;
  readonly result: ResultColumns;
}

/** Groups of a vector that are wanted for one candidate. */
export interface ReadAsk {
  readonly event: Event;
  /** The wanted instant, in milliseconds since 1970-01-01 UTC. */
  readonly instant: number;
  /** Indexes of the vector's groups. */
  readonly groups: readonly number[];
}

/**
 * At which instant: `wanted`, as asked for, but at the clock where that is later and the vector has tiles; `clock`, at the clock, or as
 * asked for where that is later; `exactly`, as asked for, and refused with {@link GroupRows.later} where that is too early.
 */
export type ReadAt = 'wanted' | 'clock' | 'exactly';

export interface GroupRow {
  readonly asOf: number;
  /** By group of the vector; those that were not asked for are missing or null. */
  readonly groups: readonly (readonly (number | null)[] | null | undefined)[];
}

/** What one read found: all rows are of one state. */
export interface GroupRows {
  readonly positions: Positions;
  /** Instants were too early: not before this one. There are no rows then. */
  readonly later: number | null;
  readonly rows: readonly GroupRow[];
}

/** A part of the state as bytes, with what it covers. */
export interface SavedState {
  readonly bytes: Uint8Array;
  readonly positions: PositionsBySource;
}

/** Ids of a source that are remembered. */
export interface Ids {
  readonly ids: number;
  readonly bytes: number;
}

export interface GroupSizes extends GroupSize {
  readonly group: string;
}

/** Told when state was lost that has to be made anew. */
export interface StateListener {
  /** Nothing is left of these state partitions: they are to be {@link StateHost.attach}ed again. */
  lost(partitions: readonly number[]): void;
  /** {@link StateHost.next} went back. */
  rewound(): void;
}

/** A part of the state was lost before the answer: it is being made anew, and asking again makes sense. */
export class StateLost extends Error {}

/**
 * The online state that this process keeps, wherever it lies: in this thread or in others. Calls take effect in the order in
 * which they are made; a read sees what was applied before it, all of it in one and the same state.
 */
export interface StateHost {
  readonly plan: Plan;
  readonly statePartitions: number;
  /** The largest instant issued or passed so far, -Infinity before the first. */
  readonly clock: number;
  /** Moves the clock forward; a smaller instant changes nothing. */
  advance(instant: number): void;
  /** The state partition of a group's key. */
  partitionOf(key: string): number;

  /** Next offsets to apply: what reads that are made from now on are of. */
  positions(source: string): readonly number[];
  allPositions(): PositionsBySource;
  /** From which offset on the log must be read. Before {@link positions} while something lost is made anew. */
  next(source: string, partition: number): number;
  /** Applies records that begin at {@link next} or before it. Resolves when there is room for more. */
  apply(source: string, records: Records): Promise<void>;
  /** Applies rows of the archive. */
  applyArchived(rows: ArchivedRows): Promise<void>;
  /** Notes that nothing from `from` to before `to` is an event. */
  skip(source: string, partition: number, from: number, to: number): Promise<void>;

  /** Puts a state partition in, from its snapshot if that can be used; returns why it cannot. */
  attach(partition: number, snapshot: Uint8Array | undefined): Promise<string | undefined>;
  detach(partition: number): void;
  /** Whether it is here and holds all that is applied. */
  isComplete(partition: number): boolean;
  /** What is still to be {@link catchUp}ed with. */
  gaps(partition: number): readonly Gap[];
  /** Applies to state partitions what lies in their gaps of these records below `to`, and narrows the gaps. */
  catchUp(
    partitions: readonly number[],
    source: string,
    stretch: { readonly to: number; readonly batches: readonly Records[] },
  ): Promise<void>;
  /** The same with rows of the archive, which has nothing more below `to`. */
  catchUpArchived(partitions: readonly number[], rows: ArchivedRows, to: number): Promise<void>;

  /** Reads groups that are all here. Rejects with UNPROCESSABLE and {@link StateLost}. */
  read(vector: VectorPlan, asks: readonly ReadAsk[], at: ReadAt): Promise<GroupRows>;

  /** Loads the core, before anything else; returns why it cannot be used. */
  restoreCore(bytes: Uint8Array): Promise<string | undefined>;
  /** Forgets what no window can see any more. */
  expire(): Promise<void>;
  /** `undefined` unless it is complete. `epoch`: of the claim under which it is saved. */
  saveShard(partition: number, epoch: number): Promise<SavedState | undefined>;
  saveCore(): Promise<SavedState | undefined>;

  /** Brings what the following say up to date. */
  refresh(): Promise<void>;
  duplicates(source: string): number;
  ids(source: string): Ids;
  sizes(): readonly GroupSizes[];
  /** What is not as it should be, in words. */
  readonly trouble: string | undefined;

  listen(listener: StateListener): void;
  stop(): Promise<void>;
}
