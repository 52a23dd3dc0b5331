import { type Duration, durationMs } from './duration.ts';

/**
 * A linear model from all items to all items, solved in closed form (Steck, "Embarrassingly shallow autoencoders for sparse data",
 * 2019). Time grows with the cube of the items, memory with their square.
 */
export interface EaseTrainer {
  readonly kind: 'ease';
  /** Strength of the L2 penalty, in units of squared weights. */
  readonly lambda: number;
}

/** Each item is scored by how similar it is to the user's items: the cosine of their users, of the nearest `k` items. */
export interface ItemKnnTrainer {
  readonly kind: 'item-knn';
  readonly k: number;
  /** Added to the denominator of the cosine: similarities that few users support become smaller. */
  readonly shrinkage: number;
}

/** Everybody gets the items with the largest sum of weights. */
export interface MostPopularTrainer {
  readonly kind: 'most-popular';
  /** After so long an interaction counts half, in milliseconds. Absent: all count the same. */
  readonly halfLifeMs?: number;
}

/**
 * How a recommender learns. All three are linear in the user's items, so that a version is one matrix and a user who did something
 * new is scored with it at once. Alternating least squares is not: a user's factors are solved anew from the items. It is there
 * as a function of the library, not as a trainer.
 */
export type RecommenderTrainer = EaseTrainer | ItemKnnTrainer | MostPopularTrainer;

/** Most neighbours of an item. */
const NEIGHBOURS_MAX = 1_000;

/**
 * EASE. Default `lambda` 200: some hundred suit most data, more where users have many items.
 *
 * @throws TypeError unless lambda is a finite number above 0.
 */
export function ease(options: { readonly lambda?: number } = {}): EaseTrainer {
  const { lambda = 200 } = options;
  if (!(lambda > 0 && lambda < Infinity)) {
    throw new TypeError(`ease(): lambda is a finite number above 0; got ${String(lambda)}`);
  }
  return { kind: 'ease', lambda };
}

/**
 * Nearest neighbours of items. Defaults: `k` 20 neighbours (at most 1,000), `shrinkage` 0.
 *
 * @throws TypeError on options out of range.
 */
export function itemKnn(options: { readonly k?: number; readonly shrinkage?: number } = {}): ItemKnnTrainer {
  const { k = 20, shrinkage = 0 } = options;
  if (!Number.isInteger(k) || k < 1 || k > NEIGHBOURS_MAX) {
    throw new TypeError(
      `itemKnn(): k is a whole number from 1 to ${String(NEIGHBOURS_MAX)}; got ${String(k)}`,
    );
  }
  if (!(shrinkage >= 0 && shrinkage < Infinity)) {
    throw new TypeError(`itemKnn(): shrinkage is a finite number from 0; got ${String(shrinkage)}`);
  }
  return { kind: 'item-knn', k, shrinkage };
}

/**
 * The most popular items. Default: an interaction counts the same however old it is.
 *
 * @example mostPopular({ halfLife: '30d' })
 * @throws TypeError on a half-life that is no duration.
 */
export function mostPopular(options: { readonly halfLife?: Duration } = {}): MostPopularTrainer {
  const { halfLife } = options;
  return { kind: 'most-popular', ...(halfLife === undefined ? {} : { halfLifeMs: durationMs(halfLife) }) };
}
