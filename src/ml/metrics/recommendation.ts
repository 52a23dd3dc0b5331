import { checkCutOff } from './ranking.ts';

/** What users were recommended, and what was relevant to them. Items are all numbers or all strings. */
export interface RecommendationInput<TItem extends number | string> {
  /**
   * The recommended items of each user, the best first. Only the first `k` are looked at; fewer are allowed.
   */
  readonly recommended: readonly ArrayLike<TItem>[];
  /**
   * The relevant items of each user, in any order. Items that training did not know belong here too: they
   * cannot be recommended, and leaving them out would flatter every model.
   */
  readonly relevant: readonly ArrayLike<TItem>[];
  /** Cut-off: how many recommendations a user sees. */
  readonly k: number;
}

/** Quality of one user's, or all users', first k recommendations; every one is in [0, 1]. */
export interface RecommendationScores<TScores> {
  /**
   * Sum of 1 / log2(rank + 1) over the hits, divided by that of min(k, relevant) hits at the top (Järvelin
   * and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002; binary gains).
   */
  readonly ndcg: TScores;
  /** Average precision: the sum over the hits of the precision down to their rank, over min(k, relevant). */
  readonly averagePrecision: TScores;
  /** 1 / rank of the first hit; 0 without one. */
  readonly reciprocalRank: TScores;
  /** Hits / relevant items. */
  readonly recall: TScores;
  /** Hits / k: places left empty count as misses. */
  readonly precision: TScores;
  /** 1 when there is any hit, else 0. */
  readonly hitRate: TScores;
}

/** Recommendation metrics. */
export interface RecommendationMetrics {
  /** Users that could be measured: those with a relevant item. */
  readonly users: number;
  /** Users without a relevant item: they are in no mean. */
  readonly usersUnmeasured: number;
  /** Means over the measured users: nDCG@k, MAP@k, MRR@k, recall@k, precision@k, hit rate@k. */
  readonly mean: RecommendationScores<number>;
  /** One entry for each user, `NaN` for an unmeasured one. */
  readonly byUser: RecommendationScores<Float64Array>;
}

const SCORE_NAMES = [
  'ndcg',
  'averagePrecision',
  'reciprocalRank',
  'recall',
  'precision',
  'hitRate',
] as const satisfies readonly (keyof RecommendationScores<number>)[];

/**
 * Measures recommendations by the relevant items of each user, and the means over the users.
 *
 * @throws RangeError on unsound input: an item that is twice in one list, or no user with a relevant item.
 */
export function recommendationMetrics<TItem extends number | string>(
  input: RecommendationInput<TItem>,
): RecommendationMetrics {
  const { recommended, relevant, k } = input;
  checkCutOff(k);
  if (recommended.length !== relevant.length) {
    throw new RangeError(
      `There are recommendations of ${recommended.length} users but relevant items of ${relevant.length}`,
    );
  }
  const byUser = eachScore(() => new Float64Array(relevant.length).fill(Number.NaN));
  const sums = eachScore(() => 0);
  let users = 0;
  for (let user = 0; user < relevant.length; user += 1) {
    const wanted = itemsOf(relevant[user] as ArrayLike<TItem>, `relevant items of user ${user}`);
    const list = recommended[user] as ArrayLike<TItem>;
    const shown = itemsOf(list, `first ${k} recommendations of user ${user}`, k);
    if (wanted.size === 0) continue;
    users += 1;
    const scores = scoresOf(shown, wanted, k);
    for (const name of SCORE_NAMES) {
      byUser[name][user] = scores[name];
      sums[name] += scores[name];
    }
  }
  if (users === 0) {
    throw new RangeError(
      `Recommendation metrics need a user with a relevant item, none of ${relevant.length} has`,
    );
  }
  const mean = eachScore((name) => sums[name] / users);
  return { users, usersUnmeasured: relevant.length - users, mean, byUser };
}

/**
 * Catalogue coverage at k: the share of the catalogue that is among the first `k` recommendations of any user
 * (Ge, Delgado-Battenfeld and Jannach, "Beyond accuracy", 2010).
 *
 * @throws RangeError when there are more different items than the catalogue has, or on an unsound `k`.
 */
export function catalogueCoverage(input: {
  /** The recommended items of each user, the best first. */
  readonly recommended: readonly ArrayLike<number | string>[];
  readonly k: number;
  /** Number of items that could have been recommended. */
  readonly catalogueSize: number;
}): number {
  const { recommended, k, catalogueSize } = input;
  checkCutOff(k);
  if (!Number.isSafeInteger(catalogueSize) || catalogueSize < 1) {
    throw new RangeError(`The catalogue size must be a whole number from 1, not ${catalogueSize}`);
  }
  const shown = new Set<number | string>();
  for (const list of recommended) {
    const seen = Math.min(k, list.length);
    for (let place = 0; place < seen; place += 1) shown.add(list[place] as number | string);
  }
  if (shown.size > catalogueSize) {
    throw new RangeError(`${shown.size} items are recommended but the catalogue has ${catalogueSize}`);
  }
  return shown.size / catalogueSize;
}

/** The scores of one user; sets keep the order of their items. */
function scoresOf<TItem>(
  shown: ReadonlySet<TItem>,
  wanted: ReadonlySet<TItem>,
  k: number,
): RecommendationScores<number> {
  let rank = 0;
  let hits = 0;
  let gain = 0;
  let precisions = 0;
  let first = 0;
  for (const item of shown) {
    rank += 1;
    if (!wanted.has(item)) continue;
    hits += 1;
    gain += 1 / Math.log2(rank + 1);
    precisions += hits / rank;
    if (first === 0) first = rank;
  }
  const possible = Math.min(k, wanted.size);
  let ideal = 0;
  for (let place = 1; place <= possible; place += 1) ideal += 1 / Math.log2(place + 1);
  return {
    ndcg: gain / ideal,
    averagePrecision: precisions / possible,
    reciprocalRank: first === 0 ? 0 : 1 / first,
    recall: hits / wanted.size,
    precision: hits / k,
    hitRate: hits > 0 ? 1 : 0,
  };
}

function itemsOf<TItem>(items: ArrayLike<TItem>, what: string, most: number = items.length): Set<TItem> {
  const found = new Set<TItem>();
  for (let place = 0; place < Math.min(most, items.length); place += 1) {
    const item = items[place] as TItem;
    if (found.has(item)) throw new RangeError(`Item ${String(item)} is twice among the ${what}`);
    found.add(item);
  }
  return found;
}

function eachScore<TScores>(make: (name: keyof RecommendationScores<TScores>) => TScores): {
  -readonly [TName in keyof RecommendationScores<TScores>]: TScores;
} {
  return {
    ndcg: make('ndcg'),
    averagePrecision: make('averagePrecision'),
    reciprocalRank: make('reciprocalRank'),
    recall: make('recall'),
    precision: make('precision'),
    hitRate: make('hitRate'),
  };
}
