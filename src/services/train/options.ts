import { z } from 'zod';
// Not the whole of it: every process reads options.
import { HELPERS_MAX } from '../../ml/gbdt/crew/helpers.ts';

/** The queue of the runs. */
export const QUEUE = 'train';

/**
 * Limits and times of the service. In the environment `concurrency` is `TANDEM_TRAIN_CONCURRENCY`, and so on.
 */
export interface TrainOptions {
  /**
   * Runs at a time in this process; 0 answers calls only and leaves the runs to other processes. Default 1.
   */
  readonly concurrency: number;
  /**
   * Threads that a run fits boosted trees with; the model is the same, bit for bit, whatever their number. A process fits one model at a time,
   * for minutes and on as many processors as it has threads: where one machine also serves, one leaves it the others. Default 1.
   */
  readonly threads: number;
  /**
   * Trials of searches at a time in this process, each in a thread of its own, 1 to 64; with a `concurrency` of 0 it works on none.
   * Default 1.
   */
  readonly trialConcurrency: number;
  /** A trial that takes longer counts as failed, in seconds. Default 3,600 (1 hour). */
  readonly trialSecondsMax: number;
  /** Runs at a time in all processes. Default 64. */
  readonly runsMax: number;
  /** Runs of one model at a time in all processes. Default 64. */
  readonly modelRunsMax: number;
  /** A run that takes longer fails, in seconds. Default 21,600 (6 hours). */
  readonly runSecondsMax: number;
  /**
   * How long a step waits for a neighbour that is not available before it counts as failed, in milliseconds.
   * Default 600,000.
   */
  readonly waitMs: number;
  /**
   * How often the backlog is measured, due runs are queued and runs whose job is lost are looked for, in milliseconds. Default
   * 1,000.
   */
  readonly watchMs: number;
}

/** A whole number; from the environment it comes as text. */
function whole(low: number, high: number, initial: number, description: string): z.ZodType<number> {
  return z.coerce.number().int().min(low).max(high).default(initial).describe(description);
}

/** Reads {@link TrainOptions}; unknown names are errors. */
export const trainOptions: z.ZodType<TrainOptions> = z
  .object({
    concurrency: whole(0, 64, 1, 'Runs at a time in this process; 0 leaves them to others'),
    threads: whole(1, HELPERS_MAX + 1, 1, 'Threads that a run fits boosted trees with'),
    trialConcurrency: whole(1, 64, 1, 'Trials of searches at a time in this process'),
    trialSecondsMax: whole(1, 86_400, 3_600, 'A trial that takes longer counts as failed, in seconds'),
    runsMax: whole(1, 10_000, 64, 'Runs at a time in all processes'),
    modelRunsMax: whole(1, 10_000, 64, 'Runs of one model at a time in all processes'),
    runSecondsMax: whole(60, 86_400, 21_600, 'A run that takes longer fails, in seconds'),
    waitMs: whole(
      0,
      86_400_000,
      600_000,
      'How long a step waits for a neighbour that is down, in milliseconds',
    ),
    watchMs: whole(100, 600_000, 1_000, 'How often backlog and lost jobs are looked at, in milliseconds'),
  })
  .strict();
