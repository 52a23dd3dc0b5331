/** Options of one piece of heavy work. */
export interface ComputeOptions {
  /** Stops the work; the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Called with what the work reports. */
  readonly onProgress?: (progress: {
    readonly done: number;
    readonly total: number;
    readonly note?: string;
  }) => void;
  /** Buffers of the input to hand over without copying. */
  readonly transfer?: readonly ArrayBuffer[];
  /** Threads that help the task's own; it reaches them through its context. Default none. */
  readonly helpers?: ComputeHelpers;
}

/** Threads beside a task's own, for as long as it runs. */
export interface ComputeHelpers {
  /** Name of the task whose module exports `help(order)`: what each helper does with an order of the task. */
  readonly task: string;
  /** How many, from 1. */
  readonly count: number;
}

/**
 * Pure work that would hold up a service's thread for long (fitting a model), run beside it. Tasks are named by the
 * composition root; input and output are structured-cloneable.
 */
export interface Compute {
  run<TOutput>(task: string, input: unknown, options?: ComputeOptions): Promise<TOutput>;
}
