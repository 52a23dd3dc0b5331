import { setTimeout as sleep } from 'node:timers/promises';
import type { Platform, RunAnswer } from './platform.ts';
import type { ModelReport } from './report.ts';
import { roundTo, type Timeline } from './timeline.ts';

/** The app's models, the one that answers the decision first. */
export const MODELS = [
  { model: 'fraud', trainer: 'logistic' },
  { model: 'fraud_boosted', trainer: 'gbdt' },
] as const;
export type ModelEntry = (typeof MODELS)[number];

const POLL_MS = 200;
/** How long a run may take, in milliseconds. */
const RUN_MS_MAX = 900_000;

/** Trains a model with what is known at an instant, waits for it and tells its steps and metrics. */
export async function trainModel(
  platform: Platform,
  timeline: Timeline,
  options: { readonly entry: ModelEntry; readonly asOf: number },
): Promise<RunAnswer> {
  const { entry, asOf } = options;
  const began = performance.now();
  let run = await platform.startRun(entry.model, asOf);
  while (run.state === 'queued' || run.state === 'running') {
    if (performance.now() - began > RUN_MS_MAX) {
      throw new Error(`Training ${entry.model} took longer than ${String(RUN_MS_MAX / 1_000)} s`);
    }
    await sleep(POLL_MS);
    run = await platform.run(run.id);
  }
  if (run.state !== 'done')
    throw new Error(`Training ${entry.model} ${run.state}: ${run.error ?? 'no reason was given'}`);
  const steps = run.steps
    .filter(({ state, seconds }) => state === 'reused' || seconds !== null)
    .map(
      ({ name, state, seconds }) =>
        `${name} ${state === 'reused' ? 'reused' : `${(seconds ?? 0).toFixed(1)} s`}`,
    );
  timeline.say('train', `${entry.model} (${entry.trainer}): ${steps.join(', ')}`);
  const { auc, averagePrecision, cardPrecision100 } = modelReport(entry, run);
  timeline.say(
    '',
    `AUC ${show(auc)}, average precision ${show(averagePrecision)}, card precision@100 ${show(cardPrecision100)}`,
  );
  return run;
}

/** The version a run made; throws when a gate was not passed. */
export function versionOf(entry: ModelEntry, run: RunAnswer): number {
  const failed = run.gates.filter(({ passed }) => !passed);
  if (run.version !== null && failed.length === 0) return run.version;
  const why = failed.map(
    ({ metric, value, bound }) => `${metric} is ${show(value)}, the bound is ${String(bound)}`,
  );
  throw new Error(
    `${entry.model} made no version that can be released: ${why.join('; ') || 'no version number'}`,
  );
}

export function modelReport(entry: ModelEntry, run: RunAnswer): ModelReport {
  const metric = (name: string): number | null => {
    const value = run.metrics[name];
    return value === undefined ? null : roundTo(value, 6);
  };
  return {
    trainer: entry.trainer,
    auc: metric('aucRoc'),
    averagePrecision: metric('averagePrecision'),
    cardPrecision100: metric('cardPrecision100'),
    fitSeconds: run.steps.find(({ name }) => name === 'fit')?.seconds ?? null,
  };
}

function show(value: number | null): string {
  return value === null ? '-' : value.toFixed(3);
}
