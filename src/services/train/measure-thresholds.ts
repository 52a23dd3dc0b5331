import type { GateMeasure, ThresholdMetricName } from '../../define/index.ts';
import { bootstrap, type Metric, shareInterval } from '../../ml/index.ts';
import { REPORT_LIMITS, type ScoredRows, unlessUnsound } from './measure-report.ts';
import type { Share, ThresholdReport } from './report.ts';

/** The threshold that a card speaks of besides those of the gates: that of a decision which says nothing else. */
const THRESHOLD_DEFAULT = 0.5;

const NAMES: readonly ThresholdMetricName[] = ['recall', 'precision', 'specificity'];

/** Rows that count for a share, and those of them that were decided right. */
interface Tally {
  readonly hits: number;
  readonly total: number;
}

/** What is decided at the thresholds of the gates and at 0.5, ascending. */
export function thresholdsOf(
  rows: ScoredRows,
  { asked, seed }: { readonly asked: readonly GateMeasure[]; readonly seed: number },
): ThresholdReport[] {
  const all = new Set([THRESHOLD_DEFAULT, ...asked.flatMap(({ at }) => (at === undefined ? [] : [at]))]);
  return [...all]
    .sort((a, b) => a - b)
    .map((at) => {
      const share = (name: ThresholdMetricName): Share | null => shareOf(rows, { name, at, seed }) ?? null;
      return {
        at,
        alarms: tallyOf('precision', at, rows).total,
        recall: share('recall'),
        precision: share('precision'),
        specificity: share('specificity'),
      };
    });
}

/**
 * A share with its interval; `undefined` when no row counts for it. The interval is Wilson's, which unlike a bootstrap does not shrink
 * to a point where every row is a hit. Rows of one entity resemble each other, so that there are fewer independent ones than rows:
 * where there are entities it is widened to what a bootstrap of entities gives.
 */
export function shareOf(
  rows: ScoredRows,
  { name, at, seed }: { readonly name: ThresholdMetricName; readonly at: number; readonly seed: number },
): Share | undefined {
  const { resamples, level } = REPORT_LIMITS;
  const { hits, total } = tallyOf(name, at, rows);
  if (total === 0) return undefined;
  const { lower, upper } = shareInterval(hits, total, level);
  const metric: Metric = (labels, scores) => {
    const tally = tallyOf(name, at, { labels, scores });
    return tally.hits / tally.total;
  };
  const grouped =
    rows.groups === undefined
      ? undefined
      : unlessUnsound(() => bootstrap(metric, rows, { resamples, level, method: 'percentile', seed }));
  return {
    value: hits / total,
    rows: total,
    interval: {
      low: Math.min(lower, grouped?.lower ?? lower),
      high: Math.max(upper, grouped?.upper ?? upper),
      level,
    },
  };
}

/** Whether a metric is a share of decisions at a threshold. */
export function isThresholdMetric(metric: string): metric is ThresholdMetricName {
  return (NAMES as readonly string[]).includes(metric);
}

function tallyOf(
  name: ThresholdMetricName,
  at: number,
  { labels, scores }: { readonly labels: ArrayLike<number>; readonly scores: ArrayLike<number> },
): Tally {
  let hits = 0;
  let total = 0;
  for (let row = 0; row < labels.length; row += 1) {
    const isPositive = labels[row] === 1;
    const isAlarm = (scores[row] as number) >= at;
    const counts = name === 'recall' ? isPositive : name === 'precision' ? isAlarm : !isPositive;
    if (!counts) continue;
    total += 1;
    if (isPositive === isAlarm) hits += 1;
  }
  return { hits, total };
}
