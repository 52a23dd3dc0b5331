import { type Dataset, type GateVerdict, PlatformError, routes } from '../../contract/index.ts';
import { bundleStep } from './bundle-step.ts';
import { datasetStep } from './dataset-step.ts';
import { evaluateStep } from './evaluate-step.ts';
import { fitStep } from './fit-step.ts';
import { gateStep } from './gate-step.ts';
import { assertTrainable } from './fit-outside.ts';
import { foldsSplitStep } from './folds-split.ts';
import type { Split } from './part-table.ts';
import { type Periods, periodsOf } from './periods.ts';
import { rankSplitStep } from './rank-split.ts';
import { patiently, type RunContext, type StepContext, type StepOutcome } from './run-context.ts';
import { setAsOf } from './run-store.ts';
import { splitStep } from './split-step.ts';

/** What a run came to. */
export interface RunResult {
  readonly version: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly gates: readonly GateVerdict[];
}

/** Does the steps of a run that are not done yet. */
export async function runPipeline(context: RunContext): Promise<RunResult> {
  const { model, progress } = context;
  assertTrainable(context);
  const asOf = await resolveAsOf(context);
  const periods = periodsOf(model.split, model.label.maturesAfterMs, asOf);
  const { output: dataset } = await datasetStep(context, periods, asOf);
  const { output: split } = await partRowsStep(context, dataset, periods);
  const { output: fitted } = await fitStep(context, split.train, { dataset, periods });
  const { output: evaluated } = await evaluateStep(context, fitted, split);
  const { report } = evaluated;
  const { cpuSeconds, wallSeconds } = fitted;
  // What a command says of its model is no gate's; its prefix keeps it apart from what was measured here.
  const metrics = { ...evaluated.metrics, ...fitted.metrics };
  progress.metrics({
    ...metrics,
    fitSeconds: wallSeconds,
    ...(cpuSeconds === null ? {} : { fitCpuSeconds: cpuSeconds }),
  });
  const { output: gates } = await gateStep(context, evaluated);
  progress.gates(gates);
  const { output: bundle } = await bundleStep(context, {
    asOf,
    dataset,
    periods,
    fitted,
    metrics,
    report,
    gates,
  });
  return { version: bundle.version, metrics, gates };
}

/** Takes the rows out of the dataset as the model is learnt and judged: by time, by folds, or in groups. */
function partRowsStep(context: RunContext, dataset: Dataset, periods: Periods): Promise<StepOutcome<Split>> {
  const { split, trainer } = context.model;
  if (split.kind === 'folds') return foldsSplitStep(context, { dataset, periods, split });
  const groupBy = trainer.kind === 'gbdt' ? trainer.groupBy : undefined;
  return groupBy === undefined
    ? splitStep(context, dataset, periods)
    : rankSplitStep(context, { dataset, periods, groupBy });
}

/**
 * The instant that the run was asked for, else the clock of the features; an attempt keeps what an earlier
 * one found.
 */
export async function resolveAsOf(context: StepContext): Promise<number> {
  const { host, run, signal } = context;
  if (run.asOf !== null) return run.asOf;
  const nothing = { params: {}, query: {}, body: {} };
  const { clock } = await patiently(context, 'dataset', () =>
    host.call(routes.getFeaturesStatus, nothing, { signal }),
  );
  if (!Number.isSafeInteger(clock))
    throw new PlatformError('INTERNAL', `The clock of the features shows ${clock}`);
  await setAsOf(host.tables, { id: run.id, epoch: run.epoch }, clock);
  return clock;
}
