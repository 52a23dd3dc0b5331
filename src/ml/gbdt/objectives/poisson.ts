import { LABEL_SIZE_MAX } from './squared-error.ts';
import type { Target, TargetRows } from './target.ts';
import { readNumbers, weightedMean } from './target.ts';

/**
 * The second derivative is taken this far above the margin. The loss grows exponentially there, and a Newton
 * step from far below would overshoot; XGBoost and LightGBM use the same number.
 */
const STEP_MAX = 0.7;

/**
 * @internal The mean of a count by its logarithm: the derivatives are exp(m) - y and exp(m), the loss is the
 * deviance 2 (y log(y / exp(m)) - y + exp(m)).
 *
 * @throws RangeError on a label below 0 or when all are 0.
 */
export function poissonTarget(given: TargetRows): Target {
  const { weights, what } = given;
  const labels = readNumbers(given, {
    least: 0,
    most: LABEL_SIZE_MAX,
    whole: false,
    wanted: `a number from 0 to ${LABEL_SIZE_MAX}`,
  });
  return {
    outputs: 1,
    link: 'exponential',
    metric: 'poissonDeviance',
    labels,
    weights,
    baseScores() {
      const mean = weightedMean(labels, weights);
      if (!(mean > 0)) throw new RangeError(`All labels of the ${what} are 0: there is no rate to learn`);
      return Float64Array.of(Math.log(mean));
    },
    differentiate({ margins, derivatives }) {
      const widened = Math.exp(STEP_MAX);
      for (let row = 0; row < labels.length; row += 1) {
        const weight = weights[row] as number;
        const mean = Math.exp(margins[row] as number);
        derivatives[row * 2] = weight * (mean - (labels[row] as number));
        derivatives[row * 2 + 1] = weight * mean * widened;
      }
    },
    loss: (margins) =>
      weightedMean(
        margins.map((margin, row) => {
          const label = labels[row] as number;
          return 2 * ((label > 0 ? label * (Math.log(label) - margin) : 0) - label + Math.exp(margin));
        }),
        weights,
      ),
  };
}
