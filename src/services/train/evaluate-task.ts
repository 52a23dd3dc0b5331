// Not the whole contract: a thread would load all its schemas.
import { PlatformError } from '../../contract/errors.ts';
import type { GateMeasure } from '../../define/index.ts';
import { type CompiledModel, loadModel } from '../../ml/index.ts';
import { dealFolds } from './deal-folds.ts';
import { foldsReportOf } from './measure-folds.ts';
import { measureGate, type Measurement } from './measure-gates.ts';
import { measureRankingGate, rankingReportOf } from './measure-ranking.ts';
import { reportOf, rowsOf } from './measure-report.ts';
import { thresholdsOf } from './measure-thresholds.ts';
import { type Part, readPart } from './part-file.ts';
import type { ModelReport } from './report.ts';
import { foldScorer, modelScorer, scoresOf } from './scorer.ts';
import type { TaskContext } from './task-context.ts';

export interface EvaluateInput {
  readonly onnx: Uint8Array;
  /** The part to be judged by, as {@link readPart} takes it. */
  readonly part: Uint8Array;
  /** The part that it was learnt from. */
  readonly train: Uint8Array;
  readonly seed: number;
  /** What gates ask for beyond the metrics of all rows. */
  readonly asked: readonly GateMeasure[];
  /** Of a cross-validation, whose parts are the same: the models by fold. */
  readonly folds?: { readonly models: readonly Uint8Array[]; readonly groupBy: string | null };
  /** Absent: a probability. */
  readonly task?: 'ranking';
}

export interface EvaluateOutput {
  readonly report: ModelReport;
  /** One for each measure that was asked for, in their order. */
  readonly measured: readonly Measurement[];
}

/** Scores the rows with the file that will serve, or out of fold, and measures. It depends on the input alone. */
export function run(input: EvaluateInput, context: TaskContext): EvaluateOutput {
  const { seed, asked, folds } = input;
  const test = readPart(input.part);
  const train = readPart(input.train);
  const model = modelFor(input.onnx, test);
  const progress = (done: number, total: number): void => context.progress(done, total);
  if (input.task === 'ranking') {
    const scorer = modelScorer(model);
    const ranked = { train, test, scorer, seed, scores: scoresOf(scorer, test, progress) };
    return {
      report: rankingReportOf(ranked),
      measured: asked.map((measure) => measureRankingGate(measure, ranked)),
    };
  }
  const crossed = folds && {
    splits: dealFolds(test, { folds: folds.models.length, seed }),
    models: folds.models.map((onnx) => modelFor(onnx, test)),
    groupBy: folds.groupBy,
  };
  const scorer = crossed === undefined ? modelScorer(model) : foldScorer(crossed, test.rows);
  const scores = scoresOf(scorer, test, progress);
  const rows = rowsOf(test, scores);
  const report = reportOf({ train, test, scores, scorer, seed });
  const gateRows = { test, rows, baseline: report.baseline.probability, seed };
  return {
    report: {
      ...report,
      thresholds: thresholdsOf(rows, { asked, seed }),
      ...(crossed === undefined ? {} : { folds: foldsReportOf({ ...crossed, test, scores }) }),
    },
    measured: asked.map((measure) => measureGate(measure, gateRows)),
  };
}

function modelFor(onnx: Uint8Array, { names }: Part): CompiledModel {
  const model = loadModel(onnx);
  if (model.inputCount !== names.length || (model.inputNames ?? names).join('\n') !== names.join('\n')) {
    throw new PlatformError(
      'INTERNAL',
      `The model takes ${model.inputCount} other inputs than the ${names.length} of the vector`,
    );
  }
  return model;
}
