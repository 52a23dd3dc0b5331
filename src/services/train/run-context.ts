import { PlatformError } from '../../contract/index.ts';
import type { Model } from '../../define/index.ts';
import type { ServiceHost } from '../../runtime/index.ts';
import type { TrainMetrics } from './metrics.ts';
import type { TrainOptions } from './options.ts';
import type { RunProgress } from './run-progress.ts';
import type { StoredRun } from './run-store.ts';
import { findStep, recordStep, type StepRecord, type StepResult } from './step-store.ts';
import { type StepName, stepKey, type UnitName } from './steps.ts';

/** What every step of an attempt at a run has, whatever is trained. */
export interface StepContext {
  readonly host: ServiceHost<TrainOptions>;
  readonly run: StoredRun;
  readonly progress: RunProgress;
  readonly metrics: TrainMetrics;
  /** Aborted when the run is cancelled, taken over, expires, or the process stops. */
  readonly signal: AbortSignal;
}

/** What the steps of a model have. */
export interface RunContext extends StepContext {
  readonly model: Model;
}

/** Work of which a record is kept, so that it is done once. */
export interface UnitPlan<TOutput> {
  readonly name: UnitName;
  work(key: string): Promise<StepResult<TOutput>>;
}

export interface StepPlan<TOutput> extends UnitPlan<TOutput> {
  readonly name: StepName;
  /** Everything that the output depends on besides the step's code. */
  readonly inputs: Readonly<Record<string, unknown>>;
  /** One line for people about the output. */
  note(output: TOutput): string;
}

/** A finished step, for the steps after it. */
export interface StepOutcome<TOutput> {
  readonly key: string;
  readonly output: TOutput;
}

/** Pauses between two tries of a step, in milliseconds: they double from the first to the last. */
const PAUSE_MS_MIN = 250;
const PAUSE_MS_MAX = 10_000;

/**
 * Does a step, unless somebody has done it already. It is tried again while what it needs is not available,
 * for `options.waitMs`.
 */
export async function runStep<TOutput>(
  context: StepContext,
  plan: StepPlan<TOutput>,
): Promise<StepOutcome<TOutput>> {
  const { host, run, progress } = context;
  const key = stepKey(plan.name, plan.inputs);
  progress.step(plan.name, { state: 'running', key, progress: 0, note: null });
  const { record, found } = await host.trace.span(`step ${plan.name}`, () =>
    patiently(context, plan.name, () => findOrDo(context, plan, key)),
  );
  const note = plan.note(record.output);
  const state = found && record.run !== run.id ? 'reused' : 'done';
  progress.step(plan.name, { state, seconds: record.seconds, progress: 1, note });
  host.logger.info('step', { run: run.id, step: plan.name, state, seconds: record.seconds, note });
  return { key, output: record.output };
}

/** What was recorded under the key, or what the work comes to, which is recorded then. */
export async function findOrDo<TOutput>(
  { host, run, metrics, signal }: StepContext,
  plan: UnitPlan<TOutput>,
  key: string,
): Promise<{ readonly record: StepRecord<TOutput>; readonly found: boolean }> {
  signal.throwIfAborted();
  const known = await findStep<TOutput>(host.tables, host.objects, key);
  if (known !== undefined) return { record: known, found: true };
  const startMs = host.clock.monotonic();
  const result = await unlessAborted(signal, plan.work(key));
  const seconds = (host.clock.monotonic() - startMs) / 1_000;
  metrics.stepSeconds.observe(seconds, { step: plan.name });
  await host.failPoints.pass('train.step.done');
  const finishedAt = host.clock.now();
  const record = await recordStep(host.tables, {
    ...result,
    key,
    step: plan.name,
    run: run.id,
    seconds,
    finishedAt,
  });
  await host.failPoints.pass('train.step.recorded');
  return { record, found: false };
}

/**
 * What the work comes to, or the signal's reason as soon as it is aborted. Work that goes on for a moment
 * after that harms nobody: all it can leave are objects, and those are named by their content.
 */
async function unlessAborted<TResult>(signal: AbortSignal, work: Promise<TResult>): Promise<TResult> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/**
 * Tries again while the failure is one that passes. Rejects with the last failure, or the signal's reason.
 */
export async function patiently<TResult>(
  { host, progress, signal }: StepContext,
  step: StepName,
  work: () => Promise<TResult>,
): Promise<TResult> {
  const { clock, options } = host;
  const untilMs = clock.monotonic() + options.waitMs;
  for (let pauseMs = PAUSE_MS_MIN; ; pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX)) {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      if (!PlatformError.is(error) || !error.retryable || clock.monotonic() >= untilMs) throw error;
      progress.step(step, { note: `waiting: ${error.code}, ${error.message}` });
      await clock.sleep(pauseMs, signal);
      signal.throwIfAborted();
    }
  }
}
