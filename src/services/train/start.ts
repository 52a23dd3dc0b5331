import { routes } from '../../contract/index.ts';
import { handler, type RunningService, type ServiceHost } from '../../runtime/index.ts';
import { getSearch } from './get-search.ts';
import { type ActiveRuns, execute, RETRIES, type RunJob } from './execute.ts';
import { type TrainMetrics, trainMetrics } from './metrics.ts';
import { QUEUE, type TrainOptions } from './options.ts';
import { OutcomeCounter } from './outcome-counter.ts';
import { CANCEL_SIGNAL, cancelRun, endLostRuns, getRun, listRuns, startRun } from './runs.ts';
import { TRIAL_QUEUE, type TrialJob } from './trial-unit.ts';
import { TRIAL_RETRIES, TrialWorker } from './trial-worker.ts';
import { listSchedules, pauseSchedule, resumeSchedule, Scheduler } from './schedules.ts';

/** A job whose process is silent for this long goes to another one, in seconds. */
const HEARTBEAT_SECONDS = 10;
/** Longest time of a job, in seconds: trials have a limit of their own, which does not count how long they wait for a thread. */
const JOB_SECONDS_MAX = 86_400;

/** Starts the service. */
export async function start(host: ServiceHost<TrainOptions>): Promise<RunningService> {
  const { options, jobs, signals, tables } = host;
  const metrics = trainMetrics(host.metrics);
  const active: ActiveRuns = new Set();
  const expireSeconds = options.runSecondsMax;
  await jobs.createQueue(QUEUE, { heartbeatSeconds: HEARTBEAT_SECONDS, retries: RETRIES, expireSeconds });
  await jobs.createQueue(TRIAL_QUEUE, {
    heartbeatSeconds: HEARTBEAT_SECONDS,
    retries: TRIAL_RETRIES,
    expireSeconds: JOB_SECONDS_MAX,
  });
  const trials = new TrialWorker(host, metrics);
  const stopTrials =
    options.concurrency === 0
      ? undefined
      : await jobs.work<TrialJob>(TRIAL_QUEUE, options.trialConcurrency, (job) => trials.work(job));
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
    void trials.check();
  });
  const outcomes = new OutcomeCounter(host.log);
  const stopping = new AbortController();
  const open = { jobs: 0 };
  const watching = watch({ host, metrics, trials, open }, stopping.signal);
  return {
    handlers: [
      handler(routes.startRun, ({ params, body }) => startRun(host, params.model, body)),
      handler(routes.getRun, ({ params }) => getRun(host, params.id)),
      handler(routes.getSearch, ({ params, query }) => getSearch(host, params.id, query.form)),
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
      await Promise.all([watching, stopWork?.(graceMs), stopTrials?.(graceMs)]);
      unsubscribe();
    },
  };
}

interface Watched {
  readonly host: ServiceHost<TrainOptions>;
  readonly metrics: TrainMetrics;
  readonly trials: TrialWorker;
  readonly open: { jobs: number };
}

/** Queues due runs, measures the backlog and ends lost runs and trials that nobody wants, again and again. */
async function watch({ host, metrics, trials, open }: Watched, signal: AbortSignal): Promise<void> {
  const scheduler = new Scheduler(host, metrics);
  while (!signal.aborted) {
    try {
      await scheduler.look();
      const { ready, active, oldestSeconds } = await host.jobs.backlog(QUEUE);
      const waiting = await host.jobs.backlog(TRIAL_QUEUE);
      open.jobs = ready + active + waiting.ready + waiting.active;
      metrics.backlogTrials.set(waiting.ready);
      metrics.backlogRuns.set(ready);
      metrics.backlogSeconds.set(oldestSeconds);
      await trials.check();
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
