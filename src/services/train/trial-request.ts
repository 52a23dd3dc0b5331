import type { JobStatus, ServiceHost } from '../../runtime/index.ts';
import type { TrainOptions } from './options.ts';
import { type Patience, withPatience } from './patience.ts';
import { findTrialFailure } from './search-store.ts';
import { findStep } from './step-store.ts';
import { TRIAL_QUEUE, type TrialInput, type TrialJob, trialKey, type TrialRecord } from './trial-unit.ts';
import type { TrialWaker } from './trial-waker.ts';

/** How often it is looked whether a trial has ended when no signal says so, in milliseconds. */
const LOOK_MS = 1_000;
/** Jobs that a trial gets when one ended and left nothing: what it left may have been lost. */
const JOBS_MAX = 3;

export interface TrialParts extends Patience {
  readonly host: ServiceHost<TrainOptions>;
  readonly run: string;
  readonly waker: TrialWaker;
}

/**
 * A trial that a run asks for: a job for any process, unless its outcome is known. The job's id is made of run and trial, so that another
 * attempt at the run has the same one.
 */
export class TrialRequest {
  readonly number: number;
  readonly key: string;
  readonly #parts: TrialParts;
  readonly #input: TrialInput;
  #jobs = 1;

  constructor(parts: TrialParts, number: number, input: TrialInput) {
    this.number = number;
    this.key = trialKey(input);
    this.#parts = parts;
    this.#input = input;
  }

  /** Whether its outcome is known or it has a job. */
  async isBegun(): Promise<boolean> {
    const { job, known } = await this.#look();
    return known !== undefined || job !== undefined;
  }

  /** Queues its job, if it has none. */
  async begin(): Promise<void> {
    const { known } = await this.#look();
    if (known === undefined) await this.#send();
  }

  /** Waits for its end. Rejects with the signal's reason. */
  async outcome(): Promise<TrialRecord> {
    const { host, signal, waker } = this.#parts;
    for (;;) {
      signal.throwIfAborted();
      const woken = waker.next();
      const { job, known } = await this.#look();
      if (known !== undefined) return known;
      if (job?.state === 'failed') {
        return { error: `INTERNAL: It was given up: ${job.error ?? 'its process ended each time'}` };
      }
      if (job === undefined || job.state === 'done' || job.state === 'cancelled') {
        if (this.#jobs >= JOBS_MAX) return { error: 'INTERNAL: What came of it was lost' };
        if (job !== undefined) this.#jobs += 1;
        await this.#send();
      }
      await host.clock.sleep(LOOK_MS, AbortSignal.any([signal, woken]));
    }
  }

  #look(): Promise<{ readonly job: JobStatus | undefined; readonly known: TrialRecord | undefined }> {
    return withPatience(this.#parts, async () => {
      // In this order: what a job left is there before the job has ended.
      const job = await this.#parts.host.jobs.status(TRIAL_QUEUE, this.#jobId());
      return { job, known: await this.#known() };
    });
  }

  async #known(): Promise<TrialRecord | undefined> {
    const { host, run } = this.#parts;
    const record = await findStep<TrialRecord>(host.tables, host.objects, this.key);
    if (record !== undefined) return record.output;
    const error = await findTrialFailure(host.tables, run, this.key);
    return error === undefined ? undefined : { error };
  }

  async #send(): Promise<void> {
    const { host, run } = this.#parts;
    const job: TrialJob = { run, key: this.key, input: this.#input };
    const options = { id: this.#jobId(), group: run };
    await withPatience(this.#parts, () => host.jobs.send(TRIAL_QUEUE, job, options));
  }

  #jobId(): string {
    return `${this.#parts.run}/${this.key}/${String(this.#jobs)}`;
  }
}
