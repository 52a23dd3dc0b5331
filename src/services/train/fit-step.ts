import type { ExternalTrainer } from '../../define/index.ts';
import { type RunContext, runStep, type StepOutcome } from './run-context.ts';
import type { Dataset } from '../../contract/index.ts';
import type { ObjectReference } from '../../runtime/index.ts';
import { fitFolds, fitInside } from './fit-inside.ts';
import { fitOutside, type FittedOutside } from './fit-outside.ts';
import type { Periods } from './periods.ts';
import type { Side } from './part-table.ts';

export interface Fitted {
  readonly onnx: { readonly digest: string; readonly bytes: number };
  /** Null where the system does not tell. */
  readonly cpuSeconds: number | null;
  readonly wallSeconds: number;
  /** What a command says of its model, by `external.NAME`. */
  readonly metrics?: Readonly<Record<string, number>>;
  /** Of a cross-validation: the models by which the rows of each fold are judged. */
  readonly folds?: readonly ObjectReference[];
}

/** Fits the model. The ONNX file is all that the following steps know of it. */
export async function fitStep(
  context: RunContext,
  train: Side,
  { dataset, periods }: { readonly dataset: Dataset; readonly periods: Periods },
): Promise<StepOutcome<Fitted>> {
  const { trainer, split } = context.model;
  if (trainer.kind === 'external') return outsideStep(context, trainer, { train, dataset, periods });
  return split.kind === 'folds'
    ? fitFolds(context, trainer, { train, split })
    : fitInside(context, trainer, train);
}

/** Lets a command fit. Its files are part of the trainer by their digests, and so of the step's key. */
function outsideStep(
  context: RunContext,
  trainer: ExternalTrainer,
  { train, dataset, periods }: { readonly train: Side; readonly dataset: Dataset; readonly periods: Periods },
): Promise<StepOutcome<FittedOutside>> {
  const { host, model } = context;
  return runStep(context, {
    name: 'fit',
    inputs: { part: train.digest, trainer, seed: model.seed, model: model.name, label: model.label.name },
    async work() {
      const path = await host.objects.path(dataset.file.digest);
      const table = { path, names: dataset.names, periods };
      const output = await fitOutside(context, trainer, { train, table });
      return { output, artefacts: [output.onnx.digest, output.log.digest] };
    },
    note: ({ onnx, wallSeconds, form, log, metrics, memoryLimit }) =>
      [
        `external, ${train.rows} rows, ${wallSeconds.toFixed(2)} s, ${onnx.bytes} bytes of ONNX (${form})`,
        ...Object.entries(metrics).map(([name, value]) => `${name} ${Number(value.toPrecision(6))}`),
        memoryLimit,
        `log ${log.digest}`,
      ].join(', '),
  });
}
