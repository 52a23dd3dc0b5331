import { setTimeout as sleep } from 'node:timers/promises';
import type { Platform, RunAnswer } from './platform.ts';
import { metricText } from './report.ts';
import type { Timeline } from './timeline.ts';

const POLL_MS = 200;
/** How long a run may take, in milliseconds. */
const RUN_MS_MAX = 900_000;

export interface TrainingOptions {
  readonly model: string;
  /** How people call it on the timeline; default: the model's name. */
  readonly title?: string;
  /** Training knows what was known at this instant, in milliseconds since 1970-01-01 UTC. */
  readonly asOf: number;
}

/** Trains a model with what is known at an instant, waits for it and tells its steps. Rejects when it fails. */
export async function trainModel(
  platform: Platform,
  timeline: Timeline,
  options: TrainingOptions,
): Promise<RunAnswer> {
  const { model, title = model, asOf } = options;
  const began = performance.now();
  let run = await platform.startRun(model, asOf);
  while (run.state === 'queued' || run.state === 'running') {
    if (performance.now() - began > RUN_MS_MAX) {
      throw new Error(`Training ${model} took longer than ${String(RUN_MS_MAX / 1_000)} s`);
    }
    await sleep(POLL_MS);
    run = await platform.run(run.id);
  }
  if (run.state !== 'done')
    throw new Error(`Training ${model} ${run.state}: ${run.error ?? 'no reason was given'}`);
  const steps = run.steps
    .filter(({ state, seconds }) => state === 'reused' || seconds !== null)
    .map(
      ({ name, state, seconds }) =>
        `${name} ${state === 'reused' ? 'reused' : `${(seconds ?? 0).toFixed(1)} s`}`,
    );
  timeline.say('train', `${title}: ${steps.join(', ')}`);
  return run;
}

/** The version a run made; throws when a gate was not passed. */
export function versionOf(model: string, run: RunAnswer): number {
  const failed = run.gates.filter(({ passed }) => !passed);
  if (run.version !== null && failed.length === 0) return run.version;
  const why = failed.map(
    ({ metric, value, bound }) => `${metric} is ${metricText(value)}, the bound is ${String(bound)}`,
  );
  throw new Error(`${model} made no version that can be released: ${why.join('; ') || 'no version number'}`);
}
