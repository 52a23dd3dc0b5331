import type { InnerTrainer } from '../../define/index.ts';
import type { ComputeHelpers } from '../../runtime/index.ts';
import { FIT_HELP } from './tasks.ts';

/** A part of fewer bytes, a million values, is as good as fitted when helpers have started. */
export const HELPED_BYTES_MIN = 4_000_000;

/**
 * Threads beside the fitting one, where they are worth it. They change no bit of the model, so they are no part of the step's key.
 *
 * @param threads of the run, from 1
 */
export function helpersFor(
  trainer: InnerTrainer,
  partBytes: number,
  threads: number,
): { readonly helpers?: ComputeHelpers } {
  if (trainer.kind !== 'gbdt' || threads === 1 || partBytes < HELPED_BYTES_MIN) return {};
  return { helpers: { task: FIT_HELP, count: threads - 1 } };
}
