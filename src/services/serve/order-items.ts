import type { ItemModel } from '../../ml/onnx/load-items.ts';
import { diversify } from '../../ml/recommend/diversity.ts';
import type { RankedItem } from '../../ml/recommend/ranking.ts';

/** Items that a re-rank by diversity chooses from, unless more are answered. */
const POOL_MAX = 200;

/** A candidate with both of its scores. */
export interface OrderedItem extends RankedItem {
  readonly candidateScore: number;
}

/** How candidates become an answer. */
export interface Ordering {
  /** One for each candidate; undefined where there is no ranker. */
  readonly scores: ArrayLike<number> | undefined;
  readonly limit: number;
  /** In [0, 1]: 1 minus the lambda of maximal marginal relevance. */
  readonly diversity: number;
}

/**
 * The candidates by falling score, of equal scores in their own order, or re-ranked for diversity; `limit` at most. Two items are as
 * alike as the mean of the model's weights from the one to the other and back, not below 0, scaled so that the most alike two
 * have 1: as relevance is scaled too, a diversity means the same for every model.
 */
export function orderItems(
  model: ItemModel,
  candidates: readonly RankedItem[],
  { scores, limit, diversity }: Ordering,
): OrderedItem[] {
  const items = candidates.map(({ item, score }, place) => ({
    item,
    score: scores?.[place] ?? score,
    candidateScore: score,
  }));
  // Stable; candidates without a ranker's scores are in order already.
  if (scores !== undefined) items.sort((a, b) => b.score - a.score);
  if (diversity === 0 || items.length < 2) return items.slice(0, limit);
  const pool = items.slice(0, Math.max(limit, POOL_MAX));
  return diversify(pool, { k: limit, lambda: 1 - diversity, similarity: likeness(model, pool) });
}

function likeness(model: ItemModel, pool: readonly RankedItem[]): (a: number, b: number) => number {
  const plain = (a: number, b: number): number => Math.max(0, (model.weight(a, b) + model.weight(b, a)) / 2);
  let most = 0;
  for (const [place, { item }] of pool.entries()) {
    for (let other = 0; other < place; other += 1)
      most = Math.max(most, plain(item, pool[other]?.item ?? item));
  }
  return most === 0 ? () => 0 : (a, b) => plain(a, b) / most;
}
