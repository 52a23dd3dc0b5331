import { type GateMeasure, isHigherBetter } from '../../define/index.ts';
import {
  aucRoc,
  averagePrecision,
  bootstrap,
  type BootstrapInterval,
  brier,
  calibrationError,
  logLoss,
  membersOf,
  type Metric,
} from '../../ml/index.ts';
import { describe, REPORT_LIMITS, type ScoredRows, sliceColumns, unlessUnsound } from './measure-report.ts';
import { isThresholdMetric, shareOf } from './measure-thresholds.ts';
import type { Part } from './part-file.ts';

/** What was measured for a gate. */
export interface Measurement {
  readonly measure: GateMeasure;
  readonly value: number;
  readonly where?: { readonly input: string; readonly values: string; readonly rows: number };
  readonly baseline?: number;
  /** Why there is nothing to measure: then the value is the worst there is. */
  readonly unmeasured?: string;
}

export interface GateRows {
  readonly test: Part;
  readonly rows: ScoredRows;
  /** The probability that the baseline gives every row. */
  readonly baseline: number;
  readonly seed: number;
}

/** Fewest rows of a slice that a share is of, or of each class: of fewer it would say nothing. */
export const SLICE_SUPPORT_MIN = 5;

const METRICS: Readonly<Record<string, Metric>> = {
  aucRoc,
  averagePrecision,
  logLoss,
  brier,
  calibrationError: (labels, scores) => calibrationError(labels, scores),
};

/** Metrics that compare one class with the other. */
const COMPARING = ['aucRoc', 'averagePrecision'];

/** Whether a gate asks for more than a metric of all rows. */
export function isRefined({ at, slice, end, against }: GateMeasure): boolean {
  return [at, slice, end, against].some((asked) => asked !== undefined);
}

/** Measures what a gate asks for: at a threshold, in the worst slice, at an end of the interval, or against the baseline. */
export function measureGate(measure: GateMeasure, input: GateRows): Measurement {
  if (measure.against !== undefined) return leadOf(measure, input);
  if (measure.slice !== undefined) return worstSliceOf(measure, input);
  const value = valueOf(measure, input.rows, { seed: input.seed, resamples: REPORT_LIMITS.resamples });
  return value === undefined ? unmeasured(measure, lackOf(measure)) : { measure, value };
}

/** The verdict's value where there is none: as if it were as bad as can be. */
export function unmeasured(measure: GateMeasure, why: string): Measurement {
  return { measure, value: measure.direction === 'atLeast' ? 0 : Number.MAX_VALUE, unmeasured: why };
}

function lackOf({ metric, at }: GateMeasure): string {
  return metric === 'precision'
    ? `no row has a probability of ${String(at)} or more`
    : 'there are too few rows';
}

interface Effort {
  readonly seed: number;
  readonly resamples: number;
}

/** The value, or the asked end of its interval; `undefined` where it cannot be measured. */
function valueOf({ metric, at, end }: GateMeasure, rows: ScoredRows, effort: Effort): number | undefined {
  if (isThresholdMetric(metric)) {
    const share = shareOf(rows, { name: metric, at: at ?? 0.5, seed: effort.seed });
    if (share === undefined || end === undefined) return share?.value;
    return end === 'lower' ? share.interval.low : share.interval.high;
  }
  const measured = METRICS[metric];
  if (measured === undefined) return undefined;
  if (end !== undefined) return resampled(measured, rows, effort)?.[end];
  return unlessUnsound(() => measured(Float64Array.from(rows.labels), Float64Array.from(rows.scores)));
}

function resampled(
  metric: Metric,
  rows: ScoredRows,
  { seed, resamples }: Effort,
): BootstrapInterval | undefined {
  const { level } = REPORT_LIMITS;
  return unlessUnsound(() => bootstrap(metric, rows, { resamples, level, method: 'percentile', seed }));
}

/**
 * The value of the slice that does worst, among those with enough rows: by the value that is asked for, so that the gate passes if
 * every slice does.
 */
function worstSliceOf(measure: GateMeasure, { test, rows, seed }: GateRows): Measurement {
  const { rowsMin = 1, direction } = measure;
  let worst: Measurement | undefined;
  for (const { column, value: slice, rows: inside } of membersOf(sliceColumns(test), test.rows)) {
    if (inside.length < rowsMin) continue;
    const own = selected(rows, inside);
    if (!hasSupport(measure, own)) continue;
    const value = valueOf(measure, own, { seed, resamples: REPORT_LIMITS.sliceResamples });
    if (value === undefined) continue;
    const isWorse =
      worst === undefined || (direction === 'atLeast' ? value < worst.value : value > worst.value);
    if (!isWorse) continue;
    worst = { measure, value, where: { input: column, values: describe(slice), rows: inside.length } };
  }
  return worst ?? unmeasured(measure, `no slice has ${rowsMin} rows and ${SLICE_SUPPORT_MIN} that count`);
}

function hasSupport({ metric, at = 0.5 }: GateMeasure, { labels, scores }: ScoredRows): boolean {
  const count = (isOne: (row: number) => boolean): number =>
    labels.reduce((sum, _, row) => sum + (isOne(row) ? 1 : 0), 0);
  const positives = count((row) => labels[row] === 1);
  const negatives = labels.length - positives;
  if (COMPARING.includes(metric)) return Math.min(positives, negatives) >= SLICE_SUPPORT_MIN;
  if (metric === 'recall') return positives >= SLICE_SUPPORT_MIN;
  if (metric === 'specificity') return negatives >= SLICE_SUPPORT_MIN;
  if (metric === 'precision') return count((row) => (scores[row] as number) >= at) >= SLICE_SUPPORT_MIN;
  return true;
}

function selected({ labels, scores, groups }: ScoredRows, rows: readonly number[]): ScoredRows {
  return {
    labels: Uint8Array.from(rows, (row) => labels[row] as number),
    scores: Float64Array.from(rows, (row) => scores[row] as number),
    ...(groups === undefined ? {} : { groups: Uint32Array.from(rows, (row) => groups[row] as number) }),
  };
}

/**
 * How much better than the baseline it is. The lower end is that of the differences in the same resamples: what makes rows hard for
 * both is in neither.
 */
function leadOf(measure: GateMeasure, { rows, baseline: probability, seed }: GateRows): Measurement {
  const metric = METRICS[measure.metric];
  const without = { ...rows, scores: new Float64Array(rows.scores.length).fill(probability) };
  const values = [rows, without].map((one) =>
    valueOf({ metric: measure.metric, direction: 'atLeast' }, one, { seed, resamples: 0 }),
  );
  const [own, baseline] = values;
  if (metric === undefined || own === undefined || baseline === undefined)
    return unmeasured(measure, lackOf(measure));
  const sign = isHigherBetter(measure.metric) ? 1 : -1;
  if (measure.end === undefined) return { measure, value: sign * (own - baseline), baseline };
  const effort = { seed, resamples: REPORT_LIMITS.resamples };
  const [model, flat] = [resampled(metric, rows, effort), resampled(metric, without, effort)];
  if (model === undefined || flat === undefined) return unmeasured(measure, lackOf(measure));
  return {
    measure,
    value: lowerEnd(
      model.replicates.map((value, index) => sign * (value - (flat.replicates[index] as number))),
    ),
    baseline,
  };
}

/** @internal The lower end of the interval that the resamples give. */
export function lowerEnd(replicates: Float64Array): number {
  const sorted = replicates.filter((value) => !Number.isNaN(value)).sort();
  return sorted[Math.floor(((1 - REPORT_LIMITS.level) / 2) * (sorted.length - 1))] ?? Number.NaN;
}
