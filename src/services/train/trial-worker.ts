import { PlatformError } from '../../contract/index.ts';
import type { JobAttempt, ServiceHost } from '../../runtime/index.ts';
import { failureText, isPassing } from './failures.ts';
import { owned } from './owned-bytes.ts';
import type { TrainMetrics } from './metrics.ts';
import type { TrainOptions } from './options.ts';
import { withPatience } from './patience.ts';
import { findOrDo } from './run-context.ts';
import { findRun } from './run-store.ts';
import type { TrialFolds } from './search-folds.ts';
import { noteTrialFailure } from './search-store.ts';
import type { StepResult } from './step-store.ts';
import { TRIAL } from './tasks.ts';
import type { TrialTaskInput, TrialTaskOutput } from './trial-task.ts';
import { TRIAL_SIGNAL, type TrialInput, type TrialJob, type TrialRecord } from './trial-unit.ts';

/** How often a trial is tried again whose process died. */
export const TRIAL_RETRIES = 4;

/** A trial that this process works on. */
interface ActiveTrial {
  readonly run: string;
  readonly stop: AbortController;
}

/** Works on trials of searches, of whichever process's runs. */
export class TrialWorker {
  readonly #host: ServiceHost<TrainOptions>;
  readonly #metrics: TrainMetrics;
  readonly #active = new Set<ActiveTrial>();

  constructor(host: ServiceHost<TrainOptions>, metrics: TrainMetrics) {
    this.#host = host;
    this.#metrics = metrics;
  }

  /**
   * Resolves when the trial's outcome is recorded, or nobody wants it any more; rejects when the job is to be tried again.
   */
  async work({ payload, signal }: JobAttempt<TrialJob>): Promise<void> {
    const { run, key } = payload;
    if (!(await this.#isOpen(run))) return;
    const trial: ActiveTrial = { run, stop: new AbortController() };
    this.#active.add(trial);
    this.#metrics.runningTrials.set(this.#active.size);
    try {
      const record = await this.#recordOf(payload, AbortSignal.any([signal, trial.stop.signal]));
      this.#metrics.trials.add(1, { state: 'error' in record ? 'failed' : 'done' });
    } catch (error) {
      if (signal.aborted || isPassing(error)) throw error;
      if (trial.stop.signal.aborted) return;
      this.#metrics.trials.add(1, { state: 'failed' });
      this.#host.logger.warn('trial failed', { run, key, error });
      await noteTrialFailure(this.#host.tables, payload, failureText(error));
    } finally {
      this.#active.delete(trial);
      this.#metrics.runningTrials.set(this.#active.size);
    }
    await this.#host.signals.notify(TRIAL_SIGNAL);
  }

  /** Stops the trials whose runs have ended. */
  async check(): Promise<void> {
    for (const trial of this.#active) {
      const isOpen = await this.#isOpen(trial.run).catch(() => true);
      if (!isOpen) trial.stop.abort(new PlatformError('FENCED', `Run ${trial.run} has ended`));
    }
  }

  async #isOpen(run: string): Promise<boolean> {
    const state = (await findRun(this.#host.tables, run))?.state;
    return state === 'queued' || state === 'running';
  }

  async #recordOf({ run, key, input }: TrialJob, signal: AbortSignal): Promise<TrialRecord> {
    const host = this.#host;
    const context = { host, metrics: this.#metrics, signal, run: { id: run } };
    const work = (): Promise<StepResult<TrialRecord>> => this.#tried(input, signal);
    const { record } = await withPatience({ host, signal }, () =>
      findOrDo<TrialRecord>(context, { name: 'trial', work }, key),
    );
    return record.output;
  }

  /** A failure that the trial has everywhere is its outcome. */
  async #tried(input: TrialInput, signal: AbortSignal): Promise<StepResult<TrialRecord>> {
    try {
      const { score, folds, cpuSeconds } = await this.#computed(input, signal);
      return { output: { score, folds, cpuSeconds }, artefacts: [] };
    } catch (error) {
      if (!PlatformError.is(error) || error.code !== 'UNPROCESSABLE') throw error;
      return { output: { error: failureText(error) }, artefacts: [] };
    }
  }

  async #computed({ folds, ...rest }: TrialInput, signal: AbortSignal): Promise<TrialTaskOutput> {
    const { compute, clock, options } = this.#host;
    const data = await this.#dataOf(folds);
    signal.throwIfAborted();
    const [limit, end] = [new AbortController(), new AbortController()];
    let isBegun = false;
    // The time counts from when there is a thread for it, which is when it first tells its progress.
    const begin = (): void => {
      if (isBegun) return;
      isBegun = true;
      void clock.sleep(options.trialSecondsMax * 1_000, end.signal).then(() => {
        if (!end.signal.aborted) limit.abort(tooLong(options.trialSecondsMax));
      });
    };
    const input: TrialTaskInput = { data, ...rest };
    try {
      return await compute.run<TrialTaskOutput>(TRIAL, input, {
        signal: AbortSignal.any([signal, limit.signal]),
        transfer: buffersOf(data),
        onProgress: begin,
      });
    } finally {
      end.abort();
    }
  }

  async #dataOf(folds: TrialFolds): Promise<TrialTaskInput['data']> {
    const { objects } = this.#host;
    if (folds.kind === 'stratified') return { ...folds, part: owned(await objects.get(folds.part)) };
    const parts = await Promise.all(
      folds.parts.map(async ({ train, test }) => ({
        train: owned(await objects.get(train)),
        test: owned(await objects.get(test)),
      })),
    );
    return { kind: 'parts', parts };
  }
}

/** Not a code that passes: it would take as long again. Nor one for all: another process may be faster. */
function tooLong(seconds: number): PlatformError {
  return new PlatformError('INTERNAL', `It took longer than trialSecondsMax, ${seconds} s`);
}

function buffersOf(data: TrialTaskInput['data']): ArrayBuffer[] {
  const parts = data.kind === 'parts' ? data.parts.flatMap(({ train, test }) => [train, test]) : [data.part];
  return [...new Set(parts.map(({ buffer }) => buffer as ArrayBuffer))];
}
