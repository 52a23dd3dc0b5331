import type { Matrix } from '../matrix.ts';
import type { LevelColumn } from './bins.ts';
import { CATEGORY_CODE_MAX } from './options.ts';

/** What the codes of a categorical column become before trees see them. */
export interface CategoryCoding {
  /** Index in the input row. */
  readonly feature: number;
  /** The codes that training has seen, ascending. Every other one counts as missing. */
  readonly codes: Float32Array;
  /** Rank of each code: a whole number from 0, every one once. */
  readonly ranks: Float32Array;
}

/** What training knows when categories are ranked. */
export interface CategoryRows {
  readonly labels: ArrayLike<number>;
  readonly weights: Float64Array;
  /** Classes of the labels, or 1 when they are numbers. */
  readonly classes: number;
  /** The rows that training learns from. */
  readonly rows: Int32Array;
}

/**
 * Weight of the overall mean in the mean of a category, in rows: a category seen once says little
 * (Micci-Barreca, "A Preprocessing Scheme for High-Cardinality Categorical Attributes", 2001).
 */
const SMOOTHING_ROWS = 10;
/** Steps of the power iteration, which need not be exact: it decides nothing but an order. */
const POWER_STEPS = 100;

/**
 * @internal Codes the categorical columns of a training set. Up to `oneHotMax` categories keep the order of
 * their codes; more are put in the order of their smoothed mean label, in which the best split into two sets
 * is a cut (Fisher, "On Grouping for Maximum Homogeneity", 1958). The order of categories by several classes
 * is that of the first principal component of their class shares (Coppersmith, Hong and Hosking,
 * "Partitioning Nominal Attributes in Decision Trees", 1999).
 *
 * @throws RangeError on a value that is no code, naming its row.
 */
export function codeCategories(
  features: Matrix,
  categorical: readonly number[],
  training: CategoryRows & { readonly oneHotMax: number },
): { readonly codings: CategoryCoding[]; readonly levelColumns: LevelColumn[] } {
  const codings: CategoryCoding[] = [];
  const levelColumns: LevelColumn[] = [];
  for (const feature of categorical) {
    checkCodes(features, feature);
    const codes = codesOf(features, feature, training.rows);
    const equality = codes.length <= training.oneHotMax;
    const scores = equality ? Float64Array.from(codes) : scoresOf(features, { feature, codes }, training);
    codings.push({ feature, codes, ranks: ranksOf(scores) });
    levelColumns.push({ feature, levels: codes.length, equality });
  }
  return { codings, levelColumns };
}

/**
 * Replaces the codes of categorical columns by the ranks that an ensemble's trees compare, in a copy: what it
 * has not been trained on becomes NaN. Without categorical columns it returns the given matrix.
 */
export function rankCategories(codings: readonly CategoryCoding[], features: Matrix): Matrix {
  if (codings.length === 0) return features;
  const values = features.values.slice();
  for (const coding of codings) {
    for (let at = coding.feature; at < values.length; at += features.columns) {
      values[at] = rankOf(coding, values[at] as number);
    }
  }
  return { ...features, values };
}

/** @internal The rank of a code, NaN where it has none. */
export function rankOf(coding: CategoryCoding, code: number): number {
  const { codes, ranks } = coding;
  const at = placeOf(codes, code);
  return at < 0 ? Number.NaN : (ranks[at] as number);
}

/** The place of a code, or -1. */
function placeOf(codes: Float32Array, code: number): number {
  let low = 0;
  let high = codes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((codes[middle] as number) < code) low = middle + 1;
    else high = middle;
  }
  return codes[low] === code ? low : -1;
}

function checkCodes(features: Matrix, feature: number): void {
  const { rows, columns, values } = features;
  for (let row = 0; row < rows; row += 1) {
    const code = values[row * columns + feature] as number;
    if (Number.isNaN(code) || (Number.isInteger(code) && code >= 0 && code <= CATEGORY_CODE_MAX)) continue;
    throw new RangeError(
      `Row ${row} of categorical column ${feature} must have a whole number from 0 to ` +
        `${CATEGORY_CODE_MAX} or NaN, not ${code}`,
    );
  }
}

function codesOf(features: Matrix, feature: number, rows: Int32Array): Float32Array {
  const seen = new Set<number>();
  for (const row of rows) {
    const code = features.values[row * features.columns + feature] as number;
    // Plus 0, so that -0 is 0.
    if (!Number.isNaN(code)) seen.add(code + 0);
  }
  return Float32Array.from(seen).sort();
}

/** A number for each category, by which they are put in order. */
function scoresOf(
  features: Matrix,
  column: { readonly feature: number; readonly codes: Float32Array },
  training: CategoryRows,
): Float64Array {
  const { feature, codes } = column;
  const { labels, weights, classes, rows } = training;
  const sums = new Float64Array(codes.length * classes);
  const totals = new Float64Array(codes.length);
  for (const row of rows) {
    const place = placeOf(codes, features.values[row * features.columns + feature] as number);
    if (place < 0) continue;
    const weight = weights[row] as number;
    const label = labels[row] as number;
    const at = classes === 1 ? place : place * classes + label;
    sums[at] = (sums[at] as number) + (classes === 1 ? weight * label : weight);
    totals[place] = (totals[place] as number) + weight;
  }
  const total = totals.reduce((sum, own) => sum + own, 0);
  for (let output = 0; output < classes; output += 1) {
    let sum = 0;
    for (let at = output; at < sums.length; at += classes) sum += sums[at] as number;
    const smoothing = (SMOOTHING_ROWS * sum) / total;
    for (let place = 0; place < codes.length; place += 1) {
      const at = place * classes + output;
      sums[at] = ((sums[at] as number) + smoothing) / ((totals[place] as number) + SMOOTHING_ROWS);
    }
  }
  return classes === 1 ? sums : principalScores(sums, totals, classes);
}

/** Projections of weighted points of `width` numbers on their first principal component. */
function principalScores(points: Float64Array, weights: Float64Array, width: number): Float64Array {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const centred = points.slice();
  for (let part = 0; part < width; part += 1) {
    let mean = 0;
    weights.forEach((weight, point) => {
      mean += (weight * (points[point * width + part] as number)) / total;
    });
    for (let at = part; at < centred.length; at += width) centred[at] = (centred[at] as number) - mean;
  }
  const dot = (point: number, direction: Float64Array): number => {
    let sum = 0;
    for (let part = 0; part < width; part += 1)
      sum += (centred[point * width + part] as number) * (direction[part] as number);
    return sum;
  };
  // Not the same number for all parts: the shares of a category add up to 1, so that would be at right angles.
  let direction = Float64Array.from({ length: width }, (_, part) => 1 / (part + 1));
  for (let step = 0; step < POWER_STEPS; step += 1) {
    const next = new Float64Array(width);
    for (let point = 0; point < weights.length; point += 1) {
      const scale = dot(point, direction) * (weights[point] as number);
      for (let part = 0; part < width; part += 1)
        next[part] = (next[part] as number) + scale * (centred[point * width + part] as number);
    }
    const size = Math.sqrt(next.reduce((sum, value) => sum + value * value, 0));
    if (!(size > 0)) break;
    direction = next.map((value) => value / size);
  }
  return weights.map((_, point) => dot(point, direction));
}

/** The place of each score when they are put in order; equal ones keep theirs. */
function ranksOf(scores: Float64Array): Float32Array {
  const order = Uint32Array.from(scores.keys()).sort(
    (a, b) => (scores[a] as number) - (scores[b] as number) || a - b,
  );
  const ranks = new Float32Array(scores.length);
  order.forEach((place, rank) => {
    ranks[place] = rank;
  });
  return ranks;
}
