import { checkBins, widthBinOf } from './probability.ts';
import { binOf, quantileEdges } from './quantile-bins.ts';
import { checkProbabilities, weightsOf } from './scored.ts';

export interface ReliabilityOptions {
  /** Number of bins to aim at, 1 to 10,000. Default 10. */
  readonly bins?: number;
  /**
   * `width`: intervals of equal width over [0, 1], the last one closed. `count`: intervals of about equally
   * many rows; rows of equal probability stay together, so there may be fewer. Default `width`.
   */
  readonly by?: 'width' | 'count';
  /** One of at least 0 for each row, default all 1. They do not move the bins. */
  readonly weights?: ArrayLike<number>;
}

/**
 * A reliability curve: how often the predicted event happened, by its predicted probability. All arrays have
 * one entry for each bin that holds a row with weight, rising.
 */
export interface ReliabilityCurve {
  /** Lower edge of the bin; it belongs to the bin. */
  readonly lowerEdges: Float64Array;
  /** Upper edge of the bin: the next one begins there. */
  readonly upperEdges: Float64Array;
  readonly meanProbabilities: Float64Array;
  readonly positiveShares: Float64Array;
  /** Number of rows. */
  readonly rows: Int32Array;
  /** Sum of the weights of the rows. */
  readonly weights: Float64Array;
}

/**
 * The reliability curve of probabilities. With `by: 'width'`, the mean over the rows of |positive share -
 * mean probability| of their bin is `calibrationError` of as many bins.
 *
 * @throws RangeError on unsound input, or when all weights are 0.
 */
export function reliabilityCurve(
  labels: ArrayLike<number>,
  probabilities: ArrayLike<number>,
  options: ReliabilityOptions = {},
): ReliabilityCurve {
  const { bins = 10, by = 'width' } = options;
  checkProbabilities(labels, probabilities);
  checkBins(bins);
  const { weights } = weightsOf(options.weights, labels.length);
  const edges = by === 'width' ? widthEdges(bins) : quantileEdges(probabilities, bins);
  const rows = new Int32Array(edges.length);
  const total = new Float64Array(edges.length);
  const positive = new Float64Array(edges.length);
  const expected = new Float64Array(edges.length);
  for (let row = 0; row < labels.length; row += 1) {
    const probability = probabilities[row] as number;
    const bin = by === 'width' ? widthBinOf(probability, bins) : binOf(edges, probability);
    const weight = weights[row] as number;
    rows[bin] = (rows[bin] as number) + 1;
    total[bin] = (total[bin] as number) + weight;
    positive[bin] = (positive[bin] as number) + weight * (labels[row] as number);
    expected[bin] = (expected[bin] as number) + weight * probability;
  }
  const filled = Int32Array.from(total.keys()).filter((bin) => (total[bin] as number) > 0);
  const pick = (valueOf: (bin: number) => number): Float64Array => Float64Array.from(filled, valueOf);
  return {
    lowerEdges: pick((bin) => edges[bin] as number),
    upperEdges: pick((bin) => edges[bin + 1] ?? 1),
    meanProbabilities: pick((bin) => (expected[bin] as number) / (total[bin] as number)),
    positiveShares: pick((bin) => (positive[bin] as number) / (total[bin] as number)),
    rows: filled.map((bin) => rows[bin] as number),
    weights: pick((bin) => total[bin] as number),
  };
}

function widthEdges(bins: number): Float64Array {
  return Float64Array.from({ length: bins }, (_, bin) => bin / bins);
}
