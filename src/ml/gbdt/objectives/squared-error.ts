import type { Target, TargetRows } from './target.ts';
import { readNumbers, weightedMean } from './target.ts';

/** Largest label: what a leaf, a Float32, can hold with room for squares. */
export const LABEL_SIZE_MAX = 1e30;

/**
 * @internal The mean of a label: loss (y - m)^2, of whose half the derivatives are m - y and 1.
 *
 * @throws RangeError on a label that is not a finite number.
 */
export function squaredErrorTarget(given: TargetRows): Target {
  const { weights } = given;
  const labels = readNumbers(given, {
    least: -LABEL_SIZE_MAX,
    most: LABEL_SIZE_MAX,
    whole: false,
    wanted: `a finite number of size ${LABEL_SIZE_MAX} at most`,
  });
  return {
    outputs: 1,
    link: 'identity',
    metric: 'squaredError',
    labels,
    weights,
    baseScores: () => Float64Array.of(weightedMean(labels, weights)),
    gainUnit() {
      const mean = weightedMean(labels, weights);
      const variance = weightedMean(
        labels.map((label) => (label - mean) ** 2),
        weights,
      );
      return variance > 0 ? variance : 1;
    },
    differentiate({ margins, derivatives }) {
      for (let row = 0; row < labels.length; row += 1) {
        const weight = weights[row] as number;
        derivatives[row * 2] = weight * ((margins[row] as number) - (labels[row] as number));
        derivatives[row * 2 + 1] = weight;
      }
    },
    loss: (margins) =>
      weightedMean(
        margins.map((margin, row) => (margin - (labels[row] as number)) ** 2),
        weights,
      ),
  };
}
