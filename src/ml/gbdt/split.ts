import type { ColumnRange } from './kernel.ts';
import { BINS, MISSING_BIN } from './kernel.ts';

/** What a split must satisfy. */
export interface SplitLimits {
  /** L2 penalty on leaf values. */
  readonly lambda: number;
  /** L1 penalty on leaf values. */
  readonly alpha: number;
  /** Smallest sum of second derivatives on each side. */
  readonly minHessian: number;
  /** Fewest rows on each side; needs counts above 1. */
  readonly minRows: number;
  /** A split must gain more than this. */
  readonly minGain: number;
}

/** First and second derivatives summed over the rows of a node. */
export interface NodeSums {
  readonly gradient: number;
  readonly hessian: number;
}

/** Least and greatest value that the leaves below a node may have. */
export interface Bounds {
  readonly lower: number;
  readonly upper: number;
}

export const UNBOUNDED: Bounds = { lower: Number.NEGATIVE_INFINITY, upper: Number.POSITIVE_INFINITY };

/** What is known of the columns of a histogram. */
export interface SplitColumns {
  /** Largest bin of values of each column. */
  readonly lastBins: Int32Array;
  /** 1 for columns whose bins are split one against the rest. */
  readonly equality: Uint8Array;
  /** 1 where leaves must not fall as values rise, -1 where they must not rise, else 0. */
  readonly directions: Int32Array | undefined;
}

/** A node with its sums by column and bin. */
export interface NodeToSplit {
  readonly histogram: Float64Array;
  /** Rows by column and bin, where rows are limited. */
  readonly counts: Int32Array | undefined;
  readonly columns: SplitColumns;
  /** The columns to look at, */
  readonly considered: Int32Array;
  /** of those only these. */
  readonly within: ColumnRange;
  readonly sums: NodeSums;
  readonly rows: number;
  readonly bounds: Bounds;
}

/** The best split of a node. */
export interface BestSplit {
  /** Column of the histogram. */
  readonly column: number;
  /** Largest bin that goes left, or the only one. */
  readonly bin: number;
  readonly missingLeft: boolean;
  readonly gain: number;
  readonly left: NodeSums;
  readonly right: NodeSums;
}

/** The best split so far, while columns are scanned. */
interface Best {
  gain: number;
  column: number;
  bin: number;
  missingLeft: boolean;
  gradient: number;
  hessian: number;
}

/** A missing bin lighter than this share of its node is a residue of subtraction. */
const MISSING_SHARE_MIN = 1e-12;

/**
 * @internal The split with the largest gain, GL^2/(HL + lambda) + GR^2/(HR + lambda) - G^2/(H + lambda) (Chen
 * and Guestrin, "XGBoost", 2016, equation 7, without the factor 1/2), or undefined when none gains more than
 * `minGain`. Where the node has missing values they are tried on both sides; where it has none they will go
 * to the heavier side. The first best split wins a tie.
 *
 * With `alpha` G becomes sign(G) max(0, |G| - alpha). A node within bounds, or with columns that have a
 * direction, gains by the values that its sides may have: -(2 G w + (H + lambda) w^2 + 2 alpha |w|).
 */
export function findSplit(node: NodeToSplit, limits: SplitLimits): BestSplit | undefined {
  const { sums, bounds, columns, considered, within } = node;
  const best: Best = {
    gain: limits.minGain,
    column: -1,
    bin: 0,
    missingLeft: false,
    gradient: 0,
    hessian: 0,
  };
  const bounded = bounds.lower > Number.NEGATIVE_INFINITY || bounds.upper < Number.POSITIVE_INFINITY;
  const free = !bounded && columns.directions === undefined;
  const scan = free && limits.alpha === 0 && node.counts === undefined ? scanFree : scanLimited;
  for (const column of considered) {
    if (column >= within.from && column < within.to) scan(node, limits, { column, best });
  }
  if (best.column < 0) return undefined;
  const { gradient, hessian } = best;
  return {
    column: best.column,
    bin: best.bin,
    missingLeft: best.missingLeft,
    gain: best.gain,
    left: { gradient, hessian },
    right: { gradient: sums.gradient - gradient, hessian: sums.hessian - hessian },
  };
}

/** Looks at a column where nothing but sums decides. */
function scanFree(node: NodeToSplit, limits: SplitLimits, at: { column: number; best: Best }): void {
  const { histogram, columns } = node;
  const { lambda, minHessian } = limits;
  const { gradient, hessian } = node.sums;
  const { column, best } = at;
  const parent = gainOf(gradient, hessian + lambda);
  const start = column * BINS * 2;
  const missingGradient = histogram[start + MISSING_BIN * 2] as number;
  const missingHessian = histogram[start + MISSING_BIN * 2 + 1] as number;
  const hasMissing = missingHessian > MISSING_SHARE_MIN * hessian;
  const alone = columns.equality[column] === 1;
  // With missing values the last bin is a split too: all present ones to the left, missing ones to the right.
  const lastBin = (columns.lastBins[column] as number) - (hasMissing || alone ? 0 : 1);
  const sides = hasMissing ? 2 : 1;
  let bestGain = best.gain;
  let seenGradient = 0;
  let seenHessian = 0;
  for (let bin = 0; bin <= lastBin; bin += 1) {
    if (alone) {
      seenGradient = 0;
      seenHessian = 0;
    }
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
        best.gain = gain;
        best.column = column;
        best.bin = bin;
        best.missingLeft = hasMissing ? side === 1 : leftHessian > rightHessian;
        best.gradient = leftGradient;
        best.hessian = leftHessian;
      }
    }
  }
}

/** Looks at a column under all limits: rows, L1 penalty, bounds and direction. */
function scanLimited(node: NodeToSplit, limits: SplitLimits, at: { column: number; best: Best }): void {
  const { histogram, counts, columns, bounds, rows } = node;
  const { minHessian, minRows } = limits;
  const { gradient, hessian } = node.sums;
  const { column, best } = at;
  const direction = columns.directions?.[column] ?? 0;
  const parent = gainWithin(node.sums, leafWeight(node.sums, limits, bounds), limits);
  const start = column * BINS * 2;
  const first = column * BINS;
  const missingGradient = histogram[start + MISSING_BIN * 2] as number;
  const missingHessian = histogram[start + MISSING_BIN * 2 + 1] as number;
  const missingRows = counts?.[first + MISSING_BIN] ?? 0;
  const hasMissing = counts === undefined ? missingHessian > MISSING_SHARE_MIN * hessian : missingRows > 0;
  const alone = columns.equality[column] === 1;
  const lastBin = (columns.lastBins[column] as number) - (hasMissing || alone ? 0 : 1);
  const sides = hasMissing ? 2 : 1;
  let seenGradient = 0;
  let seenHessian = 0;
  let seenRows = 0;
  for (let bin = 0; bin <= lastBin; bin += 1) {
    if (alone) {
      seenGradient = 0;
      seenHessian = 0;
      seenRows = 0;
    }
    seenGradient += histogram[start + bin * 2] as number;
    seenHessian += histogram[start + bin * 2 + 1] as number;
    seenRows += counts?.[first + bin] ?? 0;
    for (let side = 0; side < sides; side += 1) {
      const missingLeft = side === 1;
      const leftRows = missingLeft ? seenRows + missingRows : seenRows;
      if (counts !== undefined && (leftRows < minRows || rows - leftRows < minRows)) continue;
      const left = {
        gradient: missingLeft ? seenGradient + missingGradient : seenGradient,
        hessian: missingLeft ? seenHessian + missingHessian : seenHessian,
      };
      const right = { gradient: gradient - left.gradient, hessian: hessian - left.hessian };
      if (left.hessian < minHessian || right.hessian < minHessian) continue;
      const leftWeight = leafWeight(left, limits, bounds);
      const rightWeight = leafWeight(right, limits, bounds);
      if (direction * (rightWeight - leftWeight) < 0) continue;
      const gain = gainWithin(left, leftWeight, limits) + gainWithin(right, rightWeight, limits) - parent;
      if (!(gain > best.gain)) continue;
      best.gain = gain;
      best.column = column;
      best.bin = bin;
      best.missingLeft = hasMissing ? missingLeft : left.hessian > right.hessian;
      best.gradient = left.gradient;
      best.hessian = left.hessian;
    }
  }
}

/** 0 where there is nothing to divide by: then there is nothing to gain either. */
function gainOf(gradient: number, curvature: number): number {
  return curvature > 0 ? (gradient * gradient) / curvature : 0;
}

/**
 * @internal The best value of a leaf, -G / (H + lambda) without penalty, bounds and learning rate.
 */
export function leafWeight(
  sums: NodeSums,
  limits: Pick<SplitLimits, 'lambda' | 'alpha'>,
  bounds: Bounds,
): number {
  const curvature = sums.hessian + limits.lambda;
  if (!(curvature > 0)) return Math.min(bounds.upper, Math.max(bounds.lower, 0));
  const excess = Math.max(0, Math.abs(sums.gradient) - limits.alpha);
  const weight = (sums.gradient > 0 ? -excess : excess) / curvature;
  return Math.min(bounds.upper, Math.max(bounds.lower, weight));
}

/** Twice what the penalised loss falls by when a leaf has this value instead of 0. */
function gainWithin(sums: NodeSums, weight: number, limits: SplitLimits): number {
  const { lambda, alpha } = limits;
  return -(
    2 * sums.gradient * weight +
    (sums.hessian + lambda) * weight * weight +
    2 * alpha * Math.abs(weight)
  );
}
