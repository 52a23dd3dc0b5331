import { positiveShare } from '../../training-input.ts';
import { classWeighted } from './classes.ts';
import type { Target, TargetRows } from './target.ts';
import { readNumbers, weightedMean } from './target.ts';

/**
 * @internal The probability of label 1 by its log odds: log loss, with the derivatives p - y and p(1 - p).
 *
 * @throws RangeError on a label other than 0 and 1.
 */
export function binaryTarget(
  given: TargetRows,
  classWeights: 'balanced' | readonly number[] | undefined,
): Target {
  const read = readNumbers(given, { least: 0, most: 1, whole: true, wanted: '0 or 1' });
  const weights = classWeighted(given.weights, read, { classWeights, classes: 2 });
  // What the kernel reads must be in its memory; it is copied there once.
  let shared: { readonly labels: Float64Array; readonly weights: Float64Array } | undefined;
  return {
    outputs: 1,
    link: 'logistic',
    metric: 'logLoss',
    labels: read,
    weights,
    baseScores() {
      const share = positiveShare(Uint8Array.from(read), weights);
      return Float64Array.of(Math.log(share / (1 - share)));
    },
    differentiate({ margins, derivatives, kernel }) {
      if (shared === undefined) {
        shared = { labels: kernel.doubles(read.length), weights: kernel.doubles(read.length) };
        shared.labels.set(read);
        shared.weights.set(weights);
      }
      kernel.differentiateLogistic({ ...shared, margins, derivatives });
    },
    loss: (margins) =>
      weightedMean(
        margins.map((margin, row) => {
          const signed = read[row] === 1 ? margin : -margin;
          // log(1 + exp(-s)) without overflow.
          return Math.log1p(Math.exp(-Math.abs(signed))) + Math.max(0, -signed);
        }),
        weights,
      ),
  };
}
