// Not the whole contract: a thread would load all its schemas.
import { PlatformError } from '../../contract/errors.ts';
import type { CalibrationKind } from '../../define/index.ts';
import {
  type Calibration,
  encodePipeline,
  type ExportableModel,
  fitIsotonic,
  fitPlatt,
  loadModel,
  type Pipeline,
  type Split,
} from '../../ml/index.ts';
import { dealFolds } from './deal-folds.ts';
import type { Part } from './part-file.ts';
import { partRows } from './part-rows.ts';
import type { TaskContext } from './task-context.ts';

/** How a calibration is fitted. */
export const CALIBRATION = {
  /** Models that are fitted besides the one that is kept: each scores the rows that it did not learn from. */
  folds: 5,
  /** Fewest training rows of each class: with fewer the curve would be that of a few rows. */
  classRowsMin: 10,
} as const;

/**
 * How training rows are dealt for a calibration. `blocks`: consecutive rows, which come in the order of their time. `random`: by
 * {@link dealFolds}.
 */
export type CalibrationDeal = 'blocks' | 'random';

export interface CalibrationPlan {
  readonly kind: CalibrationKind;
  readonly deal: CalibrationDeal;
  readonly seed: number;
}

/** Fits a model to rows: without a calibration. */
type Learn = (part: Part, context: TaskContext) => Pipeline;

/**
 * The model of all rows with a calibration behind it. The curve is fitted on scores out of fold: a model's scores of the rows that it
 * learnt from are surer than its scores of others, and a curve fitted on them would pass that on.
 *
 * Of a model that is judged by time the folds are consecutive blocks. Rows that are neighbours in time resemble each other (one card
 * on one day); dealt at random they would lie on both sides and the scores would be surer than those of events to come. Blocks after
 * the scored one are learnt from too: with the past alone, the first curves would be those of models of a fraction of the rows.
 *
 * Throws UNPROCESSABLE when a class is too small, and what `learn` throws.
 */
export function calibrated(
  part: Part,
  plan: CalibrationPlan,
  { learn, context }: { learn: Learn; context: TaskContext },
): Pipeline {
  assertClasses(part);
  const splits =
    plan.deal === 'blocks' ? blocks(part) : dealFolds(part, { folds: CALIBRATION.folds, seed: plan.seed });
  const margins = new Float64Array(part.rows);
  const stages = splits.length + 1;
  splits.forEach(({ train, test }, fold) => {
    const stage = stageOf(context, {
      stage: fold,
      stages,
      name: `calibration ${fold + 1} of ${splits.length}`,
    });
    const model = learn(partRows(part, train), stage);
    marginsOf(model, partRows(part, test)).forEach(
      (margin, index) => (margins[test[index] as number] = margin),
    );
    context.progress(fold + 1, stages);
  });
  const model = learn(part, stageOf(context, { stage: splits.length, stages }));
  return { ...model, calibration: { curve: fitCurve(plan.kind, margins, part.labels), on: 'margin' } };
}

function fitCurve(kind: CalibrationKind, margins: Float64Array, labels: Uint8Array): Calibration {
  return kind === 'platt' ? fitPlatt(margins, labels) : smoothIsotonic(margins, labels);
}

/**
 * An isotonic curve for Platt's targets: (N+ + 1) / (N+ + 2) instead of 1 and 1 / (N- + 2) instead of 0. So no probability is 0 or 1,
 * which no number of rows proves, and one surprise does not cost a log loss of 35. A row with a target between 0 and 1 is a row of
 * each label, by weight.
 */
function smoothIsotonic(margins: Float64Array, labels: Uint8Array): Calibration {
  const positives = labels.reduce((sum, label) => sum + label, 0);
  const high = (positives + 1) / (positives + 2);
  const low = 1 / (labels.length - positives + 2);
  const targets = Float64Array.from(labels, (label) => (label === 1 ? high : low));
  const weights = new Float64Array(2 * labels.length);
  targets.forEach((target, row) => {
    weights[2 * row] = target;
    weights[2 * row + 1] = 1 - target;
  });
  return fitIsotonic(
    Float64Array.from(weights, (_, index) => margins[index >> 1] as number),
    Uint8Array.from(weights, (_, index) => 1 - (index % 2)),
    { weights },
  );
}

/** Consecutive rows, each block tested once. */
function blocks({ rows, labels }: Part): Split[] {
  const { folds } = CALIBRATION;
  const all = Int32Array.from({ length: rows }, (_, row) => row);
  return Array.from({ length: folds }, (_, fold) => {
    const [start, end] = [Math.floor((fold * rows) / folds), Math.floor(((fold + 1) * rows) / folds)];
    const train = all.filter((row) => row < start || row >= end);
    const positives = train.reduce((sum, row) => sum + (labels[row] as number), 0);
    if (positives === 0 || positives === train.length) {
      throw tooFew(
        `without its rows ${start} to ${end - 1} in time, ${positives} of ${train.length} are positive`,
      );
    }
    return { train, test: all.slice(start, end) };
  });
}

/** What the model answers before its probability. */
function marginsOf(pipeline: Pipeline, part: Part): Float64Array {
  const margins = new Float64Array(part.rows);
  const compiled = loadModel(encodePipeline({ ...pipeline, model: marginModel(pipeline.model) }));
  compiled.predict(part.values, part.rows, margins);
  return margins;
}

function marginModel(model: ExportableModel): ExportableModel {
  if (model.kind === 'trees') return { ...model, link: 'identity' };
  if (model.kind === 'logistic') return { ...model, kind: 'regression', iterations: 0 };
  throw new RangeError(`A ${model.kind} model has no margin to calibrate`);
}

function assertClasses({ labels }: Part): void {
  const positives = labels.reduce((sum, label) => sum + label, 0);
  const fewer = Math.min(positives, labels.length - positives);
  if (fewer >= CALIBRATION.classRowsMin) return;
  throw tooFew(
    `${positives} of ${labels.length} are positive, and ${CALIBRATION.classRowsMin} of each class are needed`,
  );
}

function tooFew(why: string): PlatformError {
  return new PlatformError('UNPROCESSABLE', `The training rows are too few to calibrate: ${why}`);
}

/** Progress within one of several stages. */
export function stageOf(
  context: TaskContext,
  { stage, stages, name }: { readonly stage: number; readonly stages: number; readonly name?: string },
): TaskContext {
  return {
    ...context,
    progress(done, total, note) {
      const named = name === undefined || note === undefined ? note : `${name}: ${note}`;
      context.progress(stage * total + done, stages * total, named);
    },
    cpuSeconds: () => context.cpuSeconds(),
    wallSeconds: () => context.wallSeconds(),
  };
}
