import { RELEVANCE_MAX } from '../options.ts';
import type { SortingRoom } from './sort-by-margin.ts';
import { sortByMargin } from './sort-by-margin.ts';
import type { Target, TargetRows } from './target.ts';
import { readNumbers } from './target.ts';

/** The rows of one group that have weight, with what their ranking is measured by. */
interface Group {
  /** In the order of the margins when they were last looked at, from which the next one is not far. */
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
  const ranking = makeRanking(longest, gains);
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
        if (group.bestGain === 0) continue;
        rank(group, margins, ranking);
        push(group, ranking, { discounts, truncation });
        group.rows.forEach((row, place) => {
          derivatives[row * 2] = ranking.firsts[place] as number;
          derivatives[row * 2 + 1] = ranking.seconds[place] as number;
        });
      }
    },
    loss(margins) {
      let sum = 0;
      let total = 0;
      for (const group of groups) {
        const { rows, weight, bestGain } = group;
        if (bestGain === 0) continue;
        rank(group, margins, ranking);
        let gain = 0;
        for (let place = 0; place < rows.length; place += 1) {
          gain += (ranking.gains[place] as number) * (discounts[place] as number);
        }
        sum += weight * (1 - gain / bestGain);
        total += weight;
      }
      return sum / total;
    },
  };
}

/** What is known of a group's rows, by their place; the next group is written over it. */
interface Ranking {
  readonly margins: Float64Array;
  readonly gains: Float64Array;
  /** The places of rows with a gain, ascending, and how many there are. */
  readonly relevant: Int32Array;
  relevantCount: number;
  /** First and second derivatives. */
  readonly firsts: Float64Array;
  readonly seconds: Float64Array;
  readonly room: SortingRoom;
  readonly gainsOfRows: Float64Array;
}

function makeRanking(longest: number, gainsOfRows: Float64Array): Ranking {
  return {
    margins: new Float64Array(longest),
    gains: new Float64Array(longest),
    relevant: new Int32Array(longest),
    relevantCount: 0,
    firsts: new Float64Array(longest),
    seconds: new Float64Array(longest),
    room: { rows: new Int32Array(longest), keys: new Float64Array(longest) },
    gainsOfRows,
  };
}

/** Puts the rows of a group into the order of their margins, the largest first; equal ones in their order in the data. */
function rank({ rows }: Group, margins: Float64Array, ranking: Ranking): void {
  const { gains, relevant, gainsOfRows, room } = ranking;
  sortByMargin(rows, ranking.margins, { margins, room });
  let count = 0;
  for (let place = 0; place < rows.length; place += 1) {
    const gain = gainsOfRows[rows[place] as number] as number;
    gains[place] = gain;
    relevant[count] = place;
    if (gain > 0) count += 1;
  }
  ranking.relevantCount = count;
}

/**
 * Sums the derivatives of all pairs of a group. Pairs beyond the truncation change nothing, nor do pairs of equal relevance: to a row of
 * none only those with some are compared.
 */
function push(
  group: Group,
  ranking: Ranking,
  { discounts, truncation }: { readonly discounts: Float64Array; readonly truncation: number },
): void {
  const { margins, gains, relevant, relevantCount, firsts, seconds } = ranking;
  const { length } = group.rows;
  firsts.fill(0, 0, length);
  seconds.fill(0, 0, length);
  const scale = group.weight / group.bestGain;
  const ends = Math.min(truncation, length);
  let passed = 0;
  for (let high = 0; high < ends; high += 1) {
    while (passed < relevantCount && (relevant[passed] as number) <= high) passed += 1;
    const upperGain = gains[high] as number;
    const margin = margins[high] as number;
    const discount = discounts[high] as number;
    const lowers = upperGain > 0 ? length - high - 1 : relevantCount - passed;
    let first = firsts[high] as number;
    let second = seconds[high] as number;
    for (let index = 0; index < lowers; index += 1) {
      const low = upperGain > 0 ? high + 1 + index : (relevant[passed + index] as number);
      const gainGap = upperGain - (gains[low] as number);
      if (gainGap === 0) continue;
      const change = scale * Math.abs(gainGap) * (discount - (discounts[low] as number));
      const gap = margin - (margins[low] as number);
      const wrong = 1 / (1 + Math.exp(gainGap > 0 ? gap : -gap));
      const lambda = change * wrong;
      const curvature = lambda * (1 - wrong);
      const up = gainGap > 0 ? lambda : -lambda;
      first -= up;
      firsts[low] = (firsts[low] as number) + up;
      second += curvature;
      seconds[low] = (seconds[low] as number) + curvature;
    }
    firsts[high] = first;
    seconds[high] = second;
  }
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
