import { checkProbabilities } from './scored.ts';

/**
 * Probabilities are kept this far from 0 and 1, so that one sure mistake does not make the log loss infinite.
 */
const PROBABILITY_MARGIN = 1e-15;

/**
 * Mean log loss, in nats: -log p of what happened. Probabilities are first clipped to [1e-15, 1 - 1e-15].
 *
 * @throws RangeError on unsound input.
 */
export function logLoss(labels: ArrayLike<number>, probabilities: ArrayLike<number>): number {
  checkProbabilities(labels, probabilities);
  let sum = 0;
  for (let row = 0; row < labels.length; row += 1) {
    const clipped = Math.min(
      Math.max(probabilities[row] as number, PROBABILITY_MARGIN),
      1 - PROBABILITY_MARGIN,
    );
    sum -= labels[row] === 1 ? Math.log(clipped) : Math.log1p(-clipped);
  }
  return sum / labels.length;
}

/**
 * Brier score: mean squared difference of probability and outcome.
 *
 * @throws RangeError on unsound input.
 */
export function brier(labels: ArrayLike<number>, probabilities: ArrayLike<number>): number {
  checkProbabilities(labels, probabilities);
  let sum = 0;
  for (let row = 0; row < labels.length; row += 1) {
    sum += ((probabilities[row] as number) - (labels[row] as number)) ** 2;
  }
  return sum / labels.length;
}

/**
 * Expected calibration error: rows are put into `bins` intervals of equal width by probability (the last one
 * closed); the result is the mean over the rows of |share of positives - mean probability| of their bin
 * (Naeini, Cooper and Hauskrecht, 2015).
 *
 * @param bins number of intervals, default 10
 * @throws RangeError on unsound input, or when `bins` is not a whole number from 1 to 10,000.
 */
export function calibrationError(
  labels: ArrayLike<number>,
  probabilities: ArrayLike<number>,
  bins: number = 10,
): number {
  checkProbabilities(labels, probabilities);
  if (!Number.isSafeInteger(bins) || bins < 1 || bins > 10_000) {
    throw new RangeError(`The number of bins must be a whole number from 1 to 10000, not ${bins}`);
  }
  // Sum of (label - probability) of each bin; its size cancels against the weight of the bin.
  const excess = new Float64Array(bins);
  for (let row = 0; row < labels.length; row += 1) {
    const probability = probabilities[row] as number;
    const bin = Math.min(bins - 1, Math.floor(probability * bins));
    excess[bin] = (excess[bin] as number) + (labels[row] as number) - probability;
  }
  return excess.reduce((sum, part) => sum + Math.abs(part), 0) / labels.length;
}
