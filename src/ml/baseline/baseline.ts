import { classWeights, readClasses, readTargets, totalWeight } from '../linear/targets.ts';
import type { Predictor } from '../linear/predictor.ts';
import { checkPrediction } from '../linear/predictor.ts';
import type { Matrix } from '../matrix.ts';
import { readWeights } from '../training-input.ts';

/** A model that looks at nothing and always gives the same answer. */
export interface ConstantModel {
  readonly kind: 'constant';
  readonly rule: 'class-prior' | 'majority-class' | 'mean';
  /** Values in an input row, none of which is read. */
  readonly inputCount: number;
  /** The answer: one probability (of class 1) or estimate, or one probability for each of 3 or more classes. */
  readonly answer: Float64Array;
}

/** A model that answers with one value of its input. */
export interface LastValueModel {
  readonly kind: 'last-value';
  readonly inputCount: number;
  /** Index of the column that is the answer. */
  readonly column: number;
  /** The answer where the value is missing or infinite: the mean of the targets. */
  readonly fallback: number;
}

/** What a candidate must beat to be worth anything. */
export type BaselineModel = ConstantModel | LastValueModel;

export interface BaselineOptions {
  /** One weight of at least 0 for each row. A row of weight 2 counts as that row twice. Default all 1. */
  readonly weights?: ArrayLike<number>;
}

export interface ClassBaselineOptions extends BaselineOptions {
  /** Number of classes. Default one more than the largest label, at least 2. */
  readonly classCount?: number;
}

export interface LastValueOptions extends BaselineOptions {
  /** Index of the column whose value is the answer: what was last known of the target. */
  readonly column: number;
}

/**
 * The share of each class, whatever the input. Of all constant answers it has the least log loss and Brier
 * score.
 *
 * @param labels the class of each row, 0 .. classCount - 1; a class without rows has the share 0.
 * @throws RangeError on unsound input.
 */
export function fitClassPrior(
  features: Matrix,
  labels: ArrayLike<number>,
  options: ClassBaselineOptions = {},
): ConstantModel {
  const sums = classSums(features, labels, options);
  const total = sums.reduce((sum, weight) => sum + weight, 0);
  return classModel(
    features,
    'class-prior',
    sums.map((sum) => sum / total),
  );
}

/**
 * The most frequent class with probability 1, whatever the input; of equally frequent ones the first. Of all
 * constant answers it has the most right.
 *
 * @param labels the class of each row, 0 .. classCount - 1.
 * @throws RangeError on unsound input.
 */
export function fitMajorityClass(
  features: Matrix,
  labels: ArrayLike<number>,
  options: ClassBaselineOptions = {},
): ConstantModel {
  const sums = classSums(features, labels, options);
  const winner = sums.indexOf(Math.max(...sums));
  return classModel(
    features,
    'majority-class',
    sums.map((_, label) => (label === winner ? 1 : 0)),
  );
}

/**
 * The mean of the targets, whatever the input. Of all constant answers it has the least squared error.
 *
 * @throws RangeError on unsound input.
 */
export function fitMean(
  features: Matrix,
  targets: ArrayLike<number>,
  options: BaselineOptions = {},
): ConstantModel {
  const answer = Float64Array.of(meanOf(features, targets, options));
  return { kind: 'constant', rule: 'mean', inputCount: features.columns, answer };
}

/**
 * The value of one column of the row, such as yesterday's measurement for today's: what a forecast must beat.
 * As a probability it needs a column of values in [0, 1], such as the label before.
 *
 * @param targets their mean stands in where the value is missing.
 * @throws RangeError on unsound input, or when there is no such column.
 */
export function fitLastValue(
  features: Matrix,
  targets: ArrayLike<number>,
  options: LastValueOptions,
): LastValueModel {
  const { column } = options;
  const fallback = meanOf(features, targets, options);
  if (!Number.isSafeInteger(column) || column < 0 || column >= features.columns) {
    throw new RangeError(
      `The column must be a whole number from 0 to ${features.columns - 1}, not ${column}`,
    );
  }
  return { kind: 'last-value', inputCount: features.columns, column, fallback };
}

/** Makes the predictor of a baseline, to be measured beside the candidate's. */
export function baselinePredictor(model: BaselineModel): Predictor {
  const { inputCount } = model;
  const outputCount = model.kind === 'constant' ? model.answer.length : 1;
  return {
    inputCount,
    outputCount,
    predict(input, rows, output) {
      checkPrediction({ inputCount, outputCount }, rows, { input, output });
      for (let row = 0; row < rows; row += 1) {
        if (model.kind === 'constant') {
          output.set(model.answer, row * outputCount);
        } else {
          const value = input[row * inputCount + model.column] as number;
          output[row] = Number.isFinite(value) ? value : model.fallback;
        }
      }
    },
  };
}

function classSums(features: Matrix, labels: ArrayLike<number>, options: ClassBaselineOptions): Float64Array {
  const read = readClasses(features, labels, options.classCount);
  return classWeights(read, readWeights(options.weights, features.rows));
}

/** Two classes have one answer, the probability of class 1, as the binary models have. */
function classModel(
  features: Matrix,
  rule: 'class-prior' | 'majority-class',
  shares: Float64Array,
): ConstantModel {
  const answer = shares.length === 2 ? shares.slice(1) : shares;
  return { kind: 'constant', rule, inputCount: features.columns, answer };
}

function meanOf(features: Matrix, targets: ArrayLike<number>, options: BaselineOptions): number {
  const read = readTargets(features, targets);
  const weights = readWeights(options.weights, features.rows);
  const total = totalWeight(weights);
  return read.reduce((sum, target, row) => sum + ((weights[row] as number) / total) * target, 0);
}
