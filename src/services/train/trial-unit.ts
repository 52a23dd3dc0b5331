import type { InnerTrainer, SearchMetric } from '../../define/index.ts';
import type { CalibrationDeal } from './calibrated.ts';
import type { TrialFolds } from './search-folds.ts';
import { STEP_VERSIONS, stepKey } from './steps.ts';

/**
 * The queue of trials. It has the versions of the code in its name: a process of another build would come to other scores, so it takes
 * trials of its own queue only.
 */
export const TRIAL_QUEUE: string = `train-trials-${(['trial', 'fit', 'evaluate'] as const)
  .map((name) => STEP_VERSIONS[name])
  .join('.')}`;

/** The channel on which processes learn that a trial has ended. */
export const TRIAL_SIGNAL = 'train_trial';

/** Everything that a trial depends on. */
export interface TrialInput {
  readonly folds: TrialFolds;
  readonly trainer: InnerTrainer;
  readonly metric: SearchMetric;
  readonly seed: number;
  /** How rows are dealt to calibrate, as in the fit of the model. */
  readonly deal?: CalibrationDeal;
}

export interface TrialJob {
  readonly run: string;
  readonly key: string;
  readonly input: TrialInput;
}

/** What came of a trial; an error is one that it has everywhere. */
export type TrialRecord =
  | {
      readonly score: number;
      /** Scores of the folds. */
      readonly folds: readonly number[];
      readonly cpuSeconds: number;
    }
  | { readonly error: string };

/** The content address of a trial: the same trial of another search has the same. */
export function trialKey(input: TrialInput): string {
  const { fit, evaluate } = STEP_VERSIONS;
  return stepKey('trial', { ...input, fit, evaluate });
}
