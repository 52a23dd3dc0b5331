import type { Counter, Gauge, Histogram, Metrics } from '../../runtime/index.ts';

/** What train tells about itself; each name stands behind `train_`. */
export interface TrainMetrics {
  /** Runs that ended in this process, by state. */
  readonly runs: Counter;
  readonly running: Gauge;
  readonly stepSeconds: Histogram;
  readonly backlogRuns: Gauge;
  readonly backlogSeconds: Gauge;
  /** Runs that this process queued because a rule said so. */
  readonly scheduled: Counter;
  /** Trials of searches that ended in this process, by state. */
  readonly trials: Counter;
  readonly runningTrials: Gauge;
  readonly backlogTrials: Gauge;
  /** Until the next due instant; negative while a run is due and not queued. */
  readonly scheduleNext: Gauge;
}

/** Upper bounds in seconds, from 10 ms to 3 hours. */
const SECONDS = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_800];

/** Makes the metrics of the service. */
export function trainMetrics(metrics: Metrics): TrainMetrics {
  return {
    runs: metrics.counter('runs_total', 'Runs that ended, by state', ['state']),
    running: metrics.gauge('running_runs', 'Runs that this process works on'),
    stepSeconds: metrics.histogram(
      'step_seconds',
      'Time of a step that was done, not reused',
      ['step'],
      SECONDS,
    ),
    backlogRuns: metrics.gauge('backlog_runs', 'Runs that wait for a process'),
    trials: metrics.counter('trials_total', 'Trials of searches that ended, by state', ['state']),
    runningTrials: metrics.gauge('running_trials', 'Trials of searches that this process works on'),
    backlogTrials: metrics.gauge('backlog_trials', 'Trials of searches that wait for a process'),
    scheduled: metrics.counter('runs_scheduled_total', 'Runs that a rule of their model queued', [
      'model',
      'reason',
    ]),
    scheduleNext: metrics.gauge(
      'schedule_next_seconds',
      'Time until the next due instant; negative while a run is due and not queued; +Inf while paused',
      ['model'],
    ),
    backlogSeconds: metrics.gauge('backlog_oldest_seconds', 'Age of the oldest waiting run'),
  };
}
