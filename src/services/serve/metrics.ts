import type { Counter, Gauge, Histogram, Metrics } from '../../runtime/index.ts';

/** What serve tells about itself; each name stands behind `serve_`. */
export interface ServeMetrics {
  readonly decisions: Counter;
  readonly recommendations: Counter;
  readonly recommendationSeconds: Histogram;
  readonly errors: Counter;
  readonly seconds: Histogram;
  readonly inFlight: Gauge;
  readonly queueDepth: Gauge;
  readonly batchRows: Histogram;
  readonly ledgerBuffered: Gauge;
  readonly ledgerLost: Counter;
  readonly reviewsWaiting: Gauge;
  readonly reviewsOldest: Gauge;
  readonly reviewsDropped: Counter;
  readonly releaseAge: Gauge;
  readonly releaseLoads: Counter;
}

/** Upper bounds in seconds, from 10 us (a model) to 10 s. */
const SECONDS = [
  1e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
const ROWS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 5_000];

/** Makes the metrics of the service. */
export function serveMetrics(metrics: Metrics): ServeMetrics {
  return {
    decisions: metrics.counter('decisions_total', 'Decisions answered', ['decision', 'outcome', 'release']),
    recommendations: metrics.counter(
      'recommendations_total',
      'Recommendations answered, by why popular items were answered',
      ['recommendation', 'fallback', 'release'],
    ),
    recommendationSeconds: metrics.histogram(
      'recommendation_seconds',
      'Time to answer: total, history, candidates, ranking, ledger',
      ['part'],
      SECONDS,
    ),
    errors: metrics.counter('errors_total', 'Decisions and recommendations refused, by error code', [
      'decision',
      'code',
    ]),
    seconds: metrics.histogram(
      'decision_seconds',
      'Time to answer: total, features, model, explanation, ledger',
      ['part'],
      SECONDS,
    ),
    inFlight: metrics.gauge('in_flight', 'Decisions and recommendations under way'),
    queueDepth: metrics.gauge('queue_depth', 'Requests that wait for a vector read', ['vector']),
    batchRows: metrics.histogram('batch_rows', 'Candidates in one vector read', ['vector'], ROWS),
    ledgerBuffered: metrics.gauge('ledger_buffered_entries', 'Answers not yet in the ledger'),
    ledgerLost: metrics.counter('ledger_lost_entries_total', 'Answers that never reached the ledger'),
    reviewsWaiting: metrics.gauge('reviews_waiting', 'Decisions that wait for a person', ['decision']),
    reviewsOldest: metrics.gauge(
      'reviews_oldest_seconds',
      'How long the oldest of them has waited; 0 when none does',
      ['decision'],
    ),
    reviewsDropped: metrics.counter(
      'reviews_dropped_total',
      'Decisions that left the queue of reviews because it was full',
      ['decision'],
    ),
    releaseAge: metrics.gauge('release_age_seconds', 'Time since the registry last confirmed the releases'),
    releaseLoads: metrics.counter('release_loads_total', 'Attempts to load a release', [
      'decision',
      'result',
    ]),
  };
}
