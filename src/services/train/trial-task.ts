// Not the whole contract: a thread would load all its schemas.
import { PlatformError } from '../../contract/errors.ts';
import { type InnerTrainer, isRankingMetric, type SearchMetric } from '../../define/index.ts';
import { loadModel } from '../../ml/index.ts';
import type { CalibrationDeal } from './calibrated.ts';
import { dealFolds } from './deal-folds.ts';
import { type FitInput, run as fit } from './fit-task.ts';
import { rankingMetricsOf } from './measure-ranking.ts';
import { metricsOf } from './measure-report.ts';
import { type Part, readPart } from './part-file.ts';
import { partRows } from './part-rows.ts';
import type { TaskContext } from './task-context.ts';

/** One side to learn from, one to be judged by, as {@link readPart} takes them. */
export interface TrialFold {
  readonly train: Uint8Array;
  readonly test: Uint8Array;
}

export interface TrialTaskInput {
  /** Folds, or a part that is dealt into so many. */
  readonly data:
    | { readonly kind: 'parts'; readonly parts: readonly TrialFold[] }
    | { readonly kind: 'stratified'; readonly part: Uint8Array; readonly folds: number };
  readonly trainer: InnerTrainer;
  readonly metric: SearchMetric;
  readonly seed: number;
  /** As {@link FitInput} has it. */
  readonly deal?: CalibrationDeal;
}

export interface TrialTaskOutput {
  /** Mean of the folds. */
  readonly score: number;
  readonly folds: readonly number[];
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
}

/** What one model learns from, and the rows that it is judged by. */
interface Task {
  readonly learnt: Pick<FitInput, 'part' | 'without'>;
  readonly judged: Part;
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
  for (const task of tasksOf(input)) {
    const done = folds.length;
    folds.push(
      scoreOf(task, input, {
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

function* tasksOf({ data, seed }: TrialTaskInput): Generator<Task> {
  if (data.kind === 'parts') {
    for (const { train, test } of data.parts) yield { learnt: { part: train }, judged: readPart(test) };
    return;
  }
  const { part, folds } = data;
  const all = readPart(part);
  for (const [fold, { test }] of dealFolds(all, { folds, seed }).entries()) {
    yield { learnt: { part, without: { fold, folds } }, judged: partRows(all, test) };
  }
}

function scoreOf(
  { learnt, judged }: Task,
  { trainer, metric, seed, deal }: TrialTaskInput,
  context: TaskContext,
): number {
  const { onnx } = fit({ ...learnt, trainer, seed, ...(deal === undefined ? {} : { deal }) }, context);
  const scores = new Float64Array(judged.rows);
  loadModel(onnx).predict(judged.values, judged.rows, scores);
  const metrics: Readonly<Record<string, number>> = isRankingMetric(metric)
    ? rankingMetricsOf(judged, scores, seed)
    : metricsOf(judged, scores);
  const score = metrics[metric] ?? Number.NaN;
  if (Number.isFinite(score)) return score;
  throw new PlatformError('UNPROCESSABLE', `${metric} cannot be measured on a fold of ${judged.rows} rows`);
}
