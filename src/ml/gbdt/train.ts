import type { Matrix } from '../matrix.ts';
import { SeededRandom } from '../random.ts';
import { positiveShare, readLabels, readWeights } from '../training-input.ts';
import type { BinnedMatrix } from './bins.ts';
import { binMatrix } from './bins.ts';
import type { TreeEnsemble } from './ensemble.ts';
import { EnsembleBuilder } from './ensemble.ts';
import { TreeGrower } from './grow.ts';
import { MISSING_BIN } from './kernel.ts';
import type { ResolvedTreesOptions, TreesOptions, ValidationSet } from './options.ts';
import { TrainingStopped, resolveTreesOptions } from './options.ts';

/** Rows with labels and the prediction so far. */
interface Scored {
  readonly labels: Uint8Array;
  readonly weights: Float64Array;
  readonly margins: Float64Array;
}

interface Training extends Scored {
  readonly binned: BinnedMatrix;
  readonly options: ResolvedTreesOptions;
  readonly builder: EnsembleBuilder;
  readonly random: SeededRandom;
  readonly everyRow: Int32Array;
}

/**
 * Fits gradient boosted trees for the log loss of a binary label on histograms: values become at most 255
 * bins, and each node sums first and second derivatives by bin. Missing values get a side of their own at
 * every split, learnt where the data has some. The result depends only on data, options and seed.
 *
 * @param features one row for each case; NaN is missing.
 * @param labels 0 or 1 for each row.
 * @throws RangeError on unsound input or options, or when a class is missing.
 * @throws TrainingStopped when `shouldStop` said so.
 */
export function fitTrees(
  features: Matrix,
  labels: ArrayLike<number>,
  options: TreesOptions = {},
): TreeEnsemble {
  const resolved = resolveTreesOptions(options);
  const read = readLabels(features, labels, 'training');
  const weights = readWeights(options.weights, features.rows);
  const share = positiveShare(read, weights);
  const baseScore = Math.fround(Math.log(share / (1 - share)));
  const validation =
    options.validation === undefined ? undefined : readValidation(options.validation, features, baseScore);
  if (options.shouldStop?.() === true) throw new TrainingStopped(0);
  const training: Training = {
    labels: read,
    weights,
    margins: new Float64Array(features.rows).fill(baseScore),
    binned: binMatrix(features),
    options: resolved,
    builder: new EnsembleBuilder(),
    random: new SeededRandom(resolved.seed),
    everyRow: Int32Array.from({ length: features.rows }, (_, row) => row),
  };
  const trees = boost(training, options, validation);
  return training.builder.build({ baseScore, featureCount: features.columns, trees });
}

/** Grows the trees and returns how many of them to keep. */
function boost(training: Training, options: TreesOptions, validation: ScoredRows | undefined): number {
  const { rounds, patience } = training.options;
  const derivatives = new Float64Array(training.labels.length * 2);
  const grower = new TreeGrower(training.binned, training.options, {
    derivatives,
    margins: training.margins,
  });
  const order = new Int32Array(training.everyRow.length);
  let bestLoss = Number.POSITIVE_INFINITY;
  let bestRound = 0;
  for (let round = 1; round <= rounds; round += 1) {
    if (round > 1 && options.shouldStop?.() === true) throw new TrainingStopped(round - 1);
    differentiate(training, derivatives);
    growOne(training, grower, order);
    const validationLoss = validation === undefined ? undefined : advance(validation, training.builder);
    if (options.onRound !== undefined) {
      options.onRound({ round, rounds, trainingLoss: lossOf(training), validationLoss });
    }
    if (validationLoss === undefined) continue;
    if (validationLoss < bestLoss) {
      bestLoss = validationLoss;
      bestRound = round;
    } else if (round - bestRound >= patience) {
      break;
    }
  }
  return validation === undefined ? rounds : bestRound;
}

/** Grows one tree, on a sample if so asked, and brings the predictions of all training rows up to date. */
function growOne(training: Training, grower: TreeGrower, order: Int32Array): void {
  const { binned, options, builder, random, everyRow, margins } = training;
  const width = binned.features.length;
  const columns =
    options.columnSample < 1 && width > 0
      ? random.sample(width, Math.max(1, Math.round(options.columnSample * width)))
      : undefined;
  if (options.rowSample === 1) {
    order.set(everyRow);
    grower.grow(builder, order, columns);
    return;
  }
  const sample = random.sample(binned.rows, Math.max(1, Math.round(options.rowSample * binned.rows)));
  const inSample = new Uint8Array(binned.rows);
  for (const row of sample) inSample[row] = 1;
  grower.grow(builder, sample, columns);
  for (let row = 0; row < binned.rows; row += 1) {
    if (inSample[row] === 1) continue;
    margins[row] =
      (margins[row] as number) + builder.newestLeafOfBins(binned.byRow, row * width, MISSING_BIN);
  }
}

/** First derivative p - y and second derivative p(1 - p) of the log loss by the margin, times the weight. */
function differentiate(rows: Scored, derivatives: Float64Array): void {
  const { labels, weights, margins } = rows;
  for (let row = 0; row < labels.length; row += 1) {
    const probability = 1 / (1 + Math.exp(-(margins[row] as number)));
    const weight = weights[row] as number;
    derivatives[row * 2] = weight * (probability - (labels[row] as number));
    derivatives[row * 2 + 1] = weight * probability * (1 - probability);
  }
}

interface ScoredRows extends Scored {
  readonly features: Matrix;
}

function readValidation(validation: ValidationSet, training: Matrix, baseScore: number): ScoredRows {
  const { features } = validation;
  const labels = readLabels(features, validation.labels, 'validation');
  if (features.columns !== training.columns) {
    throw new RangeError(
      `The validation matrix has ${features.columns} columns, the training one ${training.columns}`,
    );
  }
  const weights = readWeights(validation.weights, features.rows);
  if (!weights.some((weight) => weight > 0))
    throw new RangeError('The validation set has no rows with weight');
  return { features, labels, weights, margins: new Float64Array(features.rows).fill(baseScore) };
}

/** Adds the newest tree to the predictions of the validation set and returns its loss. */
function advance(validation: ScoredRows, builder: EnsembleBuilder): number {
  const { features, margins } = validation;
  for (let row = 0; row < features.rows; row += 1) {
    margins[row] = (margins[row] as number) + builder.newestLeafOf(features.values, row * features.columns);
  }
  return lossOf(validation);
}

function lossOf(rows: Scored): number {
  const { labels, weights, margins } = rows;
  let loss = 0;
  let total = 0;
  for (let row = 0; row < labels.length; row += 1) {
    const margin = margins[row] as number;
    const signed = labels[row] === 1 ? margin : -margin;
    const weight = weights[row] as number;
    // log(1 + exp(-s)) without overflow.
    loss += weight * (Math.log1p(Math.exp(-Math.abs(signed))) + Math.max(0, -signed));
    total += weight;
  }
  return loss / total;
}
