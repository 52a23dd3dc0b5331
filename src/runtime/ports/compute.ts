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
}

/**
 * Pure work that would hold up a service's thread for long (fitting a model), run beside it. Tasks are named by the
 * composition root; input and output are structured-cloneable.
 */
export interface Compute {
  run<TOutput>(task: string, input: unknown, options?: ComputeOptions): Promise<TOutput>;
}
