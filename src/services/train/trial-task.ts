// Not the whole contract: a thread would load all its schemas.
import { PlatformError } from '../../contract/errors.ts';
import type { InnerTrainer } from '../../define/index.ts';
import { loadModel, stratifiedFolds } from '../../ml/index.ts';
import { run as fit } from './fit-task.ts';
import { metricsOf } from './measure-report.ts';
import { readPart } from './part-file.ts';
import { partOfRows } from './part-rows.ts';
import type { TaskContext } from './task-context.ts';

/** One side to learn from, one to be judged by, as {@link readPart} takes them. */
export interface TrialFold {
  readonly train: Uint8Array;
  readonly test: Uint8Array;
}

export interface TrialTaskInput {
  /** Folds, or a part of which so many are drawn, so that each has equally many of both classes. */
  readonly data:
    | { readonly kind: 'parts'; readonly parts: readonly TrialFold[] }
    | {
        readonly kind: 'stratified';
        readonly part: Uint8Array;
        readonly folds: number;
        readonly seed: number;
      };
  readonly trainer: InnerTrainer;
  readonly metric: string;
  /** Of the trainer. */
  readonly seed: number;
}

export interface TrialTaskOutput {
  /** Mean of the folds. */
  readonly score: number;
  readonly folds: readonly number[];
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
}

/**
 * Fits and judges one trial of a search: the same fit, and the same metric of the same ONNX file, as those of a run. It depends on the
 * input alone.
 *
 * Throws UNPROCESSABLE when nothing can be learnt from a fold with this trainer, or the metric cannot be measured.
 */
export function run(input: TrialTaskInput, context: TaskContext): TrialTaskOutput {
  const [cpuStart, wallStart] = [context.cpuSeconds(), context.wallSeconds()];
  const { data } = input;
  const count = data.kind === 'parts' ? data.parts.length : data.folds;
  // Whoever waits for a thread learns that this has begun.
  context.progress(0, count);
  const folds: number[] = [];
  for (const fold of foldsOf(data)) {
    const done = folds.length;
    folds.push(
      judged(fold, input, {
        ...context,
        progress: (part, total) => context.progress(done + part / total, count),
      }),
    );
  }
  return {
    score: folds.reduce((sum, score) => sum + score, 0) / folds.length,
    folds,
    cpuSeconds: context.cpuSeconds() - cpuStart,
    wallSeconds: context.wallSeconds() - wallStart,
  };
}

function* foldsOf(data: TrialTaskInput['data']): Generator<TrialFold> {
  if (data.kind === 'parts') return yield* data.parts;
  const part = readPart(data.part);
  // One at a time: together they would be as many copies of the rows.
  for (const { train, test } of stratifiedFolds(part.labels, { folds: data.folds, seed: data.seed })) {
    yield { train: partOfRows(part, train), test: partOfRows(part, test) };
  }
}

function judged(
  { train, test }: TrialFold,
  { trainer, metric, seed }: TrialTaskInput,
  context: TaskContext,
): number {
  const { onnx } = fit({ part: train, trainer, seed }, context);
  const part = readPart(test);
  const scores = new Float64Array(part.rows);
  loadModel(onnx).predict(part.values, part.rows, scores);
  const score = metricsOf(part, scores)[metric] ?? Number.NaN;
  if (Number.isFinite(score)) return score;
  throw new PlatformError('UNPROCESSABLE', `${metric} cannot be measured on a fold of ${part.rows} rows`);
}
