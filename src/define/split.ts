import { type Duration, durationMs } from './duration.ts';

/**
 * A split by event time: the test period ends with the last whole `align` whose labels have matured, before it lies a
 * delay whose labels were not yet known when the test period began, and before that the training period.
 */
export interface TimeSplit {
  readonly kind: 'time';
  readonly trainMs: number;
  readonly delayMs: number;
  readonly testMs: number;
  /** The end of the test period is a multiple of this, in UTC. */
  readonly alignMs: number;
  /** A key field: entities known as positive before a test day are left out of that day, as a bank blocks known cards. */
  readonly excludeKnown?: string;
}

export interface TimeSplitOptions {
  /** Default `'7d'`. */
  readonly train?: Duration;
  /** Default `'7d'`. */
  readonly delay?: Duration;
  /** Default `'7d'`. */
  readonly test?: Duration;
  /** Default `'1d'`. */
  readonly align?: Duration;
  readonly excludeKnown?: string;
}

/** Splits by time: see {@link TimeSplit}. */
export function byTime(options: TimeSplitOptions = {}): TimeSplit {
  return {
    kind: 'time',
    trainMs: durationMs(options.train ?? '7d'),
    delayMs: durationMs(options.delay ?? '7d'),
    testMs: durationMs(options.test ?? '7d'),
    alignMs: durationMs(options.align ?? '1d'),
    ...(options.excludeKnown === undefined ? {} : { excludeKnown: options.excludeKnown }),
  };
}

/**
 * Cross-validation, for few rows: the model is learnt from every row whose label has matured, and judged by as many further models
 * as there are folds, each of which scores the rows that it did not learn from.
 */
export interface FoldSplit {
  readonly kind: 'folds';
  /** Parts that the rows are dealt into, each with about the same share of positives. */
  readonly folds: number;
  /** How far back from the instant of the run rows are taken, in milliseconds. */
  readonly withinMs: number;
  /** A key field of the candidate: all rows of one entity lie in the same fold. A row without it is an entity of its own. */
  readonly groupBy?: string;
}

export interface FoldSplitOptions {
  /** From 2 to {@link FOLD_SPLIT_LIMITS}.foldsMax. Default 10. */
  readonly folds?: number;
  /** Longer than the label's `maturesAfter`. Default `'400d'`. */
  readonly within?: Duration;
  /** Default: rows are dealt one by one. */
  readonly groupBy?: string;
}

/** Limits of {@link byFolds}. */
export const FOLD_SPLIT_LIMITS = {
  /** Each fold is a training. */
  foldsMax: 50,
} as const;

/**
 * Judges by cross-validation: see {@link FoldSplit}. Throws TypeError when an option is out of its bounds.
 *
 * @example byFolds({ folds: 10, groupBy: 'patientId' })
 */
export function byFolds(options: FoldSplitOptions = {}): FoldSplit {
  const { folds = 10, within = '400d', groupBy } = options;
  const { foldsMax } = FOLD_SPLIT_LIMITS;
  if (!(Number.isSafeInteger(folds) && folds >= 2 && folds <= foldsMax)) {
    throw new TypeError(
      `byFolds(): folds is a whole number from 2 to ${String(foldsMax)}; got ${String(folds)}`,
    );
  }
  return {
    kind: 'folds',
    folds,
    withinMs: durationMs(within),
    ...(groupBy === undefined ? {} : { groupBy }),
  };
}

/** @internal The key field whose known positives a split leaves out of its test period. */
export function excludedEntity(split: ModelSplit): string | undefined {
  return split.kind === 'time' ? split.excludeKnown : undefined;
}

/** How rows are parted into those that are learnt from and those that are judged by. */
export type ModelSplit = TimeSplit | FoldSplit;
