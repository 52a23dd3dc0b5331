/** What is measured of a trained model besides its metrics: the matter of its card. JSON, the same bytes for the same run. */
export interface ModelReport {
  readonly form: 1;
  /** Rows to learn from and rows to be judged by. */
  readonly train: { readonly rows: number; readonly positives: number };
  readonly test: { readonly rows: number; readonly positives: number };
  readonly metrics: Readonly<Record<string, number>>;
  /** Bootstrap intervals of metrics, by name. */
  readonly intervals: Readonly<Record<string, Interval>>;
  /** The model that knows nothing of a row: the share of positives among the training rows. */
  readonly baseline: { readonly probability: number; readonly metrics: Readonly<Record<string, number>> };
  readonly curves: {
    /** Share of false alarms, share of positives found. */
    readonly roc: readonly Point[];
    /** Share of positives found, share of alarms that are right. */
    readonly precisionRecall: readonly Point[];
    readonly calibration: readonly CalibrationBin[];
  };
  readonly slices: Slices;
  /** How much worse the test rows are ranked when an input's values are shuffled among them. */
  readonly importance: {
    readonly metric: string;
    readonly rows: number;
    readonly inputs: readonly Importance[];
  };
  /** What the training rows look like, input by input: later rows are compared with it. */
  readonly inputs: readonly InputReference[];
}

export type Point = readonly [x: number, y: number];

export interface Interval {
  readonly low: number;
  readonly high: number;
  /** Share of the resamples that lie in it. */
  readonly level: number;
}

export interface CalibrationBin {
  readonly rows: number;
  /** Mean probability. */
  readonly predicted: number;
  /** Share of positives. */
  readonly observed: number;
}

export interface Slices {
  readonly metric: string;
  readonly list: readonly Slice[];
  /** The slice in {@link list} that does worst. */
  readonly worst: { readonly input: string; readonly values: string } | null;
}

export interface Slice {
  readonly input: string;
  /** Which values: `missing`, `0`, `1.5 to 20`. */
  readonly values: string;
  readonly rows: number;
  readonly positives: number;
  /** `null` where it cannot be measured: one of the classes is missing, or nearly so. */
  readonly value: number | null;
  readonly interval: Interval | null;
}

export interface Importance {
  readonly name: string;
  /** Mean of the repetitions. */
  readonly drop: number;
  /** Standard deviation of the repetitions. */
  readonly spread: number;
}

export interface InputReference {
  readonly name: string;
  /** Share of the rows without a value. */
  readonly missing: number;
  /** Of the values that are there, at {@link REFERENCE_SHARES}; empty when there are none. */
  readonly quantiles: readonly number[];
}

export { REFERENCE_SHARES } from '../../contract/reference-shares.ts';
