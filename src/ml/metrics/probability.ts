import { checkProbabilities, weightsOf } from './scored.ts';

/**
 * Probabilities are kept this far from 0 and 1, so that one sure mistake does not make the log loss infinite.
 */
const PROBABILITY_MARGIN = 1e-15;

/** Bins of a calibration error or a reliability curve: more than a plot has pixels. */
const BINS_MAX = 10_000;

/**
 * Mean log loss, in nats: -log p of what happened. Probabilities are first clipped to [1e-15, 1 - 1e-15].
 *
 * @param weights one of at least 0 for each row, default all 1
 * @throws RangeError on unsound input, or when all weights are 0.
 */
export function logLoss(
  labels: ArrayLike<number>,
  probabilities: ArrayLike<number>,
  weights?: ArrayLike<number>,
): number {
  checkProbabilities(labels, probabilities);
  return meanOf(labels.length, weights, (row) =>
    logLossOfRow(labels[row] as number, probabilities[row] as number),
  );
}

/**
 * Brier score: mean squared difference of probability and outcome.
 *
 * @param weights one of at least 0 for each row, default all 1
 * @throws RangeError on unsound input, or when all weights are 0.
 */
export function brier(
  labels: ArrayLike<number>,
  probabilities: ArrayLike<number>,
  weights?: ArrayLike<number>,
): number {
  checkProbabilities(labels, probabilities);
  return meanOf(labels.length, weights, (row) =>
    squaredErrorOfRow(labels[row] as number, probabilities[row] as number),
  );
}

/** @internal Log loss of one row, in nats. */
export function logLossOfRow(label: number, probability: number): number {
  const clipped = clipProbability(probability);
  return label === 1 ? -Math.log(clipped) : -Math.log1p(-clipped);
}

/** @internal Squared difference of probability and outcome of one row. */
export function squaredErrorOfRow(label: number, probability: number): number {
  return (probability - label) ** 2;
}

/** @internal The probability, moved away from 0 and 1. */
export function clipProbability(probability: number): number {
  return Math.min(Math.max(probability, PROBABILITY_MARGIN), 1 - PROBABILITY_MARGIN);
}

/**
 * @internal Mean of the losses of the rows, by weight if there are weights.
 *
 * @throws RangeError on an unsound weight, or when all are 0.
 */
export function meanOf(
  rows: number,
  weights: ArrayLike<number> | undefined,
  lossOf: (row: number) => number,
): number {
  const read = weightsOf(weights, rows);
  let sum = 0;
  for (let row = 0; row < rows; row += 1) sum += (read.weights[row] as number) * lossOf(row);
  return sum / read.total;
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
  checkBins(bins);
  // Sum of (label - probability) of each bin; its size cancels against the weight of the bin.
  const excess = new Float64Array(bins);
  for (let row = 0; row < labels.length; row += 1) {
    const probability = probabilities[row] as number;
    const bin = widthBinOf(probability, bins);
    excess[bin] = (excess[bin] as number) + (labels[row] as number) - probability;
  }
  return excess.reduce((sum, part) => sum + Math.abs(part), 0) / labels.length;
}

/** @internal The one of `bins` intervals of equal width over [0, 1] that holds the probability. */
export function widthBinOf(probability: number, bins: number): number {
  return Math.min(bins - 1, Math.floor(probability * bins));
}

/**
 * @internal Checks a number of bins.
 *
 * @throws RangeError when it is not a whole number from 1 to 10,000.
 */
export function checkBins(bins: number): void {
  if (!Number.isSafeInteger(bins) || bins < 1 || bins > BINS_MAX) {
    throw new RangeError(`The number of bins must be a whole number from 1 to ${BINS_MAX}, not ${bins}`);
  }
}
