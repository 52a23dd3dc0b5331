import type { Tables } from './tables.ts';

export interface QueueOptions {
  /** A job whose worker is silent for this long goes to another worker. At least 10 seconds. */
  readonly heartbeatSeconds: number;
  /** How often a failed job is tried again. */
  readonly retries: number;
  /** A job that runs longer than this fails. At most 86,400. */
  readonly expireSeconds: number;
}

/** One attempt at a job. */
export interface JobAttempt<TPayload> {
  readonly id: string;
  readonly payload: TPayload;
  /** 0 at the first attempt. */
  readonly attempt: number;
  /** Aborted when the job is cancelled, expires, moves to another worker or the worker stops. */
  readonly signal: AbortSignal;
}

export type JobState = 'queued' | 'active' | 'retry' | 'done' | 'failed' | 'cancelled';

export interface JobStatus {
  readonly id: string;
  readonly state: JobState;
  readonly attempt: number;
  readonly error?: string;
}

export interface SendOptions {
  /** A given id that exists already changes nothing. Default: a new one. */
  readonly id?: string;
  /** Within it the job is enqueued at the commit. */
  readonly tx?: Tables;
  /** Jobs with a higher one are taken first, then those that came first. Whole, -1e9 to 1e9. Default 0. */
  readonly priority?: number;
  /** Jobs of one group are not all taken at a time: see {@link WorkLimits}. Default: of no group. */
  readonly group?: string;
}

/** How many jobs are worked on at a time. */
export interface WorkLimits {
  /** Of the queue in this process, 1 to 64. */
  readonly concurrency: number;
  /**
   * Of one group in all processes; jobs behind a group that has so many are taken before its next. Workers that look at the
   * same moment may take one more each. Default: no limit.
   */
  readonly groupMax?: number;
}

/**
 * Durable jobs, each done at least once: a worker that dies is replaced and its job starts again, so the steps of a job
 * must be idempotent.
 */
export interface Jobs {
  createQueue(queue: string, options: QueueOptions): Promise<void>;
  /** Enqueues and returns the job's id. */
  send(queue: string, payload: object, options?: SendOptions): Promise<string>;
  /** Works so many jobs at a time, a number being the `concurrency`, until the returned function is called; that drains the running ones, aborting them after `graceMs`. */
  work<TPayload extends object>(
    queue: string,
    limits: number | WorkLimits,
    handle: (job: JobAttempt<TPayload>) => Promise<void>,
  ): Promise<(graceMs: number) => Promise<void>>;
  status(queue: string, id: string): Promise<JobStatus | undefined>;
  cancel(queue: string, id: string): Promise<void>;
  /** Gives a job that failed for good one more attempt; any other stays as it is. Within `tx` it does so at the commit. */
  retry(queue: string, id: string, options?: { readonly tx?: Tables }): Promise<void>;
  /** What there is to do on a queue. */
  backlog(queue: string): Promise<Backlog>;
}

/** What there is to do on a queue. */
export interface Backlog {
  /** Jobs that a worker could take now. */
  readonly ready: number;
  /** Jobs that workers have taken and not ended. */
  readonly active: number;
  /** Age of the oldest ready job, in seconds. */
  readonly oldestSeconds: number;
}
