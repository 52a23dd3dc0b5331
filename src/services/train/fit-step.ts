import { canonicalJson, type ExternalTrainer, type InnerTrainer } from '../../define/index.ts';
import { type RunContext, runStep, type StepOutcome } from './run-context.ts';
import type { Dataset } from '../../contract/index.ts';
import type { EvaluateInput, EvaluateOutput } from './evaluate-task.ts';
import type { FitInput, FitOutput } from './fit-task.ts';
import { fitOutside, type FittedOutside } from './fit-outside.ts';
import type { Periods } from './periods.ts';
import type { Side, Split } from './split-step.ts';
import { EVALUATE, FIT } from './tasks.ts';

export interface Fitted {
  readonly onnx: { readonly digest: string; readonly bytes: number };
  /** Null where the system does not tell. */
  readonly cpuSeconds: number | null;
  readonly wallSeconds: number;
  /** What a command says of its model, by `external.NAME`. */
  readonly metrics?: Readonly<Record<string, number>>;
}

/** Fits the model. The ONNX file is all that the following steps know of it. */
export async function fitStep(
  context: RunContext,
  train: Side,
  { dataset, periods }: { readonly dataset: Dataset; readonly periods: Periods },
): Promise<StepOutcome<Fitted>> {
  const { trainer } = context.model;
  if (trainer.kind !== 'external') return fitInside(context, trainer, train);
  return outsideStep(context, trainer, { train, dataset, periods });
}

/** Fits beside this thread. */
function fitInside(context: RunContext, trainer: InnerTrainer, train: Side): Promise<StepOutcome<Fitted>> {
  const { host, model, progress, signal } = context;
  const { seed } = model;
  return runStep(context, {
    name: 'fit',
    inputs: { part: train.digest, trainer, seed },
    async work() {
      const part = owned(await host.objects.get(train.digest));
      signal.throwIfAborted();
      const input: FitInput = { part, trainer, seed };
      const { onnx, cpuSeconds, wallSeconds } = await host.compute.run<FitOutput>(FIT, input, {
        signal,
        transfer: [part.buffer],
        onProgress: ({ done, total, note = null }) => progress.step('fit', { progress: done / total, note }),
      });
      const stored = await host.objects.put(onnx);
      return { output: { onnx: stored, cpuSeconds, wallSeconds }, artefacts: [stored.digest] };
    },
    note: ({ onnx, cpuSeconds }) =>
      `${trainer.kind}, ${train.rows} rows, ${cpuSeconds.toFixed(2)} s of processor time, ${onnx.bytes} bytes of ONNX`,
  });
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

/** What was measured of a model. */
export interface Evaluated {
  readonly metrics: Readonly<Record<string, number>>;
  /** The {@link ModelReport} as JSON. */
  readonly report: { readonly digest: string; readonly bytes: number };
}

/** Scores the test rows with the ONNX file and measures. */
export function evaluateStep(
  context: RunContext,
  { onnx }: Fitted,
  { train, test }: Split,
): Promise<StepOutcome<Evaluated>> {
  const { host, model, progress, signal } = context;
  return runStep<Evaluated>(context, {
    name: 'evaluate',
    inputs: { onnx: onnx.digest, part: test.digest, train: train.digest, seed: model.seed },
    async work() {
      const [file, part, learnt] = await Promise.all([
        host.objects.get(onnx.digest),
        host.objects.get(test.digest),
        host.objects.get(train.digest),
      ]);
      signal.throwIfAborted();
      const input = {
        onnx: file,
        part: owned(part),
        train: owned(learnt),
        seed: model.seed,
      } satisfies EvaluateInput;
      const report = await host.compute.run<EvaluateOutput>(EVALUATE, input, {
        signal,
        transfer: [input.part.buffer, input.train.buffer],
        onProgress: ({ done, total }) => progress.step('evaluate', { progress: done / total }),
      });
      const stored = await host.objects.put(new TextEncoder().encode(canonicalJson(report)));
      const counts = {
        trainRows: train.rows,
        trainPositives: train.positives,
        testRows: test.rows,
        testPositives: test.positives,
      };
      return {
        output: { metrics: { ...report.metrics, ...counts }, report: stored },
        artefacts: [stored.digest],
      };
    },
    note: ({ metrics: { aucRoc, averagePrecision } }) =>
      `aucRoc ${(aucRoc ?? 0).toFixed(4)}, averagePrecision ${(averagePrecision ?? 0).toFixed(4)}`,
  });
}

/** The bytes with a buffer of their own, which another thread may be given. */
export function owned(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteLength } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) return new Uint8Array(buffer);
  return new Uint8Array(bytes);
}
