import { logLoss, brier, logLossOfRow, squaredErrorOfRow } from '../probability.ts';
import { aucOf, aucRoc, averagePrecision, averagePrecisionOf } from '../ranking.ts';
import type { ClassTally } from '../scored.ts';
import { byFallingScore, scoreGroups, tallyInto } from '../scored.ts';
import type { Units } from './units.ts';

/**
 * A metric of rows: `aucRoc`, `brier`, `rootMeanSquaredError` and the like as they are, or any function. It
 * throws a `RangeError` or returns `NaN` for rows that it cannot measure. The order of the rows must not
 * matter beyond ties: those of a resample come by falling score. The arrays are valid during the call only.
 * `weights` is undefined when the rows have none, `groups` likewise; a group that was drawn twice comes as
 * two groups, numbered in no particular order. (Four parameters, so that the metrics of this library fit.)
 */
export type Metric = (
  labels: Float64Array,
  scores: Float64Array,
  weights?: Float64Array,
  groups?: Int32Array,
) => number;

/** @internal The rows of a bootstrap, copied and checked. */
export interface MeasuredRows {
  readonly labels: Float64Array;
  readonly scores: Float64Array;
  readonly weights: Float64Array | undefined;
  readonly grouped: boolean;
}

/** @internal Measures a resample, given how often each unit was drawn; NaN when that is impossible. */
export type Evaluate = (drawn: Int32Array) => number;

/**
 * @internal Prepares the measuring of resamples. A resample is a number of times for each row, and for the
 * metrics that take weights that is a weight: AUC and average precision are then sums over the score groups,
 * which were sorted once, and mean losses are sums of losses, which were taken once. All other metrics get
 * the rows written out.
 */
export function evaluatorOf(metric: Metric, rows: MeasuredRows, units: Units): Evaluate {
  if (metric === aucRoc) return tallied(rows, units, aucOf);
  if (metric === averagePrecision) return tallied(rows, units, averagePrecisionOf);
  if (metric === logLoss) return averaged(rows, units, logLossOfRow);
  if (metric === brier) return averaged(rows, units, squaredErrorOfRow);
  return writtenOut(metric, rows, units);
}

/** The metric of the rows; NaN when it says that it cannot measure them. */
function measure(metric: () => number): number {
  try {
    return metric();
  } catch (error) {
    if (error instanceof RangeError) return Number.NaN;
    throw error;
  }
}

function tallied(rows: MeasuredRows, units: Units, metricOf: (tally: ClassTally) => number): Evaluate {
  const { scores, groupOf } = scoreGroups(rows.scores);
  const labels = Uint8Array.from(rows.labels);
  const weights = new Float64Array(labels.length);
  const tally = { positives: new Float64Array(scores.length), negatives: new Float64Array(scores.length) };
  return (drawn) => {
    for (let row = 0; row < weights.length; row += 1) {
      weights[row] = (drawn[units.unitOf[row] as number] as number) * (rows.weights?.[row] ?? 1);
    }
    tallyInto(tally, groupOf, { labels, weights });
    return metricOf(tally);
  };
}

function averaged(
  rows: MeasuredRows,
  units: Units,
  lossOf: (label: number, score: number) => number,
): Evaluate {
  const losses = rows.labels.map((label, row) => lossOf(label, rows.scores[row] as number));
  return (drawn) => {
    let sum = 0;
    let total = 0;
    for (let row = 0; row < losses.length; row += 1) {
      const weight = (drawn[units.unitOf[row] as number] as number) * (rows.weights?.[row] ?? 1);
      sum += weight * (losses[row] as number);
      total += weight;
    }
    return sum / total;
  };
}

function writtenOut(metric: Metric, rows: MeasuredRows, units: Units): Evaluate {
  // In this order a metric that ranks the rows need not sort them again; see byFallingScore.
  const order = byFallingScore(rows.scores);
  // Whole groups make resamples of different lengths; the buffers grow to the longest one.
  let labels = new Float64Array(rows.labels.length);
  let scores = new Float64Array(rows.labels.length);
  let weights = new Float64Array(rows.labels.length);
  let groups = new Int32Array(rows.labels.length);
  return (drawn) => {
    const firstCopies = firstCopiesOf(drawn);
    let length = 0;
    for (const unit of units.unitOf) length += drawn[unit] as number;
    if (length > labels.length) {
      labels = new Float64Array(length);
      scores = new Float64Array(length);
      weights = new Float64Array(length);
      groups = new Int32Array(length);
    }
    let filled = 0;
    for (const row of order) {
      const unit = units.unitOf[row] as number;
      const times = drawn[unit] as number;
      for (let copy = 0; copy < times; copy += 1) {
        labels[filled] = rows.labels[row] as number;
        scores[filled] = rows.scores[row] as number;
        weights[filled] = rows.weights?.[row] ?? 1;
        groups[filled] = (firstCopies[unit] as number) + copy;
        filled += 1;
      }
    }
    return measure(() =>
      metric(
        labels.subarray(0, length),
        scores.subarray(0, length),
        rows.weights === undefined ? undefined : weights.subarray(0, length),
        rows.grouped ? groups.subarray(0, length) : undefined,
      ),
    );
  };
}

/** The number of the first copy of each unit, when all copies are numbered from 0. */
function firstCopiesOf(drawn: Int32Array): Int32Array {
  const first = new Int32Array(drawn.length);
  for (let unit = 1; unit < drawn.length; unit += 1) {
    first[unit] = (first[unit - 1] as number) + (drawn[unit - 1] as number);
  }
  return first;
}
