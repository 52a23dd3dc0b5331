import { PlatformError } from '../../contract/index.ts';
import { trainableNamed } from '../../define/index.ts';
import type { JobAttempt, ServiceHost } from '../../runtime/index.ts';
import type { TrainMetrics } from './metrics.ts';
import type { TrainOptions } from './options.ts';
import { runPipeline, type RunResult } from './pipeline.ts';
import { runRecommenderPipeline } from './recommender-pipeline.ts';
import type { StepContext } from './run-context.ts';
import { RunProgress } from './run-progress.ts';
import { claimRun, finishRun, releaseRun, type RunEnd, type StoredRun } from './run-store.ts';

/** How often a run is tried again after a failure that passes, or after the death of its process. */
export const RETRIES = 2;

export interface RunJob {
  readonly run: string;
}

/** The runs that this process works on, so that a cancellation reaches them at once. */
export type ActiveRuns = Set<RunProgress>;

interface Attempt {
  readonly host: ServiceHost<TrainOptions>;
  readonly metrics: TrainMetrics;
  readonly active: ActiveRuns;
  readonly job: JobAttempt<RunJob>;
}

/**
 * Works a run's job: resolves when the run has ended, whatever its end, or is somebody else's; rejects when
 * the job is to be tried again. Only errors that the table of errors calls retryable are.
 */
export async function execute(attempt: Attempt): Promise<void> {
  const { host, job, active, metrics } = attempt;
  const run = await claimInTurn(host, job);
  if (run === undefined) return;
  await host.failPoints.pass('train.run.claimed');
  const progress = new RunProgress(host.tables, host.clock, { id: run.id, epoch: run.epoch });
  active.add(progress);
  metrics.running.set(active.size);
  try {
    await workOn(attempt, run, progress);
  } finally {
    active.delete(progress);
    metrics.running.set(active.size);
  }
}

/** Waits while as many runs are worked on as may. Rejects with the signal's reason, so that the job goes back to its queue. */
async function claimInTurn(
  { tables, options, clock }: ServiceHost<TrainOptions>,
  { payload, signal }: JobAttempt<RunJob>,
): Promise<StoredRun | undefined> {
  for (;;) {
    const run = await claimRun(tables, payload.run, options);
    if (run !== 'full') return run;
    await clock.sleep(options.watchMs, signal);
    signal.throwIfAborted();
  }
}

async function workOn({ host, metrics, job }: Attempt, run: StoredRun, progress: RunProgress): Promise<void> {
  const signal = AbortSignal.any([job.signal, progress.fenced]);
  const end = async (how: RunEnd): Promise<void> => {
    await progress.close();
    const ended = await finishRun(host.tables, run, how, host.clock.now());
    if (ended) metrics.runs.add(1, { state: how.state });
  };
  try {
    const { version } = await pipelineOf(host, { run, progress, metrics, signal });
    await host.failPoints.pass('train.run.ending');
    await end({ state: 'done', version, error: null });
    host.logger.info('run done', { run: run.id, model: run.model, reason: run.reason, version });
  } catch (error) {
    if (progress.fenced.aborted) return;
    if (job.signal.aborted || (isPassing(error) && job.attempt < RETRIES)) {
      host.logger.warn('run interrupted', { run: run.id, attempt: job.attempt, error });
      progress.interrupt('waiting');
      await progress.close().catch(() => undefined);
      await releaseRun(host.tables, run);
      throw error;
    }
    host.logger.error('run failed', { run: run.id, model: run.model, reason: run.reason, error });
    progress.interrupt('failed');
    await end({ state: 'failed', version: null, error: describe(error) });
  }
}

function pipelineOf(
  host: ServiceHost<TrainOptions>,
  parts: Pick<StepContext, 'run' | 'progress' | 'metrics' | 'signal'>,
): Promise<RunResult> {
  const model = trainableNamed(host.app, parts.run.model);
  switch (model?.type) {
    case 'model':
      return runPipeline({ host, model, ...parts });
    case 'recommender':
      return runRecommenderPipeline({ host, recommender: model, ...parts });
    case undefined:
      throw new PlatformError(
        'MODEL_NOT_FOUND',
        `App '${host.app.name}' no longer defines model '${parts.run.model}'`,
      );
  }
}

function isPassing(error: unknown): boolean {
  return PlatformError.is(error) && error.retryable;
}

/** What the run says of its failure. Other errors than coded ones tell nothing: they may hold data. */
function describe(error: unknown): string {
  return PlatformError.is(error)
    ? `${error.code}: ${error.message}`
    : 'INTERNAL: An unexpected error happened; the log of the service has the details';
}
