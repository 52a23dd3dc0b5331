import { updateInverse } from '../algebra/low-rank.ts';
import { invertSymmetric } from '../algebra/symmetric.ts';
import type { ChangedRows } from './gram.ts';
import { changedRows, changeGram, gramOf, grown } from './gram.ts';
import type { Interactions, InteractionsChange, UserItems } from './interactions.ts';

/** Items of an EASE model: two matrices of 8,192 squared numbers take 1 GiB. */
export const EASE_ITEMS_MAX = 8192;
/**
 * An update of a rank above this share of the items solves anew. Measured with vectors of 30 items on one core
 * of an AMD EPYC (Zen 4), CPU time: with 2,000 items a solution takes 0.82 s, updates of rank 124, 250, 500 and
 * 1,000 take 0.12, 0.23, 0.33 and 0.62 s; with 1,000 items 0.12 s, and 0.10 s at rank 500. Above one half there
 * is nothing to be gained.
 */
const RANK_SHARE_MAX = 0.5;

/**
 * A linear model of items by items (Steck, "Embarrassingly shallow autoencoders for sparse data", 2019): with
 * the Gram matrix G of the interactions and P = (G + lambda I)^-1, the weight from item i to item j is
 * `-P[i][j] / P[j][j]`, and 0 from an item to itself.
 */
export interface EaseModel {
  readonly kind: 'ease';
  readonly itemCount: number;
  readonly lambda: number;
  /** G, `itemCount` squared, without lambda: kept so that new interactions can be added. */
  readonly gram: Float64Array;
  /** P, `itemCount` squared. */
  readonly inverse: Float64Array;
  /** Rank of all changes since the inverse was solved from the Gram matrix. */
  readonly rankSinceSolved: number;
}

export interface EaseOptions {
  /** Strength of the L2 penalty, above 0, in units of (squared) weights. Default 200. */
  readonly lambda?: number;
}

/**
 * Solves EASE. Time grows with the cube of the items, memory with their square.
 *
 * @throws RangeError on a lambda that is not a finite number above 0, or more than {@link EASE_ITEMS_MAX}
 *   items.
 */
export function fitEase(interactions: Interactions, options: EaseOptions = {}): EaseModel {
  const { lambda = 200 } = options;
  if (!(lambda > 0 && lambda < Number.POSITIVE_INFINITY))
    throw new RangeError(`Lambda must be a finite number above 0, not ${lambda}`);
  checkItems(interactions.items.size);
  return solved(gramOf(interactions), interactions.items.size, lambda);
}

/**
 * The model after new interactions, equal to a fit on all of them: the Gram matrix exactly, as long as the
 * sums of products of weights are exact (weights that are whole numbers, or such divided by a power of two),
 * else to rounding; weights of the model within 1e-8.
 *
 * Every changed user changes G by rank one (a new user) or two (the old row goes, the new one comes). Up to a
 * rank of half the items, the inverse is updated by Woodbury's formula, in `itemCount^2 * rank` operations
 * instead of `itemCount^3`; above, or when the ranks since the last solution add up to more than
 * the items, so that rounding does not pile up, it is solved again from the kept G. The given model stays as
 * it is and can serve on.
 *
 * @throws RangeError on more than {@link EASE_ITEMS_MAX} items.
 */
export function updateEase(model: EaseModel, change: InteractionsChange): EaseModel {
  const itemCount = change.after.items.size;
  checkItems(itemCount);
  const { lambda } = model;
  const rows = changedRows(change);
  const gram = grown(model.gram, model.itemCount, itemCount);
  changeGram(gram, itemCount, rows);
  const rank = rows.added.length + rows.removed.length;
  const rankSinceSolved = model.rankSinceSolved + rank;
  if (rank > RANK_SHARE_MAX * itemCount || rankSinceSolved > itemCount)
    return solved(gram, itemCount, lambda);
  const inverse = updatedInverse(model, itemCount, rows);
  if (inverse === undefined) return solved(gram, itemCount, lambda);
  return { kind: 'ease', itemCount, lambda, gram, inverse, rankSinceSolved };
}

/** The weights of a model, row-major: from item i to item j at `i * itemCount + j`. */
export function easeWeights(model: EaseModel): Float64Array {
  const { itemCount, inverse } = model;
  const weights = new Float64Array(inverse.length);
  for (let from = 0; from < itemCount; from += 1) {
    for (let to = 0; to < itemCount; to += 1) {
      const place = from * itemCount + to;
      // 0 minus: no minus zeros.
      if (from !== to)
        weights[place] = 0 - (inverse[place] as number) / (inverse[to * itemCount + to] as number);
    }
  }
  return weights;
}

/** @internal The score of an item: the weights from the user's items to it, times theirs, summed. */
export function scoreEase(model: EaseModel, given: UserItems): Float64Array {
  const { itemCount, inverse } = model;
  const scores = new Float64Array(itemCount);
  for (let position = 0; position < given.items.length; position += 1) {
    const item = given.items[position] as number;
    const weight = given.weights?.[position] ?? 1;
    const at = item * itemCount;
    // An item has no weight to itself.
    const own = scores[item] as number;
    for (let other = 0; other < itemCount; other += 1)
      scores[other] = (scores[other] as number) + weight * (inverse[at + other] as number);
    scores[item] = own;
  }
  for (let item = 0; item < itemCount; item += 1)
    scores[item] = 0 - (scores[item] as number) / (inverse[item * itemCount + item] as number);
  return scores;
}

function solved(gram: Float64Array, itemCount: number, lambda: number): EaseModel {
  const inverse = gram.slice();
  for (let item = 0; item < itemCount; item += 1) {
    const place = item * itemCount + item;
    inverse[place] = (inverse[place] as number) + lambda;
  }
  invertSymmetric(inverse, itemCount);
  return { kind: 'ease', itemCount, lambda, gram, inverse, rankSinceSolved: 0 };
}

function updatedInverse(model: EaseModel, itemCount: number, rows: ChangedRows): Float64Array | undefined {
  const inverse = grown(model.inverse, model.itemCount, itemCount);
  for (let item = model.itemCount; item < itemCount; item += 1)
    inverse[item * itemCount + item] = 1 / model.lambda;
  const vectorsOf = (side: ChangedRows['added']) =>
    side.map(({ items, weights }) => ({ indices: items, values: weights }));
  // Added first: taking away first could leave less than lambda for a moment.
  const done =
    updateInverse(inverse, itemCount, { vectors: vectorsOf(rows.added), sign: 1 }) &&
    updateInverse(inverse, itemCount, { vectors: vectorsOf(rows.removed), sign: -1 });
  return done ? inverse : undefined;
}

function checkItems(items: number): void {
  if (items > EASE_ITEMS_MAX)
    throw new RangeError(`EASE takes ${EASE_ITEMS_MAX} items at most, not ${items}: keep the most popular`);
}
