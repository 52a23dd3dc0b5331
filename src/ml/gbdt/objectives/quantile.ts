import { LABEL_SIZE_MAX } from './squared-error.ts';
import type { Target, TargetRows } from './target.ts';
import { readNumbers, weightedMean } from './target.ts';

/**
 * @internal The quantile of a label: pinball loss q (y - m) above the margin, (1 - q) (m - y) below it (Koenker
 * and Bassett, "Regression Quantiles", 1978). It has no second derivative; trees are split by its gradient
 * alone (second derivative 1), then each leaf gets the quantile of what is left of its labels (Friedman,
 * "Greedy Function Approximation", 2001, section 4.4), free of penalties.
 *
 * @throws RangeError on a label that is not a finite number.
 */
export function quantileTarget(given: TargetRows, quantile: number): Target {
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
    metric: 'pinballLoss',
    labels,
    weights,
    baseScores: () => Float64Array.of(weightedQuantile(labels, weights, quantile)),
    differentiate({ margins, derivatives }) {
      for (let row = 0; row < labels.length; row += 1) {
        const weight = weights[row] as number;
        const above = (labels[row] as number) > (margins[row] as number);
        derivatives[row * 2] = weight * (above ? -quantile : 1 - quantile);
        derivatives[row * 2 + 1] = weight;
      }
    },
    loss: (margins) =>
      weightedMean(
        margins.map((margin, row) => {
          const rest = (labels[row] as number) - margin;
          return rest > 0 ? quantile * rest : (quantile - 1) * rest;
        }),
        weights,
      ),
    renewLeaf(rows, margins) {
      const rests = new Float64Array(rows.length);
      const own = new Float64Array(rows.length);
      rows.forEach((row, index) => {
        rests[index] = (labels[row] as number) - (margins[row] as number);
        own[index] = weights[row] as number;
      });
      return weightedQuantile(rests, own, quantile);
    },
  };
}

/**
 * @internal The smallest value with at least the share `quantile` of the weight at or below it: one of those
 * that minimise the pinball loss. Values without weight do not count.
 *
 * @throws RangeError when no value has weight.
 */
export function weightedQuantile(values: Float64Array, weights: Float64Array, quantile: number): number {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (!(total > 0)) throw new RangeError(`There are no rows with weight among ${values.length}`);
  const first = weights[0] as number;
  if (first > 0 && weights.every((weight) => weight === first)) {
    return values.slice().sort()[Math.max(0, Math.ceil(quantile * values.length) - 1)] as number;
  }
  const order = Uint32Array.from(values.keys()).sort(
    (a, b) => (values[a] as number) - (values[b] as number) || a - b,
  );
  let below = 0;
  let found = Number.NaN;
  for (const index of order) {
    const weight = weights[index] as number;
    if (weight === 0) continue;
    found = values[index] as number;
    below += weight;
    if (below >= quantile * total) break;
  }
  return found;
}
