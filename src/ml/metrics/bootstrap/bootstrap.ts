import { SeededRandom } from '../../random.ts';
import { readWeights } from '../../training-input.ts';
import { accelerationOf } from './acceleration.ts';
import type { Evaluate, MeasuredRows, Metric } from './evaluate.ts';
import { evaluatorOf } from './evaluate.ts';
import { normalProbability, normalQuantile } from './normal.ts';
import type { Units } from './units.ts';
import { formUnits } from './units.ts';

/** Resamples of one interval: far beyond what changes a printed digit. */
export const RESAMPLES_MAX = 100_000;

/** Share of the resamples that must be measurable: an interval over fewer describes the easy ones. */
const MEASURED_SHARE_MIN = 0.5;

/** Metrics that differ by less, relative to the estimate, are equal. */
const ROUNDING = 1e-12;

/** Rows whose metric is wanted. */
export interface BootstrapRows {
  /** Classes or, with `stratified: false`, measurements. */
  readonly labels: ArrayLike<number>;
  readonly scores: ArrayLike<number>;
  /** One of at least 0 for each row. Default: the metric gets none. */
  readonly weights?: ArrayLike<number>;
  /**
   * Whom each row belongs to, such as a patient or a card. Groups are then drawn as a whole: rows of one
   * group resemble each other, and drawing them one by one would promise more than the data holds.
   */
  readonly groups?: ArrayLike<number | string>;
}

export interface BootstrapOptions {
  /** Resamples, at most {@link RESAMPLES_MAX} and enough for one beyond each bound. Default 2,000. */
  readonly resamples?: number;
  /** Share of the intervals that shall hold the truth, between 0 and 1. Default 0.95. */
  readonly level?: number;
  /**
   * `percentile`: quantiles of the resampled metrics. `bca`: those, corrected for bias and for a standard
   * error that depends on the value (Efron, "Better bootstrap confidence intervals", 1987); better for skewed
   * metrics and small data, at the price of up to 200 more measurements a stratum. Default `bca`.
   */
  readonly method?: 'percentile' | 'bca';
  /**
   * Draw from each label as many rows as it has, so that no class is ever missing. With groups: from the
   * groups with the same set of labels. Default true.
   */
  readonly stratified?: boolean;
  /** Seed of the draws. Default 0. The same rows, options and seed draw the same resamples for any metric. */
  readonly seed?: number;
}

/** A metric with its confidence interval. */
export interface BootstrapInterval {
  /** The metric of the rows as they are. */
  readonly estimate: number;
  readonly lower: number;
  readonly upper: number;
  readonly level: number;
  /**
   * How the bounds were found. `percentile` although `bca` was asked for when all resamples lie on one side
   * of the estimate or some part of the rows could not be left out: then there is no correction.
   */
  readonly method: 'percentile' | 'bca';
  /** Standard deviation of the measured resamples. */
  readonly standardError: number;
  /** Resamples that were drawn. */
  readonly resamples: number;
  /** Resamples among them that could not be measured; the bounds leave them out. */
  readonly unmeasured: number;
  /**
   * The metric of each resample in the order of drawing, `NaN` where it could not be measured. Two models
   * measured on the same rows with the same options have paired replicates: the differences are a bootstrap
   * of the difference.
   */
  readonly replicates: Float64Array;
}

/**
 * A confidence interval of a metric by the bootstrap (Efron, 1979): rows are drawn with replacement, again
 * and again, and the spread of their metrics stands for that of other data like these.
 *
 * The interval says nothing about rows unlike these, nor about a model trained on other data. Few rows of a
 * class make it too narrow: no resampling shows what a class can look like beyond the rows it has.
 *
 * `aucRoc`, `averagePrecision`, `logLoss` and `brier` are recognised and sort once instead of once a
 * resample.
 *
 * @example `bootstrap(aucRoc, { labels, scores, groups: patients }, { level: 0.9 })`
 * @throws RangeError on unsound input or options, when the metric cannot measure the rows as they are, or
 *   when it cannot measure at least half of the resamples.
 */
export function bootstrap(
  metric: Metric,
  rows: BootstrapRows,
  options: BootstrapOptions = {},
): BootstrapInterval {
  const { resamples = 2000, level = 0.95, method = 'bca', stratified = true, seed = 0 } = options;
  checkOptions(resamples, level);
  const measured = readRows(rows);
  const units = formUnits(measured.labels, rows.groups, stratified);
  if (units.strata.every((stratum) => stratum.length < 2)) {
    throw new RangeError(
      'A bootstrap needs two rows or groups of a label: these resamples would be all alike',
    );
  }
  // Copies: a metric that sorts what it is given must not change what is resampled.
  const estimate = metric(
    measured.labels.slice(),
    measured.scores.slice(),
    measured.weights?.slice(),
    measured.grouped ? units.unitOf.slice() : undefined,
  );
  if (!Number.isFinite(estimate)) {
    throw new RangeError(
      `The metric of the ${measured.labels.length} rows is ${estimate}, not a finite number`,
    );
  }
  const evaluate = evaluatorOf(metric, measured, units);
  const replicates = replicatesOf(evaluate, units, { resamples, seed });
  const sorted = replicates.filter((value) => !Number.isNaN(value)).sort();
  if (sorted.length < resamples * MEASURED_SHARE_MIN) {
    throw new RangeError(
      `Only ${sorted.length} of ${resamples} resamples could be measured, at least half must be`,
    );
  }
  const tail = (1 - level) / 2;
  const corrected =
    method === 'bca'
      ? correctedTails(sorted, { estimate, tail }, () =>
          // Draws of its own: how many resamples there are must not change the blocks.
          accelerationOf(evaluate, units, new SeededRandom(seed)),
        )
      : undefined;
  const [low, high] = corrected ?? [tail, 1 - tail];
  return {
    estimate,
    lower: quantileOf(sorted, low),
    upper: quantileOf(sorted, high),
    level,
    method: corrected === undefined ? 'percentile' : 'bca',
    standardError: deviationOf(sorted),
    resamples,
    unmeasured: resamples - sorted.length,
    replicates,
  };
}

function replicatesOf(
  evaluate: Evaluate,
  units: Units,
  options: { readonly resamples: number; readonly seed: number },
): Float64Array {
  const random = new SeededRandom(options.seed);
  const drawn = new Int32Array(units.count);
  const replicates = new Float64Array(options.resamples);
  for (let resample = 0; resample < options.resamples; resample += 1) {
    drawn.fill(0);
    for (const stratum of units.strata) {
      for (let draw = 0; draw < stratum.length; draw += 1) {
        const unit = stratum[random.integer(stratum.length)] as number;
        drawn[unit] = (drawn[unit] as number) + 1;
      }
    }
    const value = evaluate(drawn);
    replicates[resample] = Number.isFinite(value) ? value : Number.NaN;
  }
  return replicates;
}

/**
 * The shares of the resamples below the two bounds of a BCa interval. Undefined when there is none: the
 * estimate lies outside all resamples, or the acceleration is unknown or so large that the correction breaks
 * down.
 */
function correctedTails(
  sorted: Float64Array,
  wanted: { readonly estimate: number; readonly tail: number },
  acceleration: () => number,
): readonly [number, number] | undefined {
  // A resample sums the same numbers in another order.
  const margin = ROUNDING * Math.abs(wanted.estimate);
  let below = 0;
  let equal = 0;
  for (const value of sorted) {
    if (Math.abs(value - wanted.estimate) <= margin) equal += 1;
    else if (value < wanted.estimate) below += 1;
  }
  // Ties count by half: a metric of few values would otherwise look biased.
  const share = (below + equal / 2) / sorted.length;
  if (share === 0 || share === 1) return undefined;
  const bias = normalQuantile(share);
  const factor = acceleration();
  const tails = [wanted.tail, 1 - wanted.tail].map((tail) => {
    const shifted = bias + normalQuantile(tail);
    const stretch = 1 - factor * shifted;
    return stretch > 0 ? normalProbability(bias + shifted / stretch) : Number.NaN;
  });
  const [low, high] = tails as [number, number];
  return Number.isNaN(low) || Number.isNaN(high) ? undefined : [low, high];
}

/** Quantile of sorted values, linear between them (type 7 of Hyndman and Fan, 1996). */
function quantileOf(sorted: Float64Array, share: number): number {
  const place = share * (sorted.length - 1);
  const below = sorted[Math.floor(place)] as number;
  const above = sorted[Math.ceil(place)] as number;
  return below + (above - below) * (place - Math.floor(place));
}

function deviationOf(values: Float64Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1));
}

function readRows(rows: BootstrapRows): MeasuredRows {
  const { labels, scores, groups } = rows;
  if (labels.length === 0) throw new RangeError('A bootstrap needs at least one row');
  if (scores.length !== labels.length) {
    throw new RangeError(`There are ${labels.length} labels but ${scores.length} scores`);
  }
  if (groups !== undefined && groups.length !== labels.length) {
    throw new RangeError(`There are ${labels.length} labels but ${groups.length} groups`);
  }
  return {
    labels: Float64Array.from(labels),
    scores: Float64Array.from(scores),
    weights: rows.weights === undefined ? undefined : readWeights(rows.weights, labels.length),
    grouped: groups !== undefined,
  };
}

function checkOptions(resamples: number, level: number): void {
  if (!(level > 0 && level < 1)) throw new RangeError(`The level must be between 0 and 1, not ${level}`);
  // Less than one resample beyond a bound would make the bound the extreme one. The margin is for rounding.
  const least = Math.ceil(2 / (1 - level) - 1e-6);
  if (!Number.isSafeInteger(resamples) || resamples < least || resamples > RESAMPLES_MAX) {
    throw new RangeError(
      `The number of resamples must be a whole number from ${least} (for level ${level}) to ${RESAMPLES_MAX}, ` +
        `not ${resamples}`,
    );
  }
}
