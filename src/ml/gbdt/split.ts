import { BINS, MISSING_BIN } from './kernel.ts';

/** What a split must satisfy. */
export interface SplitLimits {
  /** L2 penalty on leaf values. */
  readonly lambda: number;
  /** Smallest sum of second derivatives on each side. */
  readonly minHessian: number;
  /** A split must gain more than this. */
  readonly minGain: number;
}

/** First and second derivatives summed over the rows of a node. */
export interface NodeSums {
  readonly gradient: number;
  readonly hessian: number;
}

/** The sums of a node by column and bin. */
export interface NodeHistogram {
  readonly histogram: Float64Array;
  /** Cuts of each column: its values are in the bins from 0 to that number. */
  readonly cutCounts: Int32Array;
}

/** The best split of a node. */
export interface BestSplit {
  /** Column of the histogram. */
  readonly column: number;
  /** Largest bin that goes left. */
  readonly bin: number;
  readonly missingLeft: boolean;
  readonly gain: number;
  readonly left: NodeSums;
  readonly right: NodeSums;
}

/** A missing bin lighter than this share of its node is a residue of subtraction. */
const MISSING_SHARE_MIN = 1e-12;

/**
 * @internal The split with the largest gain, GL^2/(HL + lambda) + GR^2/(HR + lambda) - G^2/(H + lambda) (Chen
 * and Guestrin, "XGBoost", 2016, equation 7, without the factor 1/2), or undefined when none gains more than
 * `minGain`. Where the node has missing values they are tried on both sides; where it has none they will go
 * to the heavier side. The first best split wins a tie.
 */
export function findSplit(node: NodeHistogram, sums: NodeSums, limits: SplitLimits): BestSplit | undefined {
  const { histogram, cutCounts } = node;
  const { lambda, minHessian, minGain } = limits;
  const { gradient, hessian } = sums;
  const parent = (gradient * gradient) / (hessian + lambda);
  let bestGain = minGain;
  let bestColumn = -1;
  let bestBin = 0;
  let bestMissingLeft = false;
  let bestGradient = 0;
  let bestHessian = 0;
  for (let column = 0; column < cutCounts.length; column += 1) {
    const start = column * BINS * 2;
    const missingGradient = histogram[start + MISSING_BIN * 2] as number;
    const missingHessian = histogram[start + MISSING_BIN * 2 + 1] as number;
    const hasMissing = missingHessian > MISSING_SHARE_MIN * hessian;
    // With missing values the last bin is a split too: all present ones to the left, missing ones to the right.
    const lastBin = (cutCounts[column] as number) - (hasMissing ? 0 : 1);
    const sides = hasMissing ? 2 : 1;
    let seenGradient = 0;
    let seenHessian = 0;
    for (let bin = 0; bin <= lastBin; bin += 1) {
      seenGradient += histogram[start + bin * 2] as number;
      seenHessian += histogram[start + bin * 2 + 1] as number;
      for (let side = 0; side < sides; side += 1) {
        const leftGradient = side === 1 ? seenGradient + missingGradient : seenGradient;
        const leftHessian = side === 1 ? seenHessian + missingHessian : seenHessian;
        const rightHessian = hessian - leftHessian;
        if (leftHessian < minHessian || rightHessian < minHessian) continue;
        const rightGradient = gradient - leftGradient;
        const gain =
          (leftGradient * leftGradient) / (leftHessian + lambda) +
          (rightGradient * rightGradient) / (rightHessian + lambda) -
          parent;
        if (gain > bestGain) {
          bestGain = gain;
          bestColumn = column;
          bestBin = bin;
          bestMissingLeft = hasMissing ? side === 1 : leftHessian > rightHessian;
          bestGradient = leftGradient;
          bestHessian = leftHessian;
        }
      }
    }
  }
  if (bestColumn < 0) return undefined;
  return {
    column: bestColumn,
    bin: bestBin,
    missingLeft: bestMissingLeft,
    gain: bestGain,
    left: { gradient: bestGradient, hessian: bestHessian },
    right: { gradient: gradient - bestGradient, hessian: hessian - bestHessian },
  };
}
