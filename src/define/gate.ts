import { RECOMMENDER_METRICS, type RecommenderMetricName } from './recommender-metric.ts';

/**
 * Metrics of the judged rows.
 *
 * | of | metrics |
 * |---|---|
 * | probabilities | `aucRoc`, `averagePrecision`, `logLoss`, `brier`, `calibrationError` |
 * | decisions at a threshold | `recall`, `precision`, `specificity` |
 * | the entities that are looked into on a day | `cardPrecision100` |
 * | rankings, the mean over groups of their first ten places | `ndcg10`, `map10`, `mrr10` |
 * | recommenders, the mean over users | {@link RecommenderMetricName} |
 *
 * Each is in [0, 1] except log loss. Less is better of `logLoss`, `brier` and `calibrationError`, more of all others.
 */
export type MetricName =
  | 'aucRoc'
  | 'averagePrecision'
  | 'logLoss'
  | 'brier'
  | 'calibrationError'
  | 'cardPrecision100'
  | ThresholdMetricName
  | RankingMetricName
  | RecommenderMetricName;

/** Metrics of decisions at a threshold: of the positives, of the alarms, of the negatives the share that is decided right. */
export type ThresholdMetricName = 'recall' | 'precision' | 'specificity';

/** Metrics of a ranking, as in recommendation: normalised discounted gain, average precision, reciprocal rank of the first hit. */
export type RankingMetricName = 'ndcg10' | 'map10' | 'mrr10';

const THRESHOLD_METRICS: readonly MetricName[] = ['recall', 'precision', 'specificity'];
const RANKING_METRICS: readonly MetricName[] = ['ndcg10', 'map10', 'mrr10'];
const LOSSES: readonly MetricName[] = ['logLoss', 'brier', 'calibrationError'];
/** A probability that is the same for all rows can be right on average, and can make all rows alarms. */
const UNCOMPARED_METRICS: readonly MetricName[] = [
  ...THRESHOLD_METRICS,
  'calibrationError',
  'cardPrecision100',
];
const METRICS: readonly MetricName[] = [
  'aucRoc',
  'averagePrecision',
  ...LOSSES,
  'cardPrecision100',
  ...THRESHOLD_METRICS,
  ...new Set([...RANKING_METRICS, ...RECOMMENDER_METRICS]),
];

/** What a gate measures: all of it but the bound. */
export interface GateMeasure {
  readonly metric: MetricName;
  readonly direction: 'atLeast' | 'atMost';
  /** Rows with at least this probability are alarms. Of `recall`, `precision` and `specificity`, and of those always. */
  readonly at?: number;
  /** `worst`: every slice of the judged rows must pass. Absent: all rows together. */
  readonly slice?: 'worst';
  /** Fewest rows of a slice that counts. There when `slice` is. */
  readonly rowsMin?: number;
  /** The end of the 95 % interval that is held against the bound. Absent: the value. */
  readonly end?: 'lower' | 'upper';
  /** How much better than the baseline, in the metric's unit; positive is better, also of a loss. It must be above the bound. */
  readonly against?: 'baseline';
}

/** A bound that a model version must meet before it can be released. */
export interface Gate extends GateMeasure {
  readonly bound: number;
}

export interface GateOptions {
  /** Only of `recall`, `precision` and `specificity`: the threshold, in [0, 1]. Default 0.5. */
  readonly at?: number;
  /**
   * `'worst'`: the bound holds in every slice that the model card shows and that can be measured. Not of `cardPrecision100` and of
   * rankings. Default: all rows together.
   */
  readonly slice?: 'worst';
  /** Only with `slice`: slices of fewer rows do not count. Default 30. */
  readonly rowsMin?: number;
  /**
   * `'lower'` of `atLeast`, `'upper'` of `atMost`: that end of the 95 % interval is held against the bound, so that few rows are no way
   * to pass by luck. Not of `cardPrecision100`. Default: the value.
   */
  readonly bound?: 'lower' | 'upper';
}

/** Fewest rows of a slice that counts for a gate, unless it says otherwise. */
const SLICE_ROWS_MIN = 30;

/**
 * The metric must reach the bound. Throws TypeError on options that do not belong to the metric.
 *
 * @example atLeast('recall', 0.8, { at: 0.3, slice: 'worst', bound: 'lower' })
 */
export function atLeast(metric: MetricName, bound: number, options: GateOptions = {}): Gate {
  return gate({ metric, direction: 'atLeast', bound }, options);
}

/** The metric must not exceed the bound. Throws TypeError on options that do not belong to the metric. */
export function atMost(metric: MetricName, bound: number, options: GateOptions = {}): Gate {
  return gate({ metric, direction: 'atMost', bound }, options);
}

/**
 * The metric must be better than that of the baseline on the same rows: a model that gives every row the share of positives, and of a
 * ranking an order by chance. With `bound: 'lower'` the lower end of the interval of the difference must be. Throws TypeError on a
 * metric that a baseline has no value of.
 */
export function betterThanBaseline(metric: MetricName, options: Pick<GateOptions, 'bound'> = {}): Gate {
  if (UNCOMPARED_METRICS.includes(metric)) {
    throw new TypeError(
      `betterThanBaseline(): not of ${metric}, in which a model that tells no rows apart can be as good as any`,
    );
  }
  return { ...gate({ metric, direction: 'atLeast', bound: 0 }, options), against: 'baseline' };
}

function gate(
  wanted: Pick<Gate, 'metric' | 'direction' | 'bound'>,
  { at, slice, rowsMin, bound: end }: GateOptions,
): Gate {
  const { metric, direction, bound } = wanted;
  const fail = (why: string): never => {
    throw new TypeError(`${direction}('${metric}'): ${why}`);
  };
  if (!METRICS.includes(metric)) fail(`metrics are ${METRICS.join(', ')}`);
  if (!Number.isFinite(bound)) fail(`the bound is a finite number; got ${String(bound)}`);
  const hasThreshold = THRESHOLD_METRICS.includes(metric);
  if (at !== undefined && !hasThreshold)
    fail(`'at' is a threshold, and of ${THRESHOLD_METRICS.join(', ')} only`);
  if (at !== undefined && !(at >= 0 && at <= 1)) fail(`'at' is in [0, 1]; got ${String(at)}`);
  if (slice !== undefined && slice !== 'worst') fail(`'slice' is 'worst'; got '${String(slice)}'`);
  if (slice !== undefined && (metric === 'cardPrecision100' || isRankingMetric(metric))) {
    fail('it is not measured by slices');
  }
  if (rowsMin !== undefined && slice === undefined) fail("'rowsMin' goes with slice: 'worst'");
  if (rowsMin !== undefined && !(Number.isSafeInteger(rowsMin) && rowsMin >= 1)) {
    fail(`'rowsMin' is a whole number from 1; got ${String(rowsMin)}`);
  }
  const strict = direction === 'atLeast' ? 'lower' : 'upper';
  if (end !== undefined && end !== strict) {
    fail(`the end of the interval that is surely ${direction} is '${strict}'; got '${String(end)}'`);
  }
  if (end !== undefined && metric === 'cardPrecision100') fail('it has no interval');
  return {
    ...wanted,
    ...(hasThreshold ? { at: at ?? 0.5 } : {}),
    ...(slice === undefined ? {} : { slice, rowsMin: rowsMin ?? SLICE_ROWS_MIN }),
    ...(end === undefined ? {} : { end }),
  };
}

/** @internal Whether it is a metric of rankings. */
export function isRankingMetric(metric: string): metric is RankingMetricName {
  return (RANKING_METRICS as readonly string[]).includes(metric);
}

/** @internal Whether more of the metric is better. */
export function isHigherBetter(metric: string): boolean {
  return !(LOSSES as readonly string[]).includes(metric);
}

/** @internal What tells gates apart, as a gate has it or a verdict that came over the wire. */
export type GateIdentity = {
  readonly [TName in keyof Gate]: TName extends 'metric' ? string : Gate[TName] | undefined;
};

/** @internal Whether two are the same gate: of the same metric, threshold, slice and end of the interval, with the same bound. */
export function isSameGate(one: GateIdentity, other: GateIdentity): boolean {
  return one.bound === other.bound && isSameGateMeasure(one, other);
}

/** @internal Whether two gates measure the same. */
export function isSameGateMeasure(
  one: Omit<GateIdentity, 'bound'>,
  other: Omit<GateIdentity, 'bound'>,
): boolean {
  return (['metric', 'direction', 'at', 'slice', 'rowsMin', 'end', 'against'] as const).every(
    (name) => one[name] === other[name],
  );
}

/** @internal What a gate measures, in words: `recall at 0.3 in the worst slice, lower end`. */
export function gateMeasureText({ metric, at, slice, end, against }: Omit<GateIdentity, 'bound'>): string {
  const threshold = at === undefined ? '' : ` at ${String(at)}`;
  const where = slice === undefined ? '' : ' in the worst slice';
  const measured = against === undefined ? metric : `lead of ${metric} over the baseline`;
  return `${measured}${threshold}${where}${end === undefined ? '' : `, ${end} end`}`;
}

/** @internal What a gate asks for, in words: `at least 0.8`. */
export function gateBoundText({ direction, bound, against }: GateIdentity): string {
  if (against !== undefined) return `more than ${String(bound)}`;
  return `${direction === 'atLeast' ? 'at least' : 'at most'} ${String(bound)}`;
}

/** @internal Whether a value passes: a share that is no number passes nothing. */
export function isGateMet({ direction, bound, against }: GateIdentity, value: number): boolean {
  if (against !== undefined) return value > (bound as number);
  return direction === 'atLeast' ? value >= (bound as number) : value <= (bound as number);
}
