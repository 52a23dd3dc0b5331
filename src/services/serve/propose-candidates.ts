import type { Fallback, RecommendationWishes } from '../../contract/index.ts';
import type { UserHistory } from '../../define/index.ts';
import type { ItemModel } from '../../ml/onnx/load-items.ts';
import { type RankedItem, type RankingRules, topItems } from '../../ml/recommend/ranking.ts';

/** What candidates are proposed for. */
export interface ProposalRequest extends Pick<RecommendationWishes, 'exclude' | 'only' | 'seen'> {
  readonly history: UserHistory;
  /** Candidates at most. */
  readonly take: number;
}

/** Candidates by their indices in the model, the best first. */
export interface Proposal {
  readonly candidates: readonly RankedItem[];
  readonly fallback: Fallback;
}

/** What stands for the outcome of a recommendation where decisions have one, as in the ledger. */
export function outcomeOfProposal(fallback: Fallback): string {
  return fallback ?? 'recommended';
}

/**
 * Scores all items by those of the user and takes the best, without the seen and the excluded ones. Of equal scores the item with
 * the smaller index comes first. An item that scores exactly 0 is one that the user's items say nothing about: where such ones are
 * needed to fill the places, the more popular ones are. A user without known items gets the popular ones.
 */
export function proposeCandidates(model: ItemModel, request: ProposalRequest): Proposal {
  const { history, take } = request;
  const known = model.itemsOf(history.codes, history.weights);
  const scores = model.score(known.items, known.weights);
  const { may, ...rules } = rulesOf(model, request, known.items);
  if (known.items.length === 0) {
    const candidates = topItems(scores, take, { ...rules, allow: may });
    return { candidates, fallback: history.codes.length === 0 ? 'no history' : 'unknown items' };
  }
  const told = topItems(scores, take, { ...rules, allow: (item) => scores[item] !== 0 && may(item) });
  if (told.length === take) return { candidates: told, fallback: null };
  const filling = topItems(model.popularity, take - told.length, {
    ...rules,
    allow: (item) => scores[item] === 0 && may(item),
  });
  const candidates = [...told, ...filling.map(({ item }) => ({ item, score: 0 }))];
  // Stable: what tells nothing stays in the order of popularity, before what tells against.
  return { candidates: candidates.sort((a, b) => b.score - a.score), fallback: null };
}

function rulesOf(
  model: ItemModel,
  { seen, exclude, only }: ProposalRequest,
  own: ArrayLike<number>,
): RankingRules & { readonly may: (item: number) => boolean } {
  const allowed = only === undefined ? undefined : setOf(model, only);
  return {
    seen: seen === 'remove' ? own : [],
    ...(exclude === undefined ? {} : { deny: setOf(model, exclude) }),
    may: (item) => allowed === undefined || allowed[item] === 1,
  };
}

/** One byte for each item of the model; ids that it does not know are left out. */
function setOf(model: ItemModel, ids: readonly string[]): Uint8Array {
  const set = new Uint8Array(model.itemCount);
  for (const id of ids) {
    const item = model.indexOf(id);
    if (item !== undefined) set[item] = 1;
  }
  return set;
}
