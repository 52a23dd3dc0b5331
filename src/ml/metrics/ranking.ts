import { byFallingScore, checkScored, scoreGroups } from './scored.ts';

/**
 * Area under the ROC curve: the probability that a random positive row scores higher than a random negative
 * one, an equal score counting one half. Exact with ties.
 *
 * @param labels 0 or 1
 * @param scores any numbers but NaN; higher means more likely positive
 * @throws RangeError on unsound input, or when a class is missing.
 */
export function aucRoc(labels: ArrayLike<number>, scores: ArrayLike<number>): number {
  let wins = 0;
  let positives = 0;
  let negatives = 0;
  for (const group of scoreGroups(labels, scores, 'The area under the ROC curve')) {
    wins += group.negatives * (positives + group.positives / 2);
    positives += group.positives;
    negatives += group.negatives;
  }
  return wins / (positives * negatives);
}

/**
 * Average precision: the sum over the thresholds, from high to low, of precision times the step in recall,
 * without interpolation. Rows of equal score share a threshold. The definition of scikit-learn's
 * `average_precision_score`.
 *
 * @param labels 0 or 1
 * @param scores any numbers but NaN
 * @throws RangeError on unsound input, or when a class is missing.
 */
export function averagePrecision(labels: ArrayLike<number>, scores: ArrayLike<number>): number {
  let sum = 0;
  let positives = 0;
  let seen = 0;
  for (const group of scoreGroups(labels, scores, 'Average precision')) {
    positives += group.positives;
    seen += group.positives + group.negatives;
    sum += group.positives * (positives / seen);
  }
  return sum / positives;
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
 * @internal Checks a cut-off.
 *
 * @throws RangeError when `k` is not a whole number from 1.
 */
export function checkCutOff(k: number): void {
  if (!Number.isSafeInteger(k) || k < 1) throw new RangeError(`k must be a whole number from 1, not ${k}`);
}
