import type { MessagePort } from 'node:worker_threads';
import type { ErrorCode } from '../../contract/errors.ts';

/** What a task has beside its input. */
export interface TaskContext {
  /**
   * Reports `done` of `total`; reports that follow too fast are dropped, the last one (`done` = `total`)
   * never is.
   */
  progress(done: number, total: number, note?: string): void;
  /** Processor time of this thread so far, in seconds, and of helpers for the orders that they have done. */
  cpuSeconds(): number;
  /** A clock that never goes back, in seconds; only differences mean anything. */
  wallSeconds(): number;
  /** The threads that were asked for to help. */
  readonly helpers: TaskHelpers | undefined;
}

/** Threads beside a task's. They and it share the memory of `SharedArrayBuffer`s. */
export interface TaskHelpers {
  readonly count: number;
  /** Has every helper do an order, which is structured-cloneable. It does not wait. */
  post(order: unknown): void;
  /** Waits until all orders are done, or a helper is lost. */
  settle(): void;
  /** Whether a helper has ended; the task is about to be ended too. */
  isLost(): boolean;
}

/**
 * A module that holds a task. Input and output are structured-cloneable. A PlatformError that it throws
 * arrives with its code, any other error as the cause of an INTERNAL.
 */
export interface TaskModule {
  run(input: unknown, context: TaskContext): unknown;
}

/** A module that holds what helpers do. When it throws, the task fails. */
export interface HelperModule {
  help(order: unknown): void;
}

/** What a task's thread and its helpers are given of each other. */
export interface HelperLink {
  /** To the helpers, one for each. */
  readonly ports: readonly MessagePort[];
  readonly state: SharedArrayBuffer;
}

/** What the worker is started with. */
export interface WorkerInput {
  readonly module: string;
  readonly input: unknown;
  readonly helpers: HelperLink | undefined;
}

/** What a helper is started with. */
export interface HelperInput {
  readonly module: string;
  /** Its number, from 0. */
  readonly index: number;
  /** From the task's thread. */
  readonly port: MessagePort;
  readonly state: SharedArrayBuffer;
}

/** An error on its way between threads: cloning would lose its class and code. */
export interface WorkerFailure {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** Of a PlatformError. */
  readonly code: ErrorCode | undefined;
  readonly details: Readonly<Record<string, unknown>> | undefined;
  readonly cause: WorkerFailure | undefined;
}

/** What the worker says. */
export type WorkerMessage =
  | {
      readonly kind: 'progress';
      readonly done: number;
      readonly total: number;
      readonly note: string | undefined;
    }
  | { readonly kind: 'done'; readonly output: unknown }
  | { readonly kind: 'failed'; readonly failure: WorkerFailure };
