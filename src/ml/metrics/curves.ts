import { sumOf, tallyScores } from './scored.ts';

/**
 * A ROC curve. Point i is what happens when rows with a score of at least `thresholds[i]` are predicted
 * positive; all arrays have one entry for each point. The first point predicts nothing as positive (0, 0),
 * under the threshold `Infinity`; then there is one for each different score, falling; the last is (1, 1).
 */
export interface RocCurve {
  readonly thresholds: Float64Array;
  /** Share of the negatives that are predicted positive, rising. */
  readonly falsePositiveRates: Float64Array;
  /** Share of the positives that are predicted positive, rising. */
  readonly truePositiveRates: Float64Array;
}

/**
 * A precision-recall curve. Point i is what happens when rows with a score of at least `thresholds[i]` are
 * predicted positive. The first point predicts nothing as positive, under the threshold `Infinity`: recall 0
 * with, by convention, precision 1; then there is one for each different score, falling.
 */
export interface PrecisionRecallCurve {
  readonly thresholds: Float64Array;
  readonly precisions: Float64Array;
  /** Rising from 0 to 1. */
  readonly recalls: Float64Array;
}

/**
 * The ROC curve. The area under it by trapezoids is `aucRoc`: between two points lie rows of equal score, in
 * no order.
 *
 * @param labels 0 or 1
 * @param scores any numbers but NaN
 * @param weights one of at least 0 for each row, default all 1
 * @throws RangeError on unsound input, or when a class is missing or has no weight.
 */
export function rocCurve(
  labels: ArrayLike<number>,
  scores: ArrayLike<number>,
  weights?: ArrayLike<number>,
): RocCurve {
  const tally = tallyScores({ labels, scores, weights }, 'A ROC curve');
  return {
    thresholds: thresholdsOf(tally.scores),
    falsePositiveRates: sharesOf(tally.negatives),
    truePositiveRates: sharesOf(tally.positives),
  };
}

/**
 * The precision-recall curve. The sum of each precision times the step in recall before it is
 * `averagePrecision`. Trapezoids between the points would flatter: precision does not move on straight lines
 * (Davis and Goadrich, "The relationship between precision-recall and ROC curves", 2006).
 *
 * @param labels 0 or 1
 * @param scores any numbers but NaN
 * @param weights one of at least 0 for each row, default all 1
 * @throws RangeError on unsound input, or when a class is missing or has no weight.
 */
export function precisionRecallCurve(
  labels: ArrayLike<number>,
  scores: ArrayLike<number>,
  weights?: ArrayLike<number>,
): PrecisionRecallCurve {
  const tally = tallyScores({ labels, scores, weights }, 'A precision-recall curve');
  const precisions = new Float64Array(tally.scores.length + 1);
  precisions[0] = 1;
  let positives = 0;
  let seen = 0;
  for (let group = 0; group < tally.scores.length; group += 1) {
    positives += tally.positives[group] as number;
    seen += (tally.positives[group] as number) + (tally.negatives[group] as number);
    // The first rows may have no weight: then still nothing is predicted positive.
    precisions[group + 1] = seen > 0 ? positives / seen : 1;
  }
  return { thresholds: thresholdsOf(tally.scores), precisions, recalls: sharesOf(tally.positives) };
}

function thresholdsOf(scores: Float64Array): Float64Array {
  const thresholds = new Float64Array(scores.length + 1);
  thresholds[0] = Number.POSITIVE_INFINITY;
  thresholds.set(scores, 1);
  return thresholds;
}

/** Running sums as shares of the whole, from 0 to 1. */
function sharesOf(parts: Float64Array): Float64Array {
  const total = sumOf(parts);
  const shares = new Float64Array(parts.length + 1);
  let sum = 0;
  for (let index = 0; index < parts.length; index += 1) {
    sum += parts[index] as number;
    shares[index + 1] = sum / total;
  }
  return shares;
}
