import type { FoldSplit, InnerTrainer } from '../../define/index.ts';
import type { ObjectReference } from '../../runtime/index.ts';
import type { FitInput, FitOutput } from './fit-task.ts';
import { owned } from './owned-bytes.ts';
import type { Side } from './part-table.ts';
import { findOrDo, type RunContext, runStep, type StepOutcome } from './run-context.ts';
import type { StepResult } from './step-store.ts';
import { stepKey } from './steps.ts';
import { FIT } from './tasks.ts';

/** What a trainer of the platform made. */
export interface FittedInside {
  readonly onnx: ObjectReference;
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
  /** Of a cross-validation: the models by which the rows of each fold are judged. */
  readonly folds?: readonly ObjectReference[];
}

type Task = Omit<FitInput, 'part'>;

/** One of several fits of a step. */
interface Stage {
  readonly stage: number;
  readonly stages: number;
  readonly name: string;
}

/** Fits beside this thread. */
export function fitInside(
  context: RunContext,
  trainer: InnerTrainer,
  train: Side,
): Promise<StepOutcome<FittedInside>> {
  const task: Task = { trainer, seed: context.model.seed };
  return runStep(context, {
    name: 'fit',
    inputs: { part: train.digest, ...task },
    work: () => fit(context, train, { task }),
    note: (fitted) => noteOf(trainer, train, fitted),
  });
}

/**
 * Fits a model without the rows of each fold, one after the other, and then the one of all rows, which will serve. Each fold is kept as
 * soon as it is fitted: a run that goes on after a crash does not fit it again.
 */
export function fitFolds(
  context: RunContext,
  trainer: InnerTrainer,
  { train, split: { folds } }: { readonly train: Side; readonly split: FoldSplit },
): Promise<StepOutcome<FittedInside>> {
  const task: Task = {
    trainer,
    seed: context.model.seed,
    ...(trainer.calibrate === undefined ? {} : { deal: 'random' }),
  };
  return runStep(context, {
    name: 'fit',
    inputs: { part: train.digest, ...task, folds },
    async work() {
      const made: FittedInside[] = [];
      for (let fold = 0; fold < folds; fold += 1) {
        const own: Task = { ...task, without: { fold, folds } };
        const stage = { stage: fold, stages: folds + 1, name: `fold ${fold + 1} of ${folds}` };
        const unit = { name: 'fold' as const, work: () => fit(context, train, { task: own, stage }) };
        const { record } = await findOrDo(context, unit, stepKey('fit', { part: train.digest, ...own }));
        made.push(record.output);
      }
      const stage = { stage: folds, stages: folds + 1, name: 'all rows' };
      const { output: last, artefacts } = await fit(context, train, { task, stage });
      const sum = (name: 'cpuSeconds' | 'wallSeconds'): number =>
        made.reduce((total, one) => total + one[name], last[name]);
      const models = made.map(({ onnx }) => onnx);
      return {
        output: {
          onnx: last.onnx,
          cpuSeconds: sum('cpuSeconds'),
          wallSeconds: sum('wallSeconds'),
          folds: models,
        },
        artefacts: [...artefacts, ...models.map(({ digest }) => digest)],
      };
    },
    note: (fitted) => `${folds} folds and all rows: ${noteOf(trainer, train, fitted)}`,
  });
}

async function fit(
  { host, progress, signal }: RunContext,
  train: Side,
  { task, stage }: { readonly task: Task; readonly stage?: Stage },
): Promise<StepResult<FittedInside>> {
  const part = owned(await host.objects.get(train.digest));
  signal.throwIfAborted();
  const input: FitInput = { ...task, part };
  const { onnx, cpuSeconds, wallSeconds } = await host.compute.run<FitOutput>(FIT, input, {
    signal,
    transfer: [part.buffer],
    onProgress: ({ done, total, note = null }) => progress.step('fit', progressOf(done / total, note, stage)),
  });
  const stored = await host.objects.put(onnx);
  return { output: { onnx: stored, cpuSeconds, wallSeconds }, artefacts: [stored.digest] };
}

function progressOf(
  share: number,
  note: string | null,
  stage: Stage | undefined,
): { readonly progress: number; readonly note: string | null } {
  if (stage === undefined) return { progress: share, note };
  return {
    progress: (stage.stage + share) / stage.stages,
    note: note === null ? stage.name : `${stage.name}: ${note}`,
  };
}

function noteOf(
  { kind, calibrate }: InnerTrainer,
  { rows }: Side,
  { onnx, cpuSeconds }: FittedInside,
): string {
  const how = calibrate === undefined ? kind : `${kind} with ${calibrate} calibration`;
  return `${how}, ${rows} rows, ${cpuSeconds.toFixed(2)} s of processor time, ${onnx.bytes} bytes of ONNX`;
}
