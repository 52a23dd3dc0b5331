import { RELEVANCE_MAX } from '../options.ts';
import type { Target, TargetRows } from './target.ts';
import { readNumbers } from './target.ts';

/** The rows of one group that have weight, with what their ranking is measured by. */
interface Group {
  readonly rows: Int32Array;
  /** Mean weight of its rows. */
  readonly weight: number;
  /** The discounted gain of the best order; 0 where nothing is relevant. */
  readonly bestGain: number;
}

/**
 * @internal An order of the rows of each group: LambdaRank (Burges, "From RankNet to LambdaRank to LambdaMART",
 * 2010, section 7, with sigma 1). Every pair of rows of different relevance pushes apart, by the derivative of
 * log(1 + exp(-(better - worse))) times what NDCG would change by if the two changed places. Gain 2^relevance - 1,
 * discount 1 / log2(place + 1) for the first `truncation` places.
 *
 * The loss is 1 - NDCG, the mean over all groups that have a relevant row, by their weight. The weight of a
 * group is the mean weight of its rows; rows of weight 0 take no part.
 *
 * @throws RangeError on a label that is no relevance, groups that do not add up to the rows, or when no group
 *   has rows of different relevance.
 */
export function lambdaRankTarget(given: TargetRows, truncation: number): Target {
  const { weights, what } = given;
  const labels = readNumbers(given, {
    least: 0,
    most: RELEVANCE_MAX,
    whole: true,
    wanted: `a whole number from 0 to ${RELEVANCE_MAX}`,
  });
  const gains = labels.map((label) => 2 ** label - 1);
  const groups = readGroups(given).map((rows) => groupOf(rows, { weights, gains, truncation }));
  if (!groups.some(({ bestGain, weight }) => bestGain > 0 && weight > 0)) {
    throw new RangeError(`No group of the ${what} has a relevant row: there is no order to learn`);
  }
  const longest = groups.reduce((most, { rows }) => Math.max(most, rows.length), 0);
  const discounts = Float64Array.from({ length: longest }, (_, place) => discountOf(place, truncation));
  return {
    outputs: 1,
    link: 'identity',
    metric: 'ndcgLoss',
    labels,
    weights,
    baseScores: () => Float64Array.of(0),
    differentiate({ margins, derivatives }) {
      derivatives.fill(0);
      for (const group of groups) {
        if (group.bestGain > 0) push(group, { gains, margins, discounts, truncation, derivatives });
      }
    },
    loss(margins) {
      let sum = 0;
      let total = 0;
      for (const { rows, weight, bestGain } of groups) {
        if (bestGain === 0) continue;
        let gain = 0;
        ranked(rows, margins).forEach((row, place) => {
          gain += (gains[row] as number) * (discounts[place] as number);
        });
        sum += weight * (1 - gain / bestGain);
        total += weight;
      }
      return sum / total;
    },
  };
}

/** Adds the derivatives of all pairs of a group. Pairs beyond the truncation change nothing. */
function push(
  group: Group,
  state: {
    readonly gains: Float64Array;
    readonly margins: Float64Array;
    readonly discounts: Float64Array;
    readonly truncation: number;
    readonly derivatives: Float64Array;
  },
): void {
  const { gains, margins, discounts, truncation, derivatives } = state;
  const order = ranked(group.rows, margins);
  const scale = group.weight / group.bestGain;
  const first = Math.min(truncation, order.length);
  for (let high = 0; high < first; high += 1) {
    const upper = order[high] as number;
    for (let low = high + 1; low < order.length; low += 1) {
      const lower = order[low] as number;
      const gainGap = (gains[upper] as number) - (gains[lower] as number);
      if (gainGap === 0) continue;
      const change = scale * Math.abs(gainGap) * ((discounts[high] as number) - (discounts[low] as number));
      const better = gainGap > 0 ? upper : lower;
      const worse = gainGap > 0 ? lower : upper;
      const wrong = 1 / (1 + Math.exp((margins[better] as number) - (margins[worse] as number)));
      const lambda = change * wrong;
      const curvature = lambda * (1 - wrong);
      derivatives[better * 2] = (derivatives[better * 2] as number) - lambda;
      derivatives[worse * 2] = (derivatives[worse * 2] as number) + lambda;
      derivatives[better * 2 + 1] = (derivatives[better * 2 + 1] as number) + curvature;
      derivatives[worse * 2 + 1] = (derivatives[worse * 2 + 1] as number) + curvature;
    }
  }
}

/** The rows of a group with the largest margin first; equal ones in their order in the data. */
function ranked(rows: Int32Array, margins: Float64Array): Int32Array {
  return rows.slice().sort((a, b) => (margins[b] as number) - (margins[a] as number) || a - b);
}

function groupOf(
  rows: Int32Array,
  given: { readonly weights: Float64Array; readonly gains: Float64Array; readonly truncation: number },
): Group {
  const taking = rows.filter((row) => (given.weights[row] as number) > 0);
  const best = Float64Array.from(taking, (row) => given.gains[row] as number)
    .sort()
    .reverse();
  const total = taking.reduce((sum, row) => sum + (given.weights[row] as number), 0);
  return {
    rows: taking,
    weight: taking.length === 0 ? 0 : total / taking.length,
    bestGain: best.reduce((sum, gain, place) => sum + gain * discountOf(place, given.truncation), 0),
  };
}

function discountOf(place: number, truncation: number): number {
  return place < truncation ? 1 / Math.log2(place + 2) : 0;
}

function readGroups(given: TargetRows): Int32Array[] {
  const { rows, groups, what } = given;
  if (groups === undefined) throw new RangeError(`lambdaRank needs groups for the ${what}`);
  const read: Int32Array[] = [];
  let start = 0;
  for (let group = 0; group < groups.length; group += 1) {
    const size = groups[group] as number;
    if (!Number.isSafeInteger(size) || size < 0 || start + size > rows) {
      throw new RangeError(
        `Group ${group} of the ${what} begins at row ${start} of ${rows} and cannot have ${size} rows`,
      );
    }
    const first = start;
    read.push(Int32Array.from({ length: size }, (_, index) => first + index));
    start += size;
  }
  if (start !== rows) throw new RangeError(`The groups of the ${what} have ${start} rows, not ${rows}`);
  return read;
}
