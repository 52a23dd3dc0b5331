import type { Helpers } from '../../ml/index.ts';

/** What whoever runs a task gives it beside its input: see the port `Compute`. */
export interface TaskContext {
  progress(done: number, total: number, note?: string): void;
  /** Processor time of the task's thread so far, and of what helpers have done, in seconds. */
  cpuSeconds(): number;
  /** A clock that never goes back, in seconds. */
  wallSeconds(): number;
  /** Threads that were asked for to help. */
  readonly helpers?: Helpers | undefined;
}
