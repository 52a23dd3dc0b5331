import type { ErrorCode } from '../../contract/errors.ts';

/** What a task has beside its input. */
export interface TaskContext {
  /**
   * Reports `done` of `total`; reports that follow too fast are dropped, the last one (`done` = `total`)
   * never is.
   */
  progress(done: number, total: number, note?: string): void;
  /** Processor time of this thread so far, in seconds. */
  cpuSeconds(): number;
  /** A clock that never goes back, in seconds; only differences mean anything. */
  wallSeconds(): number;
}

/**
 * A module that holds a task. Input and output are structured-cloneable. A PlatformError that it throws
 * arrives with its code, any other error as the cause of an INTERNAL.
 */
export interface TaskModule {
  run(input: unknown, context: TaskContext): unknown;
}

/** What the worker is started with. */
export interface WorkerInput {
  readonly module: string;
  readonly input: unknown;
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
