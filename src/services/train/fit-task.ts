// Not the whole contract: a thread would load all its schemas.
import { PlatformError } from '../../contract/errors.ts';
import type { GbdtTrainer, InnerTrainer } from '../../define/index.ts';
import { encodeLogistic, encodeTrees, fitLogistic, fitTrees, matrix, type Matrix } from '../../ml/index.ts';
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
 * Fits a model and writes it as ONNX. It depends on the input alone: same part, trainer and seed, same bytes.
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
        return encodeLogistic(fitLogistic(features, part.labels, { C: trainer.c }), part.names);
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

function fitBoosted(
  features: Matrix,
  part: Part,
  {
    trainer,
    seed,
    context,
  }: { readonly trainer: GbdtTrainer; readonly seed: number; readonly context: TaskContext },
): Uint8Array {
  const ensemble = fitTrees(features, part.labels, {
    rounds: trainer.rounds,
    learningRate: trainer.learningRate,
    growth: 'depth',
    maxDepth: trainer.depthMax,
    lambda: trainer.lambda,
    minHessian: Math.max(trainer.hessianMin, HESSIAN_MIN),
    rowSample: trainer.rowFraction,
    columnSample: trainer.columnFraction,
    seed,
    onRound: ({ round, rounds, trainingLoss }) => {
      context.progress(
        round,
        rounds,
        `round ${round} of ${rounds}, training log loss ${trainingLoss.toFixed(5)}`,
      );
    },
  });
  return encodeTrees(ensemble, part.names);
}
