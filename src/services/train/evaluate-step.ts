import { canonicalJson, type Gate, type GateMeasure, isSameGateMeasure, taskOf } from '../../define/index.ts';
import type { ObjectReference } from '../../runtime/index.ts';
import type { EvaluateInput, EvaluateOutput } from './evaluate-task.ts';
import type { Fitted } from './fit-step.ts';
import { isRefined, type Measurement } from './measure-gates.ts';
import { owned } from './owned-bytes.ts';
import type { Split } from './part-table.ts';
import { type RunContext, runStep, type StepOutcome } from './run-context.ts';
import { EVALUATE } from './tasks.ts';

/** What was measured of a model. */
export interface Evaluated {
  readonly metrics: Readonly<Record<string, number>>;
  /** The {@link ModelReport} as JSON. */
  readonly report: ObjectReference;
  /** What gates ask for beyond the metrics of all rows. */
  readonly measured: readonly Measurement[];
}

/** Scores the test rows with the ONNX file, in a cross-validation with that of each row's fold, and measures. */
export function evaluateStep(
  context: RunContext,
  { onnx, folds }: Fitted,
  { train, test }: Split,
): Promise<StepOutcome<Evaluated>> {
  const { host, model, progress, signal } = context;
  const asked = measuresOf(model.gates);
  const task = taskOf(model);
  const groupBy = model.split.kind === 'folds' ? (model.split.groupBy ?? null) : null;
  const shared = { seed: model.seed, asked, ...(task === 'ranking' ? { task } : {}) };
  return runStep<Evaluated>(context, {
    name: 'evaluate',
    inputs: {
      onnx: onnx.digest,
      part: test.digest,
      train: train.digest,
      ...shared,
      ...(folds === undefined ? {} : { folds: folds.map(({ digest }) => digest), groupBy }),
    },
    async work() {
      const [file, part, learnt, ...models] = await Promise.all(
        [onnx, test, train, ...(folds ?? [])].map(({ digest }) => host.objects.get(digest)),
      );
      signal.throwIfAborted();
      const input = {
        ...shared,
        onnx: file as Uint8Array,
        part: owned(part as Uint8Array),
        train: owned(learnt as Uint8Array),
        ...(folds === undefined ? {} : { folds: { models, groupBy } }),
      } satisfies EvaluateInput;
      const { report, measured } = await host.compute.run<EvaluateOutput>(EVALUATE, input, {
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
        output: { metrics: { ...report.metrics, ...counts }, report: stored, measured },
        artefacts: [stored.digest],
      };
    },
    note: ({ metrics }) =>
      noteOf(metrics, task === 'ranking' ? ['ndcg10', 'mrr10'] : ['aucRoc', 'averagePrecision']),
  });
}

/** What the gates ask for that is no metric of all rows, each once. */
function measuresOf(gates: readonly Gate[]): GateMeasure[] {
  const measures: GateMeasure[] = [];
  for (const { bound: _bound, ...measure } of gates) {
    if (isRefined(measure) && !measures.some((one) => isSameGateMeasure(one, measure)))
      measures.push(measure);
  }
  return measures;
}

function noteOf(metrics: Readonly<Record<string, number>>, names: readonly string[]): string {
  return names.map((name) => `${name} ${(metrics[name] ?? 0).toFixed(4)}`).join(', ');
}
