import { meanOf } from './probability.ts';
import { weightsOf } from './scored.ts';

/**
 * Root mean squared error, in the unit of the targets.
 *
 * @param weights one of at least 0 for each row, default all 1
 * @throws RangeError on unsound input, or when all weights are 0.
 */
export function rootMeanSquaredError(
  targets: ArrayLike<number>,
  predictions: ArrayLike<number>,
  weights?: ArrayLike<number>,
): number {
  checkPredicted(targets, predictions);
  return Math.sqrt(
    meanOf(targets.length, weights, (row) => ((targets[row] as number) - (predictions[row] as number)) ** 2),
  );
}

/**
 * Mean absolute error, in the unit of the targets.
 *
 * @param weights one of at least 0 for each row, default all 1
 * @throws RangeError on unsound input, or when all weights are 0.
 */
export function meanAbsoluteError(
  targets: ArrayLike<number>,
  predictions: ArrayLike<number>,
  weights?: ArrayLike<number>,
): number {
  checkPredicted(targets, predictions);
  return meanOf(targets.length, weights, (row) =>
    Math.abs((targets[row] as number) - (predictions[row] as number)),
  );
}

/**
 * Coefficient of determination R2: 1 minus the squared error over that of always predicting the mean target.
 * 1 is perfect, 0 is as good as the mean, and it has no lower bound.
 *
 * @param weights one of at least 0 for each row, default all 1
 * @throws RangeError on unsound input, when all weights are 0, or when the targets (of the rows with weight)
 *   are all equal: there is then no variation to explain.
 */
export function r2(
  targets: ArrayLike<number>,
  predictions: ArrayLike<number>,
  weights?: ArrayLike<number>,
): number {
  checkPredicted(targets, predictions);
  const read = weightsOf(weights, targets.length);
  const first = read.weights.findIndex((weight) => weight > 0);
  let varies = false;
  let sum = 0;
  for (let row = 0; row < targets.length; row += 1) {
    const weight = read.weights[row] as number;
    sum += weight * (targets[row] as number);
    // Compared, because the sum of squares of equal numbers need not be exactly 0.
    varies ||= weight > 0 && targets[row] !== targets[first];
  }
  if (!varies) throw new RangeError(`R2 needs targets that differ, all are ${targets[first]}`);
  const mean = sum / read.total;
  let unexplained = 0;
  let variation = 0;
  for (let row = 0; row < targets.length; row += 1) {
    const weight = read.weights[row] as number;
    unexplained += weight * ((targets[row] as number) - (predictions[row] as number)) ** 2;
    variation += weight * ((targets[row] as number) - mean) ** 2;
  }
  return 1 - unexplained / variation;
}

/** Targets and predictions of one quantile. */
export interface PinballInput {
  readonly targets: ArrayLike<number>;
  readonly predictions: ArrayLike<number>;
  /** The quantile that is predicted, in (0, 1): 0.9 means that 90 % of the targets should lie below. */
  readonly quantile: number;
  /** One of at least 0 for each row, default all 1. */
  readonly weights?: ArrayLike<number>;
}

/**
 * Mean pinball loss (Koenker and Bassett, "Regression quantiles", 1978), in the unit of the targets: a target
 * above its prediction costs `quantile` for each unit, one below costs `1 - quantile`. It is least when the
 * prediction is that quantile; at 0.5 it is half the absolute error.
 *
 * @throws RangeError on unsound input, when all weights are 0, or on a quantile outside (0, 1).
 */
export function pinballLoss(input: PinballInput): number {
  const { targets, predictions, quantile } = input;
  checkPredicted(targets, predictions);
  if (!(quantile > 0 && quantile < 1)) {
    throw new RangeError(`The quantile must be between 0 and 1, not ${quantile}`);
  }
  return meanOf(targets.length, input.weights, (row) => {
    const above = (targets[row] as number) - (predictions[row] as number);
    return above >= 0 ? quantile * above : (quantile - 1) * above;
  });
}

/**
 * Mean Poisson deviance: 2 (y log(y / p) - y + p), with y log y = 0 at y = 0. For counts and rates; 0 when
 * every prediction is right.
 *
 * @param targets at least 0
 * @param predictions above 0
 * @param weights one of at least 0 for each row, such as exposures; default all 1
 * @throws RangeError on unsound input, or when all weights are 0.
 */
export function meanPoissonDeviance(
  targets: ArrayLike<number>,
  predictions: ArrayLike<number>,
  weights?: ArrayLike<number>,
): number {
  checkPredicted(targets, predictions);
  for (let row = 0; row < targets.length; row += 1) {
    const target = targets[row] as number;
    const prediction = predictions[row] as number;
    if (target < 0) throw new RangeError(`Target ${row} must be at least 0, not ${target}`);
    if (!(prediction > 0)) throw new RangeError(`Prediction ${row} must be above 0, not ${prediction}`);
  }
  return meanOf(targets.length, weights, (row) => {
    const target = targets[row] as number;
    const prediction = predictions[row] as number;
    const surprise = target === 0 ? 0 : target * Math.log(target / prediction);
    return 2 * (surprise - target + prediction);
  });
}

/** Checks targets and predictions that belong together. */
function checkPredicted(targets: ArrayLike<number>, predictions: ArrayLike<number>): void {
  if (targets.length !== predictions.length) {
    throw new RangeError(`There are ${targets.length} targets but ${predictions.length} predictions`);
  }
  if (targets.length === 0) throw new RangeError('A metric needs at least one row');
  for (let row = 0; row < targets.length; row += 1) {
    if (!Number.isFinite(targets[row])) {
      throw new RangeError(`Target ${row} must be a finite number, not ${targets[row]}`);
    }
    if (!Number.isFinite(predictions[row])) {
      throw new RangeError(`Prediction ${row} must be a finite number, not ${predictions[row]}`);
    }
  }
}
