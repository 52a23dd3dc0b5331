import type { Matrix } from '../matrix.ts';

/** Rows that training does not learn from but is judged by after each round. */
export interface ValidationSet {
  readonly features: Matrix;
  readonly labels: ArrayLike<number>;
  readonly weights?: ArrayLike<number>;
}

/** What is known after a round. */
export interface TreesProgress {
  /** Rounds done, from 1. */
  readonly round: number;
  /** Rounds wanted. */
  readonly rounds: number;
  /** Mean log loss over the (weighted) training rows. */
  readonly trainingLoss: number;
  /** Mean log loss over the validation set, if there is one. */
  readonly validationLoss: number | undefined;
}

export interface TreesOptions {
  /** Trees to grow. Default 100, at most {@link ROUNDS_MAX}. */
  readonly rounds?: number;
  /** Share of each tree's correction that is applied. In (0, 1], default 0.1. */
  readonly learningRate?: number;
  /**
   * `depth` splits every node down to `maxDepth`; `leaf` always splits the leaf with the largest gain until
   * there are `maxLeaves`. Default `depth`.
   */
  readonly growth?: 'depth' | 'leaf';
  /**
   * Splits from the root to a leaf. 1 to {@link DEPTH_MAX}, default 6 for `depth` and {@link DEPTH_MAX} for
   * `leaf`.
   */
  readonly maxDepth?: number;
  /** Leaves of a tree. From 2, default 31 for `leaf`, no limit for `depth`. */
  readonly maxLeaves?: number;
  /** L2 penalty on leaf values. From 0, default 1. */
  readonly lambda?: number;
  /** Smallest sum of p(1 - p) in a leaf, its "number of uncertain rows". From 1e-6, default 1. */
  readonly minHessian?: number;
  /** A split must gain more than this. From 0, default 1e-6. */
  readonly minGain?: number;
  /** Share of the rows that each tree sees, drawn anew. In (0, 1], default 1. */
  readonly rowSample?: number;
  /** Share of the columns that each tree sees, drawn anew. In (0, 1], default 1. */
  readonly columnSample?: number;
  /** Seed of the draws. Default 0. Same data, options and seed give the same trees, bit for bit. */
  readonly seed?: number;
  /** One weight of at least 0 for each row. Default all 1. */
  readonly weights?: ArrayLike<number>;
  /**
   * When given, training stops early and returns the trees up to the round with the smallest validation loss.
   */
  readonly validation?: ValidationSet;
  /** Rounds without a smaller validation loss before training stops. Default 10. */
  readonly patience?: number;
  /** Called after every round. */
  readonly onRound?: (progress: TreesProgress) => void;
  /** Asked before every round; `true` ends training with {@link TrainingStopped}. */
  readonly shouldStop?: () => boolean;
}

/** Options with their defaults filled in. */
export interface ResolvedTreesOptions {
  readonly rounds: number;
  readonly learningRate: number;
  readonly growth: 'depth' | 'leaf';
  readonly maxDepth: number;
  readonly maxLeaves: number;
  readonly lambda: number;
  readonly minHessian: number;
  readonly minGain: number;
  readonly rowSample: number;
  readonly columnSample: number;
  readonly seed: number;
  readonly patience: number;
}

/** Most trees of an ensemble. */
export const ROUNDS_MAX = 10_000;
/** Deepest tree: more than any use, and small enough for every walker. */
export const DEPTH_MAX = 64;

/** Training ended because `shouldStop` said so. */
export class TrainingStopped extends Error {
  /** Rounds that were done. */
  readonly rounds: number;

  constructor(rounds: number) {
    super(`Training was stopped after ${rounds} rounds`);
    this.name = 'TrainingStopped';
    this.rounds = rounds;
  }
}

/**
 * @internal Fills in the defaults.
 *
 * @throws RangeError naming the option that is out of its bounds.
 */
export function resolveTreesOptions(options: TreesOptions): ResolvedTreesOptions {
  const { growth = 'depth' } = options;
  if (growth !== 'depth' && growth !== 'leaf') {
    throw new RangeError(`growth must be 'depth' or 'leaf', not ${String(growth)}`);
  }
  const byDepth = growth === 'depth';
  const resolved = {
    rounds: options.rounds ?? 100,
    learningRate: options.learningRate ?? 0.1,
    growth,
    maxDepth: options.maxDepth ?? (byDepth ? 6 : DEPTH_MAX),
    maxLeaves: options.maxLeaves ?? (byDepth ? Number.MAX_SAFE_INTEGER : 31),
    lambda: options.lambda ?? 1,
    minHessian: options.minHessian ?? 1,
    minGain: options.minGain ?? 1e-6,
    rowSample: options.rowSample ?? 1,
    columnSample: options.columnSample ?? 1,
    seed: options.seed ?? 0,
    patience: options.patience ?? 10,
  };
  whole('rounds', resolved.rounds, 1, ROUNDS_MAX);
  whole('maxDepth', resolved.maxDepth, 1, DEPTH_MAX);
  whole('maxLeaves', resolved.maxLeaves, 2, Number.MAX_SAFE_INTEGER);
  whole('patience', resolved.patience, 1, Number.MAX_SAFE_INTEGER);
  within('learningRate', resolved.learningRate, 1e-6, 1);
  within('lambda', resolved.lambda, 0, 1e12);
  within('minHessian', resolved.minHessian, 1e-6, 1e12);
  within('minGain', resolved.minGain, 0, 1e12);
  within('rowSample', resolved.rowSample, Number.MIN_VALUE, 1);
  within('columnSample', resolved.columnSample, Number.MIN_VALUE, 1);
  return resolved;
}

function whole(name: string, value: number, least: number, most: number): void {
  if (!Number.isSafeInteger(value)) throw new RangeError(`${name} must be a whole number, not ${value}`);
  within(name, value, least, most);
}

function within(name: string, value: number, least: number, most: number): void {
  if (!(value >= least && value <= most)) {
    throw new RangeError(`${name} must be from ${least} to ${most}, not ${value}`);
  }
}
