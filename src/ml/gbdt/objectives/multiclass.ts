import { applyLink } from '../link.ts';
import { CLASSES_MAX } from '../../classes.ts';
import { classTotals, classWeighted } from './classes.ts';
import type { Target, TargetRows } from './target.ts';
import { readNumbers, weightedMean } from './target.ts';

/**
 * @internal The probabilities of classes 0 .. K-1 by softmax: log loss. The derivatives for class k are p - y
 * and p(1 - p) K / (K - 1) (Friedman, "Greedy Function Approximation", 2001, section 4.6: the margins of all
 * classes move at once, and without the factor each would go too far).
 *
 * @param classes K, where it is known; otherwise one more than the largest label
 * @throws RangeError on a label that is not a class, or when a class is missing.
 */
export function multiclassTarget(
  given: TargetRows,
  options: {
    readonly classWeights: 'balanced' | readonly number[] | undefined;
    readonly classes: number | undefined;
  },
): Target {
  const most = (options.classes ?? CLASSES_MAX) - 1;
  const labels = readNumbers(given, {
    least: 0,
    most,
    whole: true,
    wanted: `a whole number from 0 to ${most}`,
  });
  const { rows } = given;
  const classes = options.classes ?? labels.reduce((largest, label) => Math.max(largest, label), 0) + 1;
  const weights = classWeighted(given.weights, labels, { classWeights: options.classWeights, classes });
  let probabilities = new Float64Array();
  return {
    outputs: classes,
    link: 'softmax',
    metric: 'logLoss',
    labels,
    weights,
    baseScores() {
      const totals = classTotals(weights, labels, classes);
      const missing = totals.findIndex((total) => !(total > 0));
      if (classes < 2 || missing >= 0) {
        const which = missing >= 0 ? `class ${missing} has none` : `there is class 0 alone`;
        throw new RangeError(`Training needs rows of every class with weight; ${which}`);
      }
      const all = totals.reduce((sum, total) => sum + total, 0);
      return totals.map((total) => Math.log(total / all));
    },
    beginRound(margins) {
      if (probabilities.length === 0) probabilities = new Float64Array(rows * classes);
      for (let output = 0; output < classes; output += 1) {
        const from = output * rows;
        for (let row = 0; row < rows; row += 1)
          probabilities[row * classes + output] = margins[from + row] as number;
      }
      applyLink('softmax', { values: probabilities, outputs: classes, start: 0, end: rows });
    },
    differentiate({ output, derivatives }) {
      const factor = classes / (classes - 1);
      for (let row = 0; row < rows; row += 1) {
        const weight = weights[row] as number;
        const probability = probabilities[row * classes + output] as number;
        derivatives[row * 2] = weight * (probability - (labels[row] === output ? 1 : 0));
        derivatives[row * 2 + 1] = weight * factor * probability * (1 - probability);
      }
    },
    loss(margins) {
      const losses = new Float64Array(rows);
      for (let row = 0; row < rows; row += 1) losses[row] = logLossOf(margins, labels[row] as number, row);
      return weightedMean(losses, weights);
    },
  };

  /** log(sum of exp(m)) - m of the label, less the largest margin in both. */
  function logLossOf(margins: Float64Array, label: number, row: number): number {
    let largest = Number.NEGATIVE_INFINITY;
    for (let at = row; at < margins.length; at += rows) largest = Math.max(largest, margins[at] as number);
    let total = 0;
    for (let at = row; at < margins.length; at += rows) total += Math.exp((margins[at] as number) - largest);
    return Math.log(total) + largest - (margins[label * rows + row] as number);
  }
}
