import { CLASSES_MAX } from '../classes.ts';
import { clipProbability, meanOf } from './probability.ts';
import { weightsOf } from './scored.ts';

/**
 * How far the probabilities of a row may sum up beside 1: a softmax in Float32 is off by about 1e-7 a class.
 */
const PROBABILITY_SUM_TOLERANCE = 1e-3;

/** Rows of several classes and what was predicted for them; classes are numbered from 0. */
export interface ClassifiedRows {
  /** Class of each row. */
  readonly labels: ArrayLike<number>;
  /** Predicted class of each row. */
  readonly predicted: ArrayLike<number>;
  /** Number of classes, at most {@link CLASSES_MAX}. */
  readonly classes: number;
  /** One of at least 0 for each row, default all 1. */
  readonly weights?: ArrayLike<number>;
}

/** How often each class was predicted as each class. */
export interface ConfusionMatrix {
  readonly classes: number;
  /** Row-major: `counts[actual * classes + predicted]`, rows or sums of their weights. */
  readonly counts: Float64Array;
}

/** Quality of the prediction of one class against all others. */
export interface ClassMetrics {
  /** Share of the rows predicted as this class that are of it; 0 when it is never predicted. */
  readonly precision: number;
  /** Share of the rows of this class that are predicted as it; 0 when there are none. */
  readonly recall: number;
  /** 2 TP / (2 TP + FP + FN); 0 when the class neither occurs nor is predicted. */
  readonly f1: number;
  /** Rows of this class, or the sum of their weights. */
  readonly support: number;
}

/** Summary of a confusion matrix. */
export interface MulticlassMetrics {
  readonly accuracy: number;
  /** Mean F1 of the classes that occur or are predicted, all counting alike. */
  readonly macroF1: number;
  /** Mean F1 of the classes, each counting by its support. */
  readonly weightedF1: number;
  readonly byClass: readonly ClassMetrics[];
}

/** Class probabilities of rows. */
export interface MulticlassProbabilities {
  /** Class of each row, from 0. */
  readonly labels: ArrayLike<number>;
  /** Row-major: `probabilities[row * classes + class]`. */
  readonly probabilities: ArrayLike<number>;
  /** Number of classes, at most {@link CLASSES_MAX}. */
  readonly classes: number;
  /** One of at least 0 for each row, default all 1. */
  readonly weights?: ArrayLike<number>;
}

/**
 * Counts how often each class was predicted as each class.
 *
 * @throws RangeError on unsound input, or when all weights are 0.
 */
export function confusionMatrix(rows: ClassifiedRows): ConfusionMatrix {
  const { labels, predicted, classes } = rows;
  checkClasses(labels, classes, 'Label');
  if (labels.length !== predicted.length) {
    throw new RangeError(`There are ${labels.length} labels but ${predicted.length} predictions`);
  }
  checkClasses(predicted, classes, 'Prediction');
  const { weights } = weightsOf(rows.weights, labels.length);
  const counts = new Float64Array(classes * classes);
  for (let row = 0; row < labels.length; row += 1) {
    const cell = (labels[row] as number) * classes + (predicted[row] as number);
    counts[cell] = (counts[cell] as number) + (weights[row] as number);
  }
  return { classes, counts };
}

/**
 * Share of the rows whose class is predicted right.
 *
 * @param weights one of at least 0 for each row, default all 1
 * @throws RangeError when there are no rows, the lengths differ, a class is NaN, or all weights are 0.
 */
export function accuracy(
  labels: ArrayLike<number>,
  predicted: ArrayLike<number>,
  weights?: ArrayLike<number>,
): number {
  if (labels.length === 0) throw new RangeError('A metric needs at least one row');
  if (labels.length !== predicted.length) {
    throw new RangeError(`There are ${labels.length} labels but ${predicted.length} predictions`);
  }
  for (let row = 0; row < labels.length; row += 1) {
    if (Number.isNaN(labels[row])) throw new RangeError(`Label ${row} is NaN`);
    if (Number.isNaN(predicted[row])) throw new RangeError(`Prediction ${row} is NaN`);
  }
  return meanOf(labels.length, weights, (row) => (labels[row] === predicted[row] ? 1 : 0));
}

/**
 * Accuracy, and precision, recall and F1 of each class with their means. A share of nothing counts as 0, and
 * a class that neither occurs nor is predicted is left out of the macro mean: the definitions of
 * scikit-learn's defaults.
 *
 * @throws RangeError on unsound input, or when all weights are 0.
 */
export function multiclassMetrics(rows: ClassifiedRows): MulticlassMetrics {
  const { classes, counts } = confusionMatrix(rows);
  const byClass: ClassMetrics[] = [];
  let total = 0;
  let right = 0;
  let seen = 0;
  let macro = 0;
  let weighted = 0;
  for (let own = 0; own < classes; own += 1) {
    const hits = counts[own * classes + own] as number;
    let support = 0;
    let predicted = 0;
    for (let other = 0; other < classes; other += 1) {
      support += counts[own * classes + other] as number;
      predicted += counts[other * classes + own] as number;
    }
    const f1 = share(2 * hits, support + predicted);
    byClass.push({ precision: share(hits, predicted), recall: share(hits, support), f1, support });
    total += support;
    right += hits;
    seen += support + predicted > 0 ? 1 : 0;
    macro += f1;
    weighted += f1 * support;
  }
  return { accuracy: right / total, macroF1: macro / seen, weightedF1: weighted / total, byClass };
}

/**
 * Mean log loss of several classes, in nats: -log of the probability of the class that happened, clipped to
 * [1e-15, 1 - 1e-15].
 *
 * @throws RangeError on unsound input, when a probability is outside [0, 1] or a row does not sum up to 1
 *   within 0.001, or when all weights are 0.
 */
export function multiclassLogLoss(rows: MulticlassProbabilities): number {
  const { labels, probabilities, classes } = rows;
  checkClasses(labels, classes, 'Label');
  if (probabilities.length !== labels.length * classes) {
    throw new RangeError(
      `${labels.length} rows of ${classes} classes must have ${labels.length * classes} probabilities, not ` +
        `${probabilities.length}`,
    );
  }
  for (let row = 0; row < labels.length; row += 1) checkDistribution(probabilities, row, classes);
  return meanOf(
    labels.length,
    rows.weights,
    (row) => -Math.log(clipProbability(probabilities[row * classes + (labels[row] as number)] as number)),
  );
}

function share(part: number, whole: number): number {
  return whole > 0 ? part / whole : 0;
}

function checkClasses(values: ArrayLike<number>, classes: number, what: string): void {
  if (!Number.isSafeInteger(classes) || classes < 2 || classes > CLASSES_MAX) {
    throw new RangeError(
      `The number of classes must be a whole number from 2 to ${CLASSES_MAX}, not ${classes}`,
    );
  }
  if (values.length === 0) throw new RangeError('A metric needs at least one row');
  for (let row = 0; row < values.length; row += 1) {
    const value = values[row] as number;
    if (!Number.isSafeInteger(value) || value < 0 || value >= classes) {
      throw new RangeError(`${what} ${row} must be a class from 0 to ${classes - 1}, not ${value}`);
    }
  }
}

function checkDistribution(probabilities: ArrayLike<number>, row: number, classes: number): void {
  let sum = 0;
  for (let column = 0; column < classes; column += 1) {
    const probability = probabilities[row * classes + column] as number;
    if (!(probability >= 0 && probability <= 1)) {
      throw new RangeError(
        `The probability of class ${column} in row ${row} is ${probability}, not in [0, 1]`,
      );
    }
    sum += probability;
  }
  if (Math.abs(sum - 1) > PROBABILITY_SUM_TOLERANCE) {
    throw new RangeError(`The probabilities of row ${row} must sum up to 1, not ${sum}`);
  }
}
