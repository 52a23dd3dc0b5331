import type { RankedItem } from './ranking.ts';
import { RANKING_ITEMS_MAX } from './ranking.ts';

/** Comparisons of two items in one re-rank: k times the candidates. */
export const COMPARISONS_MAX = 1_000_000;

export interface DiversityOptions {
  /** Items chosen, from 1. */
  readonly k: number;
  /** Weight of relevance against novelty: 1 leaves the order, 0 looks at the first item's likeness only. */
  readonly lambda: number;
  /** How alike two items are, finite; at best from 0 (nothing in common) to 1 (the same). */
  readonly similarity: (a: number, b: number) => number;
}

/**
 * Chooses `k` of the candidates one after the other by maximal marginal relevance (Carbonell and Goldstein,
 * "The use of MMR, diversity-based reranking for reordering documents and producing summaries", 1998): each
 * time the one with the largest `lambda * relevance - (1 - lambda) * (largest similarity to one already
 * chosen)`; of equal ones the earlier candidate. Relevance is the score, scaled so that the candidates span 0
 * to 1 (all 1 when they are equal): models score in many units, and lambda is to mean the same in all.
 *
 * @param candidates by falling score, as a ranking gives them; {@link RANKING_ITEMS_MAX} at most.
 * @returns the chosen ones with their scores unchanged, in the order of choice.
 * @throws RangeError on options out of range, more than {@link COMPARISONS_MAX} comparisons, or a similarity or
 *   score that is not finite.
 */
export function diversify<TItem extends RankedItem>(
  candidates: readonly TItem[],
  options: DiversityOptions,
): TItem[] {
  const { k, lambda, similarity } = options;
  checkOptions(candidates.length, options);
  const relevance = scaled(candidates);
  const likeness = new Float64Array(candidates.length).fill(Number.NEGATIVE_INFINITY);
  const chosen: TItem[] = [];
  const taken = new Uint8Array(candidates.length);
  while (chosen.length < Math.min(k, candidates.length)) {
    let best = -1;
    let bestMargin = Number.NEGATIVE_INFINITY;
    for (let place = 0; place < candidates.length; place += 1) {
      if (taken[place] === 1) continue;
      const penalty = chosen.length === 0 ? 0 : (1 - lambda) * (likeness[place] as number);
      const margin = lambda * (relevance[place] as number) - penalty;
      if (best >= 0 && margin <= bestMargin) continue;
      best = place;
      bestMargin = margin;
    }
    taken[best] = 1;
    const added = candidates[best] as TItem;
    chosen.push(added);
    for (let place = 0; place < candidates.length; place += 1) {
      if (taken[place] === 1) continue;
      const { item } = candidates[place] as TItem;
      const alike = similarity(item, added.item);
      if (!Number.isFinite(alike))
        throw new RangeError(
          `The similarity of items ${item} and ${added.item} must be finite, not ${alike}`,
        );
      if (alike > (likeness[place] as number)) likeness[place] = alike;
    }
  }
  return chosen;
}

function scaled(candidates: readonly RankedItem[]): Float64Array {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const { item, score } of candidates) {
    if (!Number.isFinite(score))
      throw new RangeError(`The score of item ${item} must be finite to be weighed, not ${score}`);
    low = Math.min(low, score);
    high = Math.max(high, score);
  }
  return Float64Array.from(candidates, ({ score }) => (high > low ? (score - low) / (high - low) : 1));
}

function checkOptions(candidates: number, options: DiversityOptions): void {
  const { k, lambda } = options;
  if (!Number.isSafeInteger(k) || k < 1) throw new RangeError(`k must be a whole number from 1, not ${k}`);
  if (!(lambda >= 0 && lambda <= 1)) throw new RangeError(`lambda must be from 0 to 1, not ${lambda}`);
  if (candidates > RANKING_ITEMS_MAX)
    throw new RangeError(`${RANKING_ITEMS_MAX} candidates at most are re-ranked, not ${candidates}`);
  const comparisons = Math.min(k, candidates) * candidates;
  if (comparisons > COMPARISONS_MAX)
    throw new RangeError(
      `${k} of ${candidates} items take ${comparisons} comparisons, ${COMPARISONS_MAX} at most are made`,
    );
}
