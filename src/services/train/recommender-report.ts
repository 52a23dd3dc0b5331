import type { Interval, Point } from './report.ts';

/** What is measured of a recommender besides its metrics: the matter of its card. JSON, the same bytes for the same run. */
export interface RecommenderReport {
  readonly form: 1;
  readonly kind: 'recommender';
  /** What the judged model learnt from: what everybody did first. */
  readonly train: { readonly interactions: number; readonly users: number; readonly items: number };
  readonly judged: {
    /** Users who were recommended to, and how many there were to draw them from. */
    readonly users: number;
    readonly of: number;
    /** Their later items, which were to be predicted, and how many of these the model does not know. */
    readonly items: number;
    readonly unknown: number;
  };
  readonly metrics: Readonly<Record<string, number>>;
  /** Bootstrap intervals of metrics, by name. */
  readonly intervals: Readonly<Record<string, Interval>>;
  /** The most popular items that a user does not have yet. */
  readonly baseline: { readonly metrics: Readonly<Record<string, number>> };
  /** By how much the model is better than the baseline for the same users. */
  readonly gain: { readonly metric: string; readonly difference: number; readonly interval: Interval | null };
  /** Users by how many items they had before. */
  readonly slices: {
    readonly metric: string;
    readonly list: readonly ActivitySlice[];
    /** The slice in {@link list} that does worst. */
    readonly worst: string | null;
  };
  /** Share of the items, the most recommended first, and the share of all recommendations that they get. */
  readonly spread: readonly Point[];
  /** The most popular items, with the sum of their weights. */
  readonly popular: readonly { readonly item: string; readonly popularity: number }[];
}

export interface ActivitySlice {
  /** How many items: `1`, `2 to 5`. */
  readonly items: string;
  readonly users: number;
  readonly value: number;
  /** `null` for a single user. */
  readonly interval: Interval | null;
}
