import type { DiversityOptions } from './diversity.ts';
import { diversify } from './diversity.ts';
import type { UserItems } from './interactions.ts';
import { checkUserItems } from './interactions.ts';
import type { RecommendationModel } from './model.ts';
import { itemCountOf, itemScores } from './model.ts';
import type { MostPopularModel } from './most-popular.ts';
import type { RankedItem, RankingRules } from './ranking.ts';
import { RANKING_ITEMS_MAX, memberTest, topItems } from './ranking.ts';

/** Why popular items are shown instead of, or after, those of the model. */
export type FallbackReason =
  /** The user has no items. */
  | 'USER_WITHOUT_ITEMS'
  /** The user has items, but the model knows none of them. */
  | 'ITEMS_UNKNOWN'
  /** The user's items say nothing about any item that may be shown. */
  | 'NO_EVIDENCE'
  /** They say something, but about fewer items than were asked for. */
  | 'LITTLE_EVIDENCE';

export interface Recommendation {
  /** At most `k`, the best first. */
  readonly items: readonly RecommendedItem[];
  /** Undefined when all items come from the model. */
  readonly fallback: FallbackReason | undefined;
}

export interface RecommendedItem extends RankedItem {
  /** Where the item and its score come from: the scores of the two are not comparable. */
  readonly source: 'model' | 'popularity';
}

export interface RecommendOptions extends Omit<RankingRules, 'seen'> {
  /** Items asked for, 1 to {@link RANKING_ITEMS_MAX}. */
  readonly k: number;
  /** What to show when the model has nothing to say; it may know more items than the model. */
  readonly popularity: MostPopularModel;
  /** Ids of the user that are in no table, see `userItemsOf`: they tell ITEMS_UNKNOWN. Default 0. */
  readonly unknown?: number;
  /** Whether the user's own items may be recommended. Default false. */
  readonly repeat?: boolean;
  /** Re-ranks the best `candidates` (at least k) for diversity. Default: no re-rank. */
  readonly diversity?: Omit<DiversityOptions, 'k'> & { readonly candidates: number };
}

/**
 * What to show to a user. The model ranks the items about which it has evidence, that is, a score other than
 * 0 (a boost is no evidence); where that does not fill `k` places, the most popular others follow, under the
 * same rules, and the reason is told.
 *
 * @param given the user's items, which may be more than the model knows: newer ones are left out, but count as
 *   seen.
 * @throws RangeError on unsound items or options.
 */
export function recommend(
  model: RecommendationModel,
  given: UserItems,
  options: RecommendOptions,
): Recommendation {
  const { k, popularity, unknown = 0, diversity, repeat = false } = options;
  const itemCount = popularity.popularity.length;
  const modelCount = itemCountOf(model);
  if (modelCount > itemCount)
    throw new RangeError(`The model knows ${modelCount} items, more than the ${itemCount} of the popularity`);
  checkUserItems(given, itemCount);
  const pool = diversity?.candidates ?? k;
  if (!Number.isSafeInteger(pool) || pool < k || pool > RANKING_ITEMS_MAX)
    throw new RangeError(
      `The candidates must be a whole number from ${k} to ${RANKING_ITEMS_MAX}, not ${pool}`,
    );
  const rules: RankingRules = { ...options, seen: repeat ? [] : given.items };
  const what: Pool = { pool, rules, itemCount };
  const known = knownItems(given, modelCount);
  const ranked = known.items.length === 0 ? [] : rankByModel(model, known, what);
  const filled = ranked.length >= k ? [] : rankByPopularity(popularity, ranked, what);
  const parts = [ranked, filled].map((part) =>
    diversity === undefined || part.length === 0 ? part : diversify(part, { ...diversity, k }),
  );
  return {
    items: parts.flat().slice(0, k),
    fallback: ranked.length >= k ? undefined : reasonOf(ranked, known, { given, unknown }),
  };
}

interface Pool {
  readonly pool: number;
  readonly rules: RankingRules;
  readonly itemCount: number;
}

function rankByModel(model: RecommendationModel, known: UserItems, what: Pool): RecommendedItem[] {
  const scores = new Float64Array(what.itemCount);
  scores.set(itemScores(model, known));
  return topItems(
    scores,
    what.pool,
    withCondition(what, (item) => scores[item] !== 0),
  ).map((ranked) => ({
    ...ranked,
    source: 'model',
  }));
}

function rankByPopularity(
  model: MostPopularModel,
  ranked: readonly RankedItem[],
  what: Pool,
): RecommendedItem[] {
  const taken = new Set(ranked.map(({ item }) => item));
  return topItems(
    model.popularity,
    what.pool,
    withCondition(what, (item) => !taken.has(item)),
  ).map((found) => ({ ...found, source: 'popularity' }));
}

/** The rules with one more condition. */
function withCondition(what: Pool, condition: (item: number) => boolean): RankingRules {
  const { rules, itemCount } = what;
  const allowed = memberTest(rules.allow, itemCount, 'allowed');
  return { ...rules, allow: (item) => condition(item) && allowed?.(item) !== false };
}

/** The user's items that the model knows: those before its end, since tables only grow. */
function knownItems(given: UserItems, modelCount: number): UserItems {
  const items: number[] = [];
  const weights: number[] = [];
  for (let position = 0; position < given.items.length; position += 1) {
    const item = given.items[position] as number;
    if (item >= modelCount) break;
    items.push(item);
    weights.push(given.weights?.[position] ?? 1);
  }
  return { items, weights };
}

function reasonOf(
  ranked: readonly RankedItem[],
  known: UserItems,
  user: { readonly given: UserItems; readonly unknown: number },
): FallbackReason {
  if (ranked.length > 0) return 'LITTLE_EVIDENCE';
  if (known.items.length > 0) return 'NO_EVIDENCE';
  return user.given.items.length + user.unknown > 0 ? 'ITEMS_UNKNOWN' : 'USER_WITHOUT_ITEMS';
}
