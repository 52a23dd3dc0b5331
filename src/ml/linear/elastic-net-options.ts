import type { Matrix } from '../matrix.ts';
import type { ElasticPenalty } from './coordinate-descent.ts';
import { ELASTIC_NET_COLUMNS_MAX } from './coordinate-descent.ts';

/** Penalties of one path. */
export const PATH_LENGTH_MAX = 10_000;

/** What all elastic nets are told beside the strength of the penalty. */
export interface ElasticNetBaseOptions {
  /**
   * Share of the L1 penalty, from 0 (ridge) to 1 (lasso): the penalty is `alpha * (l1Ratio * ||w||_1 + 0.5 *
   * (1 - l1Ratio) * ||w||^2)`. Default 0.5.
   */
  readonly l1Ratio?: number;
  /** One weight of at least 0 for each row. A row of weight 2 counts as that row twice. Default all 1. */
  readonly weights?: ArrayLike<number>;
  /** Passes over all columns (for the logistic loss: of each Newton step) before giving up. Default 1,000. */
  readonly iterationsMax?: number;
  /**
   * Largest violation of an optimality condition at the solution, relative to the largest component of the
   * gradient at coefficients of 0. Default 1e-8.
   */
  readonly tolerance?: number;
}

export interface ElasticNetOptions extends ElasticNetBaseOptions {
  /** Strength of the penalty, above 0, in the units of the mean loss (scikit-learn's meaning). Default 1. */
  readonly alpha?: number;
}

export interface ElasticNetPathOptions extends ElasticNetBaseOptions {
  /** The strengths, each smaller than the one before it. Default: evenly spaced in logarithm, see below. */
  readonly alphas?: readonly number[];
  /** Number of strengths where `alphas` is absent. Default 100. */
  readonly length?: number;
  /**
   * Ratio of the smallest strength to the largest where `alphas` is absent; the largest is the smallest at
   * which all coefficients are 0. Default 1e-3.
   */
  readonly alphaRatio?: number;
}

/** The options after checking. */
export interface ReadElasticNetOptions {
  readonly l1Ratio: number;
  readonly iterationsMax: number;
  readonly tolerance: number;
}

/**
 * @internal Fills in the defaults.
 *
 * @throws RangeError on options or a number of columns out of range.
 */
export function readElasticNetOptions(
  features: Matrix,
  options: ElasticNetBaseOptions,
): ReadElasticNetOptions {
  const { l1Ratio = 0.5, iterationsMax = 1000, tolerance = 1e-8 } = options;
  if (!(l1Ratio >= 0 && l1Ratio <= 1)) {
    throw new RangeError(`l1Ratio must be a number from 0 to 1, not ${l1Ratio}`);
  }
  if (features.columns > ELASTIC_NET_COLUMNS_MAX) {
    throw new RangeError(
      `An elastic net takes ${ELASTIC_NET_COLUMNS_MAX} columns at most, not ${features.columns}`,
    );
  }
  return { l1Ratio, iterationsMax, tolerance };
}

/**
 * @internal Checks the strength of a penalty.
 *
 * @throws RangeError unless it is a finite number above 0.
 */
export function checkAlpha(alpha: number, without: string): void {
  if (!(alpha > 0) || alpha === Number.POSITIVE_INFINITY) {
    throw new RangeError(
      `alpha must be a finite number above 0, not ${alpha}; ${without} fits without a penalty`,
    );
  }
}

/** @internal The penalty of each coefficient. */
export function penaltyOf(alpha: number, l1Ratio: number): ElasticPenalty {
  return { l1: alpha * l1Ratio, l2: alpha * (1 - l1Ratio) };
}

/**
 * @internal The strengths of a path.
 *
 * @param steepest largest component of the gradient of the mean loss at coefficients of 0.
 * @throws RangeError when the strengths given do not fall, or none are given and there is no L1 penalty, with
 *   which no strength makes all coefficients 0.
 */
export function pathAlphas(options: ElasticNetPathOptions, l1Ratio: number, steepest: number): number[] {
  const { alphas, length = 100, alphaRatio = 1e-3 } = options;
  const count = alphas?.length ?? length;
  if (!Number.isSafeInteger(count) || count < 1 || count > PATH_LENGTH_MAX) {
    throw new RangeError(`A path has 1 to ${PATH_LENGTH_MAX} strengths, not ${count}`);
  }
  if (alphas !== undefined) {
    alphas.forEach((alpha, index) => {
      if (index > 0 && !(alpha < (alphas[index - 1] as number))) {
        throw new RangeError(`Strength ${index} of the path must be below the one before it, not ${alpha}`);
      }
    });
    return [...alphas];
  }
  if (!(l1Ratio > 0)) throw new RangeError('A path without an L1 penalty needs its alphas written out');
  if (!(alphaRatio > 0 && alphaRatio < 1)) {
    throw new RangeError(`alphaRatio must be a number between 0 and 1, not ${alphaRatio}`);
  }
  if (!(steepest > 0)) {
    throw new RangeError('No column is related to the target, so every penalty gives the same model');
  }
  const largest = steepest / l1Ratio;
  if (count === 1) return [largest];
  return Array.from({ length: count }, (_, index) => largest * alphaRatio ** (index / (count - 1)));
}
