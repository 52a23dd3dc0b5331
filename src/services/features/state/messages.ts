import type { ErrorCode } from '../../../contract/index.ts';
import type { PositionsBySource } from '../online/core.ts';
import type { Gap } from '../online/shard.ts';
import type { Definitions } from '../plan.ts';
import type { StateOptions } from './local-state.ts';
import type { PackedRecords } from './packed-records.ts';
import type { ArchivedRows, GroupRows, GroupSizes, Ids, ReadAsk, ReadAt, SavedState } from './state-host.ts';

/** Name of the module that keeps state in a thread. */
export const STATE_THREAD = 'feature-state';

/** What a state thread begins with. */
export interface StateThreadInput {
  readonly definitions: Definitions;
  readonly options: StateOptions;
}

/** One read among those of a message. */
export interface ThreadRead {
  readonly vector: string;
  readonly asks: readonly ReadAsk[];
  readonly at: ReadAt;
  /** Instant up to which the clock is to go before; `undefined` where an instant behind the clock is wanted. */
  readonly clock: number | undefined;
}

/** What a state thread is asked for, and what it answers with, by name. */
export interface StateCalls {
  apply: {
    readonly ask: { readonly source: string; readonly records: PackedRecords };
    readonly answer: null;
  };
  applyArchived: { readonly ask: ArchivedRows; readonly answer: null };
  skip: {
    readonly ask: { readonly source: string; readonly partition: number; readonly to: number };
    readonly answer: null;
  };
  attach: {
    readonly ask: { readonly partition: number; readonly snapshot: Uint8Array | undefined };
    readonly answer: {
      readonly refusal: string | undefined;
      readonly gaps: readonly Gap[];
      readonly from: PositionsBySource;
    };
  };
  detach: { readonly ask: number; readonly answer: null };
  /** The answers are what is left of the gaps, by partition asked for. */
  catchUp: {
    readonly ask: {
      readonly partitions: readonly number[];
      readonly source: string;
      readonly to: number;
      readonly batches: readonly PackedRecords[];
    };
    readonly answer: readonly (readonly Gap[])[];
  };
  catchUpArchived: {
    readonly ask: {
      readonly partitions: readonly number[];
      readonly rows: ArchivedRows;
      readonly to: number;
    };
    readonly answer: readonly (readonly Gap[])[];
  };
  read: { readonly ask: readonly ThreadRead[]; readonly answer: readonly Outcome<GroupRows>[] };
  restoreCore: {
    readonly ask: Uint8Array;
    readonly answer: { readonly refusal: string | undefined; readonly positions: PositionsBySource };
  };
  expire: { readonly ask: null; readonly answer: null };
  saveShard: {
    readonly ask: { readonly partition: number; readonly epoch: number };
    readonly answer: SavedState | undefined;
  };
  saveCore: { readonly ask: null; readonly answer: SavedState };
  facts: { readonly ask: null; readonly answer: StateFacts };
}

export type StateCall = keyof StateCalls;

export interface StateFacts {
  readonly duplicates: ReadonlyMap<string, number>;
  readonly ids: ReadonlyMap<string, Ids>;
  readonly sizes: readonly GroupSizes[];
}

/** A PlatformError on its way between threads: cloning would lose its class and code. */
export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>> | undefined;
}

export type Outcome<TValue> = { readonly value: TValue } | { readonly failure: Failure };

/** A call on its way to the thread. */
export type StateRequest = {
  readonly [TCall in StateCall]: {
    readonly id: number;
    readonly call: TCall;
    readonly ask: StateCalls[TCall]['ask'];
    /** Instant up to which the clock is to go before. */
    readonly clock: number;
  };
}[StateCall];

/** Its answer. */
export interface StateReply {
  readonly id: number;
  /** The thread's clock afterwards. */
  readonly clock: number;
  readonly value: unknown;
}
