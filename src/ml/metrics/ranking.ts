import type { ClassTally } from './scored.ts';
import { byFallingScore, checkScored, tallyScores } from './scored.ts';

/**
 * Area under the ROC curve: the probability that a random positive row scores higher than a random negative
 * one, an equal score counting one half. Exact with ties.
 *
 * @param labels 0 or 1
 * @param scores any numbers but NaN; higher means more likely positive
 * @param weights one of at least 0 for each row, default all 1; a row of weight 2 counts as that row twice
 * @throws RangeError on unsound input, or when a class is missing or has no weight.
 */
export function aucRoc(
  labels: ArrayLike<number>,
  scores: ArrayLike<number>,
  weights?: ArrayLike<number>,
): number {
  return aucOf(tallyScores({ labels, scores, weights }, 'The area under the ROC curve'));
}

/**
 * Average precision: the sum over the thresholds, from high to low, of precision times the step in recall,
 * without interpolation. Rows of equal score share a threshold. The definition of scikit-learn's
 * `average_precision_score`.
 *
 * @param labels 0 or 1
 * @param scores any numbers but NaN
 * @param weights one of at least 0 for each row, default all 1
 * @throws RangeError on unsound input, or when a class is missing or has no weight.
 */
export function averagePrecision(
  labels: ArrayLike<number>,
  scores: ArrayLike<number>,
  weights?: ArrayLike<number>,
): number {
  return averagePrecisionOf(tallyScores({ labels, scores, weights }, 'Average precision'));
}

/** @internal Area under the ROC curve of tallied score groups; NaN when a class is missing. */
export function aucOf(tally: ClassTally): number {
  let wins = 0;
  let positives = 0;
  let negatives = 0;
  for (let group = 0; group < tally.positives.length; group += 1) {
    const positivesHere = tally.positives[group] as number;
    const negativesHere = tally.negatives[group] as number;
    wins += negativesHere * (positives + positivesHere / 2);
    positives += positivesHere;
    negatives += negativesHere;
  }
  return wins / (positives * negatives);
}

/** @internal Average precision of tallied score groups; NaN when a class is missing. */
export function averagePrecisionOf(tally: ClassTally): number {
  let sum = 0;
  let positives = 0;
  let negatives = 0;
  for (let group = 0; group < tally.positives.length; group += 1) {
    const positivesHere = tally.positives[group] as number;
    positives += positivesHere;
    negatives += tally.negatives[group] as number;
    // A group without positives adds nothing, and the first ones may have no weight to divide by.
    if (positivesHere > 0) sum += positivesHere * (positives / (positives + negatives));
  }
  return negatives > 0 ? sum / positives : Number.NaN;
}

/**
 * Share of positive rows among the `k` with the highest scores. Of equal scores the earlier row ranks higher.
 * With fewer than `k` rows the places left empty count as misses.
 *
 * @throws RangeError on unsound input, or when `k` is not a whole number from 1.
 */
export function precisionAtK(labels: ArrayLike<number>, scores: ArrayLike<number>, k: number): number {
  checkScored(labels, scores);
  checkCutOff(k);
  let hits = 0;
  for (const row of byFallingScore(scores).subarray(0, k)) hits += labels[row] as number;
  return hits / k;
}

/**
 * Share of all positive rows that are among the `k` with the highest scores. Of equal scores the earlier row
 * ranks higher.
 *
 * @throws RangeError on unsound input, when there is no positive row, or when `k` is not a whole number from
 *   1.
 */
export function recallAtK(labels: ArrayLike<number>, scores: ArrayLike<number>, k: number): number {
  checkScored(labels, scores);
  checkCutOff(k);
  let positives = 0;
  for (let row = 0; row < labels.length; row += 1) positives += labels[row] as number;
  if (positives === 0) throw new RangeError(`Recall needs a positive row, all ${labels.length} are 0`);
  let hits = 0;
  for (const row of byFallingScore(scores).subarray(0, k)) hits += labels[row] as number;
  return hits / positives;
}

/**
 * @internal Checks a cut-off.
 *
 * @throws RangeError when `k` is not a whole number from 1.
 */
export function checkCutOff(k: number): void {
  if (!Number.isSafeInteger(k) || k < 1) throw new RangeError(`k must be a whole number from 1, not ${k}`);
}
