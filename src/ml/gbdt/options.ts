import type { Matrix } from '../matrix.ts';
import type { Helpers } from './crew/helpers.ts';

/** What is learnt. */
export type TreesObjective = 'binary' | 'multiclass' | 'squaredError' | 'quantile' | 'poisson' | 'lambdaRank';

/** Rows that training does not learn from but is judged by after each round. */
export interface ValidationSet {
  readonly features: Matrix;
  readonly labels: ArrayLike<number>;
  readonly weights?: ArrayLike<number>;
  /** Rows of each group, in order; only for `lambdaRank`. */
  readonly groups?: ArrayLike<number>;
}

/** What is known after a round. */
export interface TreesProgress {
  /** Rounds done, from 1. */
  readonly round: number;
  /** Rounds wanted. */
  readonly rounds: number;
  /** What the losses are: the smaller, the better. */
  readonly metric: TreesMetric;
  /**
   * Mean loss over the (weighted) training rows; where categories are ranked, as the trees saw them in training,
   * by the labels of other rows.
   */
  readonly trainingLoss: number;
  /** Mean loss over the validation set, if there is one. */
  readonly validationLoss: number | undefined;
}

/**
 * The validation metric of each objective: log loss for `binary` and `multiclass`, mean squared error, pinball
 * loss for `quantile`, Poisson deviance, and 1 - NDCG for `lambdaRank`.
 */
export type TreesMetric = 'logLoss' | 'squaredError' | 'pinballLoss' | 'poissonDeviance' | 'ndcgLoss';

export interface TreesOptions {
  /**
   * Default `binary`: labels 0 and 1, the answer is the probability of 1. `multiclass`: whole numbers from 0,
   * one tree for each class and round, the answers are the probabilities of all classes. `squaredError`: the
   * mean of the label. `quantile`: its quantile. `poisson`: the mean of a count, at least 0, whose logarithm
   * is what trees add up to. `lambdaRank`: an order of the rows of a group, by labels from 0 (irrelevant) to
   * {@link RELEVANCE_MAX}.
   */
  readonly objective?: TreesObjective;
  /** For `quantile`: which one. In (0, 1), default 0.5, the median. */
  readonly quantile?: number;
  /** For `lambdaRank`, which needs it: rows of each group, in order. */
  readonly groups?: ArrayLike<number>;
  /** For `lambdaRank`: places of the ranking that count. Default 30. */
  readonly truncation?: number;
  /**
   * For `binary` and `multiclass`: what the weights of the training rows of each class are multiplied by;
   * `balanced` gives all classes the same total. Default all 1.
   */
  readonly classWeights?: 'balanced' | readonly number[];
  /**
   * Columns of categories, as whole numbers from 0 to {@link CATEGORY_CODE_MAX}. A category that training has
   * not seen counts as missing. Default none.
   */
  readonly categorical?: readonly number[];
  /**
   * A column of at most this many categories is split one category against the rest; one of more by the rank
   * of the category's mean label, which a training row's own label has no part in. From 0, default 4.
   */
  readonly oneHotMax?: number;
  /**
   * For each column 1 if the answer must not fall as the value rises, -1 if it must not rise, 0 if it may do
   * both. Not for `multiclass`, `quantile` and categorical columns. Default all 0.
   */
  readonly monotone?: readonly number[];
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
  /** L1 penalty on leaf values. From 0, default 0. */
  readonly alpha?: number;
  /**
   * Smallest sum of second derivatives in a leaf: for `binary` of p(1 - p), its "number of uncertain rows",
   * for `squaredError` of weights. From 1e-6, default 1, for `lambdaRank` 1e-3.
   */
  readonly minHessian?: number;
  /** Fewest training rows in a leaf. From 1, default 1. More than 1 costs a second histogram. */
  readonly minRows?: number;
  /** Most bins of values of a column. 2 to 255, default 255. */
  readonly binsMax?: number;
  /**
   * A split must gain more than this. From 0, default 1e-6, for `squaredError` times the variance of the labels.
   */
  readonly minGain?: number;
  /** Share of the rows that each tree sees, drawn anew. In (0, 1], default 1. */
  readonly rowSample?: number;
  /** Share of the columns that each tree sees, drawn anew. In (0, 1], default 1. */
  readonly columnSample?: number;
  /** Share of its tree's columns that each node sees, drawn anew. In (0, 1], default 1. */
  readonly columnSampleByNode?: number;
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
  /**
   * Where the inner loops run. Default `webassembly` where the platform has it and all fits into its 4 GiB, else
   * `plain`; both give the same trees, bit for bit.
   */
  readonly kernel?: 'plain' | 'webassembly';
  /**
   * Threads that help where the inner loops run in WebAssembly; the trees are the same, bit for bit, however many there are. The calling
   * thread waits for them, which a browser's main thread may not. Default none.
   */
  readonly helpers?: Helpers;
  /** Called after every round. */
  readonly onRound?: (progress: TreesProgress) => void;
  /** Asked before every round; `true` ends training with {@link TrainingStopped}. */
  readonly shouldStop?: () => boolean;
}

/** Options with their defaults filled in. */
export interface ResolvedTreesOptions {
  readonly objective: TreesObjective;
  readonly quantile: number;
  readonly truncation: number;
  readonly classWeights: 'balanced' | readonly number[] | undefined;
  readonly categorical: readonly number[];
  readonly oneHotMax: number;
  readonly monotone: readonly number[] | undefined;
  readonly rounds: number;
  readonly learningRate: number;
  readonly growth: 'depth' | 'leaf';
  readonly maxDepth: number;
  readonly maxLeaves: number;
  readonly lambda: number;
  readonly alpha: number;
  readonly minHessian: number;
  readonly minRows: number;
  /** Not yet in the unit of the labels. */
  readonly minGain: number | undefined;
  readonly binsMax: number;
  readonly rowSample: number;
  readonly columnSample: number;
  readonly columnSampleByNode: number;
  readonly seed: number;
  readonly patience: number;
  readonly kernel: 'plain' | 'webassembly';
}

/** Default of `minGain`, in the unit of the gains: what rounding may feign. */
export const GAIN_MIN_DEFAULT = 1e-6;
/** Most trees of an ensemble. */
export const ROUNDS_MAX = 10_000;
/** Deepest tree: more than any use, and small enough for every walker. */
export const DEPTH_MAX = 64;

/** Largest relevance of `lambdaRank`: its gain is 2 to this power, less 1. */
export const RELEVANCE_MAX = 31;
/** Largest code of a category: Float32 has every whole number up to it. */
export const CATEGORY_CODE_MAX = 0x1000000;

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

const OBJECTIVES: readonly TreesObjective[] = [
  'binary',
  'multiclass',
  'squaredError',
  'quantile',
  'poisson',
  'lambdaRank',
];

/**
 * @internal Fills in the defaults.
 *
 * @param columns of the training matrix
 * @throws RangeError naming the option that is out of its bounds.
 */
export function resolveTreesOptions(options: TreesOptions, columns: number): ResolvedTreesOptions {
  const { growth = 'depth', objective = 'binary', kernel = 'webassembly' } = options;
  oneOf('growth', growth, ['depth', 'leaf']);
  oneOf('objective', objective, OBJECTIVES);
  oneOf('kernel', kernel, ['plain', 'webassembly']);
  const byDepth = growth === 'depth';
  const resolved = {
    objective,
    quantile: options.quantile ?? 0.5,
    truncation: options.truncation ?? 30,
    classWeights: options.classWeights,
    categorical: [...(options.categorical ?? [])].sort((a, b) => a - b),
    oneHotMax: options.oneHotMax ?? 4,
    monotone: options.monotone,
    rounds: options.rounds ?? 100,
    learningRate: options.learningRate ?? 0.1,
    growth,
    maxDepth: options.maxDepth ?? (byDepth ? 6 : DEPTH_MAX),
    maxLeaves: options.maxLeaves ?? (byDepth ? Number.MAX_SAFE_INTEGER : 31),
    lambda: options.lambda ?? 1,
    alpha: options.alpha ?? 0,
    minHessian: options.minHessian ?? (objective === 'lambdaRank' ? 1e-3 : 1),
    minRows: options.minRows ?? 1,
    minGain: options.minGain,
    binsMax: options.binsMax ?? 255,
    rowSample: options.rowSample ?? 1,
    columnSample: options.columnSample ?? 1,
    columnSampleByNode: options.columnSampleByNode ?? 1,
    seed: options.seed ?? 0,
    patience: options.patience ?? 10,
    kernel,
  };
  checkNumbers(resolved);
  checkCombinations(options);
  checkColumns(resolved, columns);
  return resolved;
}

function checkNumbers(resolved: ResolvedTreesOptions): void {
  whole('rounds', resolved.rounds, 1, ROUNDS_MAX);
  whole('maxDepth', resolved.maxDepth, 1, DEPTH_MAX);
  whole('maxLeaves', resolved.maxLeaves, 2, Number.MAX_SAFE_INTEGER);
  whole('minRows', resolved.minRows, 1, Number.MAX_SAFE_INTEGER);
  whole('binsMax', resolved.binsMax, 2, 255);
  whole('oneHotMax', resolved.oneHotMax, 0, 255);
  whole('truncation', resolved.truncation, 1, Number.MAX_SAFE_INTEGER);
  whole('patience', resolved.patience, 1, Number.MAX_SAFE_INTEGER);
  within('learningRate', resolved.learningRate, 1e-6, 1);
  within('lambda', resolved.lambda, 0, 1e12);
  within('alpha', resolved.alpha, 0, 1e12);
  within('minHessian', resolved.minHessian, 1e-6, 1e12);
  within('minGain', resolved.minGain ?? 0, 0, Number.MAX_VALUE);
  within('rowSample', resolved.rowSample, Number.MIN_VALUE, 1);
  within('columnSample', resolved.columnSample, Number.MIN_VALUE, 1);
  within('columnSampleByNode', resolved.columnSampleByNode, Number.MIN_VALUE, 1);
  within('quantile', resolved.quantile, 1e-6, 1 - 1e-6);
}

/** Options that mean nothing to an objective are mistakes, not to be passed over. */
function checkCombinations(options: TreesOptions): void {
  const { objective = 'binary', monotone } = options;
  const only = (name: 'quantile' | 'groups' | 'truncation' | 'classWeights', fits: boolean): void => {
    if (options[name] !== undefined && !fits) throw new RangeError(`${name} is not for ${objective}`);
  };
  only('quantile', objective === 'quantile');
  only('groups', objective === 'lambdaRank');
  only('truncation', objective === 'lambdaRank');
  only('classWeights', objective === 'binary' || objective === 'multiclass');
  const directed = monotone?.some((direction) => direction !== 0) === true;
  // The margins of classes rise and fall together to no effect; the values of quantiles are found after splits.
  if (directed && (objective === 'multiclass' || objective === 'quantile')) {
    throw new RangeError(`monotone is not for ${objective}`);
  }
}

function checkColumns(resolved: ResolvedTreesOptions, columns: number): void {
  const { categorical, monotone } = resolved;
  categorical.forEach((column, index) => {
    whole('A categorical column', column, 0, columns - 1);
    if (column === categorical[index - 1]) throw new RangeError(`Column ${column} is categorical twice`);
    if ((monotone?.[column] ?? 0) !== 0) {
      throw new RangeError(`Column ${column} is categorical: its categories have no order to be monotone in`);
    }
  });
  if (monotone === undefined) return;
  if (monotone.length !== columns) {
    throw new RangeError(`There are ${columns} columns but ${monotone.length} entries of monotone`);
  }
  monotone.forEach((direction, column) => {
    if (direction !== -1 && direction !== 0 && direction !== 1) {
      throw new RangeError(`monotone of column ${column} must be -1, 0 or 1, not ${direction}`);
    }
  });
}

function oneOf(name: string, value: string, allowed: readonly string[]): void {
  if (!allowed.includes(value)) {
    const known = allowed.map((item) => `'${item}'`).join(' or ');
    throw new RangeError(`${name} must be ${known}, not ${String(value)}`);
  }
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
