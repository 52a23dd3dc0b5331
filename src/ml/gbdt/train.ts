import type { Matrix } from '../matrix.ts';
import { checkMatrix } from '../matrix.ts';
import { SeededRandom } from '../random.ts';
import { readWeights } from '../training-input.ts';
import type { BinnedMatrix } from './bins.ts';
import { binBytes, binMatrix } from './bins.ts';
import type { CategoryCoding } from './categories.ts';
import { codeCategories, rankCategories } from './categories.ts';
import type { TreeEnsemble } from './ensemble.ts';
import { EnsembleBuilder } from './ensemble.ts';
import { TreeGrower, growBytes, shareOf } from './grow.ts';
import type { Crew } from './crew/crew.ts';
import { crewOfOne } from './crew/crew.ts';
import { CREW_BYTES, crewOfMany } from './crew/crew-of-many.ts';
import type { Helpers } from './crew/helpers.ts';
import { plainKernel } from './kernel.ts';
import { arrayBytes, makeKernel } from './kernel-wasm.ts';
import { makeTarget } from './objectives/make-target.ts';
import type { Target } from './objectives/target.ts';
import type { ResolvedTreesOptions, TreesOptions, ValidationSet } from './options.ts';
import { GAIN_MIN_DEFAULT, TrainingStopped, resolveTreesOptions } from './options.ts';

interface Training {
  readonly target: Target;
  readonly kernel: Crew;
  readonly binned: BinnedMatrix;
  readonly options: ResolvedTreesOptions;
  readonly builder: EnsembleBuilder;
  readonly grower: TreeGrower;
  readonly random: SeededRandom;
  /** Output after output; in the kernel's memory, as are the derivatives of one output. */
  readonly margins: Float64Array;
  readonly derivatives: Float64Array;
  /** The rows with weight, ascending. */
  readonly learning: Int32Array;
}

/** The validation set and the prediction so far. */
interface Judging {
  readonly features: Matrix;
  readonly target: Target;
  readonly margins: Float64Array;
}

/**
 * Fits gradient boosted trees on histograms: values become at most 255 bins, and each node sums first and
 * second derivatives of the objective's loss by bin. Missing values get a side of their own at every split,
 * learnt where the data has some. Rows of weight 0 change nothing. The result depends only on data, options
 * and seed.
 *
 * @param features one row for each case; NaN is missing.
 * @param labels one for each row; what they may be is said at {@link TreesOptions.objective}.
 * @example `fitTrees(features, labels, { objective: 'squaredError', growth: 'leaf' })`
 * @throws RangeError on unsound input or options, naming the first row at fault, or when a class is missing.
 * @throws TrainingStopped when `shouldStop` said so.
 */
export function fitTrees(
  features: Matrix,
  labels: ArrayLike<number>,
  options: TreesOptions = {},
): TreeEnsemble {
  checkMatrix(features, 'training matrix');
  const resolved = resolveTreesOptions(options, features.columns);
  const { rows } = features;
  const target = makeTarget(
    { rows, labels, weights: readWeights(options.weights, rows), groups: options.groups, what: 'training' },
    resolved,
  );
  // Float32s, as the model file stores them.
  const baseScores = target.baseScores().map(Math.fround);
  const learning = rowsWithWeight(target.weights);
  const { codings, levelColumns, ranked } = codeCategories(features, resolved.categorical, {
    labels: target.labels,
    weights: target.weights,
    classes: target.outputs,
    rows: learning,
    oneHotMax: Math.min(resolved.oneHotMax, resolved.binsMax),
    seed: resolved.seed,
  });
  const validation =
    options.validation === undefined
      ? undefined
      : readValidation(options.validation, { features, target, codings, baseScores }, resolved);
  if (options.shouldStop?.() === true) throw new TrainingStopped(0);
  const kernel = makeCrew(
    resolved.kernel,
    trainingBytes(features, target.outputs, resolved),
    options.helpers,
  );
  try {
    const { binsMax } = resolved;
    const binned = binMatrix(ranked, { binsMax, rows: learning, levelColumns, kernel });
    const training = prepare({ target, kernel, binned, options: resolved, learning, baseScores });
    const trees = boost(training, options, validation);
    const { outputs, link } = target;
    return training.builder.build(
      { outputs, link, baseScores, featureCount: features.columns, categories: codings },
      trees,
    );
  } finally {
    kernel.dismiss();
  }
}

/** Helpers are left alone where the loops do not run in a memory that they can share. */
function makeCrew(kind: 'plain' | 'webassembly', bytes: number, helpers: Helpers | undefined): Crew {
  const kernel = kind === 'plain' ? plainKernel() : makeKernel(bytes + CREW_BYTES, helpers !== undefined);
  const { memory } = kernel;
  return helpers === undefined || memory === undefined
    ? crewOfOne(kernel)
    : crewOfMany(kernel, memory, helpers);
}

function prepare(
  given: Pick<Training, 'target' | 'kernel' | 'binned' | 'options' | 'learning'> & {
    readonly baseScores: Float64Array;
  },
): Training {
  const { target, kernel, binned, options, baseScores } = given;
  const { rows } = binned;
  const derivatives = kernel.doubles(rows * 2);
  const margins = kernel.doubles(rows * target.outputs);
  baseScores.forEach((score, output) => margins.fill(score, output * rows, (output + 1) * rows));
  const random = new SeededRandom(options.seed);
  const { weights, renewLeaf } = target;
  const minGain = options.minGain ?? GAIN_MIN_DEFAULT * (target.gainUnit?.() ?? 1);
  const grower = new TreeGrower(
    binned,
    { ...options, minGain },
    { kernel, random, derivatives, weights, renewLeaf },
  );
  return { ...given, builder: new EnsembleBuilder(), grower, random, margins, derivatives };
}

/** Bytes of a kernel's memory that training takes at most. */
function trainingBytes(features: Matrix, outputs: number, options: ResolvedTreesOptions): number {
  const { rows, columns } = features;
  // Margins, derivatives, labels and weights, order of the rows.
  const ofRows = arrayBytes(rows * outputs, 8) + 4 * arrayBytes(rows, 8) + arrayBytes(rows, 4);
  return binBytes(rows, columns) + growBytes(options, rows, columns) + ofRows;
}

/** Grows the trees and returns how many of them to keep. */
function boost(training: Training, options: TreesOptions, validation: Judging | undefined): number {
  const { target, margins, derivatives, kernel } = training;
  const { rounds, patience } = training.options;
  const { outputs, metric } = target;
  const { rows } = training.binned;
  const order = kernel.integers(training.learning.length);
  let bestLoss = Number.POSITIVE_INFINITY;
  let bestRound = 0;
  for (let round = 1; round <= rounds; round += 1) {
    if (round > 1 && options.shouldStop?.() === true) throw new TrainingStopped(round - 1);
    target.beginRound?.(margins);
    for (let output = 0; output < outputs; output += 1) {
      const own = margins.subarray(output * rows, (output + 1) * rows);
      target.differentiate({ output, margins: own, derivatives, kernel });
      growOne(training, own, order);
    }
    const validationLoss =
      validation === undefined ? undefined : advance(validation, training.builder, round);
    if (options.onRound !== undefined) {
      options.onRound({ round, rounds, metric, trainingLoss: target.loss(margins), validationLoss });
    }
    if (validationLoss === undefined) continue;
    if (validationLoss < bestLoss) {
      bestLoss = validationLoss;
      bestRound = round;
    } else if (round - bestRound >= patience) {
      break;
    }
  }
  // A loss that is never a number, as of margins that have run away, leaves the first round at least.
  return (validation === undefined ? rounds : Math.max(1, bestRound)) * outputs;
}

/** Grows one tree, on a sample if so asked, and brings the predictions of all learning rows up to date. */
function growOne(training: Training, margins: Float64Array, order: Int32Array): void {
  const { binned, options, builder, grower, random, learning, target } = training;
  const width = binned.features.length;
  const sample =
    options.columnSample < 1 && width > 0
      ? random.sample(width, shareOf(options.columnSample, width))
      : undefined;
  if (options.rowSample === 1) {
    order.set(learning);
    grower.grow({ builder, rows: order, margins, sample });
    return;
  }
  const drawn = random.sample(learning.length, shareOf(options.rowSample, learning.length));
  const inSample = new Uint8Array(learning.length);
  const rows = order.subarray(0, drawn.length);
  drawn.forEach((place, index) => {
    inSample[place] = 1;
    rows[index] = learning[place] as number;
  });
  grower.grow({ builder, rows, margins, sample });
  learning.forEach((row, place) => {
    if (inSample[place] === 1) return;
    const leaf = builder.newestLeafOfBins(binned.byRow, row * width);
    margins[row] = (margins[row] as number) + builder.leafValue(leaf);
    builder.addCover(leaf, target.weights[row] as number);
  });
}

function rowsWithWeight(weights: Float64Array): Int32Array {
  const rows = new Int32Array(weights.length);
  let count = 0;
  weights.forEach((weight, row) => {
    rows[count] = row;
    if (weight > 0) count += 1;
  });
  return rows.slice(0, count);
}

function readValidation(
  validation: ValidationSet,
  training: {
    readonly features: Matrix;
    readonly target: Target;
    readonly codings: readonly CategoryCoding[];
    readonly baseScores: Float64Array;
  },
  options: ResolvedTreesOptions,
): Judging {
  const { features, labels, groups } = validation;
  const { baseScores } = training;
  checkMatrix(features, 'validation matrix');
  if (features.columns !== training.features.columns) {
    throw new RangeError(
      `The validation matrix has ${features.columns} columns, the training one ${training.features.columns}`,
    );
  }
  const { rows } = features;
  const weights = readWeights(validation.weights, rows);
  if (!weights.some((weight) => weight > 0))
    throw new RangeError('The validation set has no rows with weight');
  const target = makeTarget({ rows, labels, weights, groups, what: 'validation' }, options, training.target);
  const margins = new Float64Array(rows * baseScores.length);
  baseScores.forEach((score, output) => margins.fill(score, output * rows, (output + 1) * rows));
  return { features: rankCategories(training.codings, features), target, margins };
}

/** Adds the trees of a round to the predictions of the validation set and returns its loss. */
function advance(validation: Judging, builder: EnsembleBuilder, round: number): number {
  const { features, margins, target } = validation;
  const { rows, columns, values } = features;
  for (let output = 0; output < target.outputs; output += 1) {
    const tree = (round - 1) * target.outputs + output;
    const from = output * rows;
    for (let row = 0; row < rows; row += 1) {
      const leaf = builder.leafOf(tree, values, row * columns);
      margins[from + row] = (margins[from + row] as number) + builder.leafValue(leaf);
    }
  }
  return target.loss(margins);
}
