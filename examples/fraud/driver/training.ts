import {
  metricText,
  type Platform,
  roundTo,
  type RunAnswer,
  type Timeline,
  trainModel,
} from '@tandem-examples/driver';
import type { ModelReport } from './report.ts';

/** The app's models, the one that answers the decision first. */
export const MODELS = [
  { model: 'fraud', trainer: 'logistic' },
  { model: 'fraud_boosted', trainer: 'gbdt' },
] as const;
export type ModelEntry = (typeof MODELS)[number];

/** Trains a model with what is known at an instant, waits for it and tells its steps and metrics. */
export async function trainEntry(
  platform: Platform,
  timeline: Timeline,
  options: { readonly entry: ModelEntry; readonly asOf: number },
): Promise<RunAnswer> {
  const { entry, asOf } = options;
  const title = `${entry.model} (${entry.trainer})`;
  const run = await trainModel(platform, timeline, { model: entry.model, title, asOf });
  const { auc, averagePrecision, cardPrecision100 } = modelReport(entry, run);
  timeline.say(
    '',
    `AUC ${metricText(auc)}, average precision ${metricText(averagePrecision)}, ` +
      `card precision@100 ${metricText(cardPrecision100)}`,
  );
  return run;
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
