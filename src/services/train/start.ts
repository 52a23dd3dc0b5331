import { routes } from '../../contract/index.ts';
import { handler, type RunningService, type ServiceHost } from '../../runtime/index.ts';
import { type ActiveRuns, execute, RETRIES, type RunJob } from './execute.ts';
import { type TrainMetrics, trainMetrics } from './metrics.ts';
import { QUEUE, type TrainOptions } from './options.ts';
import { OutcomeCounter } from './outcome-counter.ts';
import { CANCEL_SIGNAL, cancelRun, endLostRuns, getRun, listRuns, startRun } from './runs.ts';
import { listSchedules, pauseSchedule, resumeSchedule, Scheduler } from './schedules.ts';

/** A job whose process is silent for this long goes to another one, in seconds. */
const HEARTBEAT_SECONDS = 10;

/** Starts the service. */
export async function start(host: ServiceHost<TrainOptions>): Promise<RunningService> {
  const { options, jobs, signals, tables } = host;
  const metrics = trainMetrics(host.metrics);
  const active: ActiveRuns = new Set();
  const expireSeconds = options.runSecondsMax;
  await jobs.createQueue(QUEUE, { heartbeatSeconds: HEARTBEAT_SECONDS, retries: RETRIES, expireSeconds });
  const stopWork =
    options.concurrency === 0
      ? undefined
      : await jobs.work<RunJob>(
          QUEUE,
          { concurrency: options.concurrency, groupMax: options.modelRunsMax },
          (job) => execute({ host, metrics, active, job }),
        );
  const unsubscribe = signals.subscribe(CANCEL_SIGNAL, () => {
    for (const progress of active) void progress.check();
  });
  const outcomes = new OutcomeCounter(host.log);
  const stopping = new AbortController();
  const open = { jobs: 0 };
  const watching = watch(host, metrics, open, stopping.signal);
  return {
    handlers: [
      handler(routes.startRun, ({ params, body }) => startRun(host, params.model, body)),
      handler(routes.getRun, ({ params }) => getRun(host, params.id)),
      handler(routes.listRuns, ({ params, query }) => listRuns(host, params.model, query)),
      handler(routes.listSchedules, () => listSchedules(host, outcomes)),
      handler(routes.pauseSchedule, ({ params }) => pauseSchedule(host, params.model, outcomes)),
      handler(routes.resumeSchedule, ({ params }) => resumeSchedule(host, params.model, outcomes)),
      handler(routes.cancelRun, ({ params }) => cancelRun(host, metrics, params.id)),
    ],
    scalingSignals: () => ({ open_jobs: open.jobs }),
    async ready() {
      try {
        await tables.query('select 1 from train_run limit 1');
        return { ready: true };
      } catch (error) {
        return {
          ready: false,
          reason: `The database does not answer: ${error instanceof Error ? error.message : ''}`,
        };
      }
    },
    async stop(graceMs) {
      stopping.abort();
      await Promise.all([watching, stopWork?.(graceMs)]);
      unsubscribe();
    },
  };
}

/** Queues due runs, measures the backlog and ends lost runs, again and again. */
async function watch(
  host: ServiceHost<TrainOptions>,
  metrics: TrainMetrics,
  open: { jobs: number },
  signal: AbortSignal,
): Promise<void> {
  const scheduler = new Scheduler(host, metrics);
  while (!signal.aborted) {
    try {
      await scheduler.look();
      const { ready, active, oldestSeconds } = await host.jobs.backlog(QUEUE);
      open.jobs = ready + active;
      metrics.backlogRuns.set(ready);
      metrics.backlogSeconds.set(oldestSeconds);
      for (const run of await endLostRuns(host)) {
        metrics.runs.add(1, { state: 'failed' });
        host.logger.error('run lost', { run: run.id, model: run.model, attempts: run.epoch });
      }
    } catch (error) {
      host.logger.warn('The runs could not be looked at', { error });
    }
    await host.clock.sleep(host.options.watchMs, signal);
  }
}
