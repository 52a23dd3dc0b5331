import { checkScored, weightsOf } from './scored.ts';

/** Rows judged by a threshold. */
export interface ThresholdInput {
  /** 0 or 1 for each row. */
  readonly labels: ArrayLike<number>;
  /** Any numbers but NaN. */
  readonly scores: ArrayLike<number>;
  /** A row is predicted positive when its score is at least this. Any number but NaN. */
  readonly threshold: number;
  /** One of at least 0 for each row, default all 1. */
  readonly weights?: ArrayLike<number>;
}

/** How rows are classified at a threshold. The counts are sums of weights when weights are given. */
export interface ThresholdMetrics {
  readonly truePositives: number;
  readonly falsePositives: number;
  readonly trueNegatives: number;
  readonly falseNegatives: number;
  /** Share of the predicted positives that are positive; `NaN` when nothing is predicted positive. */
  readonly precision: number;
  /** Share of the positives that are predicted positive; `NaN` without positives. */
  readonly recall: number;
  /** Share of the negatives that are predicted positive; `NaN` without negatives. */
  readonly falsePositiveRate: number;
  /** 2 TP / (2 TP + FP + FN); `NaN` when there is neither a positive nor a predicted positive. */
  readonly f1: number;
  /** Share of the rows that are predicted right. */
  readonly accuracy: number;
}

/**
 * The confusion counts at a threshold, and the shares that come from them. A share of nothing is `NaN`: it is
 * neither good nor bad, and whoever wants 0 there can say so.
 *
 * @throws RangeError on unsound input, or when all weights are 0.
 */
export function metricsAtThreshold(input: ThresholdInput): ThresholdMetrics {
  const { labels, scores, threshold } = input;
  checkScored(labels, scores);
  if (Number.isNaN(threshold)) throw new RangeError('The threshold must be a number, not NaN');
  const { weights, total } = weightsOf(input.weights, labels.length);
  let truePositives = 0;
  let falsePositives = 0;
  let trueNegatives = 0;
  let falseNegatives = 0;
  for (let row = 0; row < labels.length; row += 1) {
    const weight = weights[row] as number;
    const predicted = (scores[row] as number) >= threshold;
    if (labels[row] === 1) {
      if (predicted) truePositives += weight;
      else falseNegatives += weight;
    } else if (predicted) falsePositives += weight;
    else trueNegatives += weight;
  }
  return {
    truePositives,
    falsePositives,
    trueNegatives,
    falseNegatives,
    precision: truePositives / (truePositives + falsePositives),
    recall: truePositives / (truePositives + falseNegatives),
    falsePositiveRate: falsePositives / (falsePositives + trueNegatives),
    f1: (2 * truePositives) / (2 * truePositives + falsePositives + falseNegatives),
    accuracy: (truePositives + trueNegatives) / total,
  };
}
