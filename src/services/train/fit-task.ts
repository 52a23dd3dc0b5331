// Not the whole contract: a thread would load all its schemas.
import { PlatformError } from '../../contract/errors.ts';
import type { GbdtTrainer, InnerTrainer, LogisticTrainer } from '../../define/index.ts';
import {
  encodeLogistic,
  encodeTrees,
  fitLogistic,
  fitLogisticElasticNet,
  fitTrees,
  type LogisticModel,
  matrix,
  type Matrix,
  type ValidationSet,
} from '../../ml/index.ts';
import { type Part, readPart } from './part-file.ts';
import type { TaskContext } from './task-context.ts';

export interface FitInput {
  /** The part to learn from, as {@link readPart} takes it. */
  readonly part: Uint8Array;
  readonly trainer: InnerTrainer;
  readonly seed: number;
}

export interface FitOutput {
  readonly onnx: Uint8Array;
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
}

/** Smallest least hessian that the trees take; 0 in a definition means no bound. */
const HESSIAN_MIN = 1e-6;

/**
 * Fits a model and writes it as ONNX. It depends on the input alone: same part, trainer and seed, same bytes, with helpers or
 * without.
 *
 * Throws UNPROCESSABLE when nothing can be learnt from these rows with this trainer.
 */
export function run(input: FitInput, context: TaskContext): FitOutput {
  const cpuStart = context.cpuSeconds();
  const wallStart = context.wallSeconds();
  const part = readPart(input.part);
  const onnx = fitted(part, input, context);
  return {
    onnx,
    cpuSeconds: context.cpuSeconds() - cpuStart,
    wallSeconds: context.wallSeconds() - wallStart,
  };
}

function fitted(part: Part, { trainer, seed }: FitInput, context: TaskContext): Uint8Array {
  const features = matrix(part.rows, part.names.length, part.values);
  try {
    switch (trainer.kind) {
      case 'logistic':
        return encodeLogistic(fitLinear(features, part, trainer), part.names);
      case 'gbdt':
        return fitBoosted(features, part, { trainer, seed, context });
    }
  } catch (error) {
    // The trainers throw plain errors and RangeErrors that say what is wrong with the data or the options.
    if (!(error instanceof Error) || (error.name !== 'RangeError' && error.name !== 'Error')) throw error;
    throw new PlatformError(
      'UNPROCESSABLE',
      `The ${trainer.kind} trainer cannot learn from these rows: ${error.message}`,
      {
        cause: error,
      },
    );
  }
}

function fitLinear(features: Matrix, { labels, rows }: Part, { c, l1Ratio }: LogisticTrainer): LogisticModel {
  if (l1Ratio === undefined) return fitLogistic(features, labels, { C: c });
  // The elastic net's loss is a mean: its penalty is the same when it is divided by c and by the rows.
  return fitLogisticElasticNet(features, labels, { alpha: 1 / (c * rows), l1Ratio });
}

function fitBoosted(
  features: Matrix,
  part: Part,
  {
    trainer,
    seed,
    context,
  }: { readonly trainer: GbdtTrainer; readonly seed: number; readonly context: TaskContext },
): Uint8Array {
  const { monotone, earlyStopping } = trainer;
  const learnt = rowsToLearn(part.rows, earlyStopping);
  const ensemble = fitTrees(firstRows(features, learnt), part.labels.subarray(0, learnt), {
    rounds: trainer.rounds,
    learningRate: trainer.learningRate,
    growth: trainer.growth ?? 'depth',
    maxDepth: trainer.depthMax,
    lambda: trainer.lambda,
    minHessian: Math.max(trainer.hessianMin, HESSIAN_MIN),
    rowSample: trainer.rowFraction,
    columnSample: trainer.columnFraction,
    seed,
    ...(context.helpers === undefined ? {} : { helpers: context.helpers }),
    ...(trainer.leavesMax === undefined ? {} : { maxLeaves: trainer.leavesMax }),
    ...(trainer.alpha === undefined ? {} : { alpha: trainer.alpha }),
    ...(trainer.leafRowsMin === undefined ? {} : { minRows: trainer.leafRowsMin }),
    ...(trainer.classWeights === undefined ? {} : { classWeights: trainer.classWeights }),
    ...(monotone === undefined
      ? {}
      : {
          monotone: part.names.map((name) => ({ rising: 1, falling: -1, free: 0 })[monotone[name] ?? 'free']),
        }),
    ...(earlyStopping === undefined
      ? {}
      : { validation: rowsFrom(features, part, learnt), patience: earlyStopping.patience }),
    onRound: ({ round, rounds, trainingLoss, validationLoss }) => {
      const judged = validationLoss === undefined ? '' : `, validation log loss ${validationLoss.toFixed(5)}`;
      context.progress(
        round,
        rounds,
        `round ${round} of ${rounds}, training log loss ${trainingLoss.toFixed(5)}${judged}`,
      );
    },
  });
  return encodeTrees(ensemble, part.names);
}

/** Rows come in the order of their time: the newest are those that a model is judged by while it learns. */
function rowsToLearn(rows: number, earlyStopping: GbdtTrainer['earlyStopping']): number {
  return earlyStopping === undefined ? rows : rows - Math.ceil(rows * earlyStopping.fraction);
}

function firstRows({ columns, values }: Matrix, rows: number): Matrix {
  return matrix(rows, columns, values.subarray(0, rows * columns));
}

function rowsFrom({ rows, columns, values }: Matrix, part: Part, from: number): ValidationSet {
  const labels = part.labels.subarray(from);
  const positives = labels.reduce((sum, label) => sum + label, 0);
  // Their loss could be measured, and would be the smallest for a model that has given one class up.
  if (positives === 0 || positives === labels.length) {
    throw new RangeError(
      `the newest ${labels.length} rows, by which early stopping judges, need both classes; ${positives} are positive`,
    );
  }
  return { features: matrix(rows - from, columns, values.subarray(from * columns)), labels };
}
