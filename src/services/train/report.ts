/** What is measured of a trained model besides its metrics: the matter of its card. JSON, the same bytes for the same run. */
export interface ModelReport {
  readonly form: 1;
  /** `ranking`: an order within groups. Its curves are empty, and its slices and intervals are of groups. Absent: a probability. */
  readonly task?: 'ranking';
  /** Rows to learn from and rows to be judged by. */
  readonly train: { readonly rows: number; readonly positives: number };
  readonly test: { readonly rows: number; readonly positives: number };
  /** Of a model that ranks: groups, and those of the test that have a relevant row and are judged. */
  readonly groups?: { readonly train: number; readonly test: number; readonly judged: number };
  /** How it is judged when not by a period of its own: by the rows out of fold, which are then all rows on both sides. */
  readonly folds?: FoldsReport;
  readonly metrics: Readonly<Record<string, number>>;
  /** Decisions at thresholds, ascending. */
  readonly thresholds?: readonly ThresholdReport[];
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

/** A cross-validation. */
export interface FoldsReport {
  readonly count: number;
  /** The key field whose rows lie in one fold. */
  readonly groupBy: string | null;
  /** Metrics of each fold's own rows; empty where a fold cannot be judged alone. */
  readonly each: readonly {
    readonly rows: number;
    readonly positives: number;
    readonly metrics: Readonly<Record<string, number>>;
  }[];
}

/** What is decided when rows with at least the probability `at` are alarms. `null`: a share of nothing. */
export interface ThresholdReport {
  readonly at: number;
  readonly alarms: number;
  readonly recall: Share | null;
  readonly precision: Share | null;
  readonly specificity: Share | null;
}

export interface Share {
  readonly value: number;
  /** Rows that it is a share of. */
  readonly rows: number;
  readonly interval: Interval;
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
  /** Of the values that are there, at {@link REFERENCE_SHARES}; empty when there are none, and of a categorical input. */
  readonly quantiles: readonly number[];
  /** Of a categorical input: the share of the rows that each category has, in the order of their codes. */
  readonly shares?: readonly { readonly category: string; readonly share: number }[];
}

export { REFERENCE_SHARES } from '../../contract/reference-shares.ts';
