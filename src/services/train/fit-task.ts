// Not the whole contract: a thread would load all its schemas.
import { PlatformError } from '../../contract/errors.ts';
import type { GbdtTrainer, InnerTrainer, LogisticTrainer } from '../../define/index.ts';
import {
  encodePipeline,
  fitLogistic,
  fitLogisticElasticNet,
  fitTrees,
  type LogisticModel,
  matrix,
  type Matrix,
  type Pipeline,
  type TreeEnsemble,
  type ValidationSet,
} from '../../ml/index.ts';
import { calibrated, type CalibrationDeal } from './calibrated.ts';
import { categoricalColumns } from './categories.ts';
import { dealFolds } from './deal-folds.ts';
import { linearInputs } from './linear-inputs.ts';
import { type Part, readPart } from './part-file.ts';
import { partRows } from './part-rows.ts';
import { groupSizes, rowsBeforeNewestGroups } from './rank-groups.ts';
import type { TaskContext } from './task-context.ts';

export interface FitInput {
  /** The part to learn from, as {@link readPart} takes it. */
  readonly part: Uint8Array;
  readonly trainer: InnerTrainer;
  readonly seed: number;
  /** How the rows are dealt to calibrate. Default `blocks`. */
  readonly deal?: CalibrationDeal;
  /** The fold whose rows are left out, of so many. Default: none is. */
  readonly without?: { readonly fold: number; readonly folds: number };
}

export interface FitOutput {
  readonly onnx: Uint8Array;
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
}

/** Smallest least hessian that the trees take; 0 in a definition means no bound. */
const HESSIAN_MIN = 1e-6;

/**
 * Fits a model and writes it as ONNX. It depends on the input alone: same part, trainer and seed, same bytes.
 *
 * Throws UNPROCESSABLE when nothing can be learnt from these rows with this trainer.
 */
export function run(input: FitInput, context: TaskContext): FitOutput {
  const cpuStart = context.cpuSeconds();
  const wallStart = context.wallSeconds();
  const onnx = encodePipeline(fitted(learntPart(input), input, context));
  return {
    onnx,
    cpuSeconds: context.cpuSeconds() - cpuStart,
    wallSeconds: context.wallSeconds() - wallStart,
  };
}

function learntPart({ part, without, seed }: FitInput): Part {
  const all = readPart(part);
  if (without === undefined) return all;
  const split = dealFolds(all, { folds: without.folds, seed })[without.fold];
  if (split === undefined) throw new PlatformError('INTERNAL', `There is no fold ${without.fold}`);
  return partRows(all, split.train);
}

function fitted(part: Part, { trainer, seed, deal = 'blocks' }: FitInput, context: TaskContext): Pipeline {
  const learn = (rows: Part, stage: TaskContext): Pipeline => learnt(rows, { trainer, seed, context: stage });
  const { calibrate: kind } = trainer;
  try {
    return kind === undefined
      ? learn(part, context)
      : calibrated(part, { kind, deal, seed }, { learn, context });
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

interface Learning<TTrainer extends InnerTrainer> {
  readonly trainer: TTrainer;
  readonly seed: number;
  readonly context: TaskContext;
}

function learnt(part: Part, { trainer, seed, context }: Learning<InnerTrainer>): Pipeline {
  const inputNames = part.names;
  switch (trainer.kind) {
    case 'logistic': {
      const { features, preprocessor } = linearInputs(part);
      const model = fitLinear(features, part, trainer);
      return preprocessor === undefined ? { model, inputNames } : { model, preprocessor };
    }
    case 'gbdt': {
      const features = matrix(part.rows, part.names.length, part.values);
      const model = fitBoosted(features, part, { trainer, seed, context });
      return { model, inputNames, ...(trainer.objective === 'rank' ? { task: 'ranking' } : {}) };
    }
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
  { trainer, seed, context }: Learning<GbdtTrainer>,
): TreeEnsemble {
  const { monotone, earlyStopping } = trainer;
  const learnt = rowsToLearn(part, trainer);
  const isRanked = trainer.objective === 'rank';
  const loss = isRanked ? '1 - nDCG' : 'log loss';
  return fitTrees(firstRows(features, learnt), part.labels.subarray(0, learnt), {
    categorical: categoricalColumns(part),
    ...(isRanked ? { objective: 'lambdaRank', groups: groupSizes(part, { from: 0, to: learnt }) } : {}),
    rounds: trainer.rounds,
    learningRate: trainer.learningRate,
    growth: trainer.growth ?? 'depth',
    maxDepth: trainer.depthMax,
    lambda: trainer.lambda,
    minHessian: Math.max(trainer.hessianMin, HESSIAN_MIN),
    rowSample: trainer.rowFraction,
    columnSample: trainer.columnFraction,
    seed,
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
      : {
          validation: {
            ...rowsFrom(features, part, learnt),
            ...(isRanked ? { groups: groupSizes(part, { from: learnt, to: part.rows }) } : {}),
          },
          patience: earlyStopping.patience,
        }),
    onRound: ({ round, rounds, trainingLoss, validationLoss }) => {
      const judged = validationLoss === undefined ? '' : `, validation ${loss} ${validationLoss.toFixed(5)}`;
      context.progress(
        round,
        rounds,
        `round ${round} of ${rounds}, training ${loss} ${trainingLoss.toFixed(5)}${judged}`,
      );
    },
  });
}

/** Rows come in the order of their time: the newest are those that a model is judged by while it learns. */
function rowsToLearn(part: Part, { earlyStopping, objective }: GbdtTrainer): number {
  const { rows } = part;
  if (earlyStopping === undefined) return rows;
  if (objective === 'rank') return rowsBeforeNewestGroups(part, earlyStopping.fraction);
  return rows - Math.ceil(rows * earlyStopping.fraction);
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
