import { checkScored } from '../metrics/scored.ts';
import { readWeights } from '../training-input.ts';

/** Scores with the outcomes that came, from rows that the scoring model was NOT fitted on. */
export interface HeldOut {
  readonly scores: Float64Array;
  readonly labels: Uint8Array;
  readonly weights: Float64Array;
  /** Weight of the rows of each label. */
  readonly positive: number;
  readonly negative: number;
}

/**
 * @internal Checks and copies scores, labels and weights.
 *
 * @throws RangeError naming the first row that is wrong, or when no row has weight.
 */
export function readHeldOut(
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  weights: ArrayLike<number> | undefined,
): HeldOut {
  checkScored(labels, scores);
  const read = {
    scores: Float64Array.from(scores),
    labels: Uint8Array.from(labels),
    weights: readWeights(weights, scores.length),
  };
  const infinite = read.scores.findIndex((score) => !Number.isFinite(score));
  if (infinite >= 0) {
    throw new RangeError(`Score ${infinite} must be a finite number, not ${read.scores[infinite]}`);
  }
  let positive = 0;
  let negative = 0;
  read.labels.forEach((label, row) => {
    if (label === 1) positive += read.weights[row] as number;
    else negative += read.weights[row] as number;
  });
  if (!(positive + negative > 0)) {
    throw new RangeError(`Calibration needs rows with weight; ${scores.length} rows have none`);
  }
  return { ...read, positive, negative };
}
