/** Most trees of a forest. */
export const ISOLATION_TREES_MAX = 10_000;
/** Most rows that one tree sees. More rows hide outliers among normal rows rather than help. */
export const ISOLATION_SUBSAMPLE_MAX: number = 1 << 16;
/** Most rows that all trees draw together: a forest has fewer than twice as many nodes, of 42 bytes each. */
export const ISOLATION_DRAWS_MAX: number = 1 << 24;
/** Deepest isolation tree. */
export const ISOLATION_DEPTH_MAX = 64;

export interface IsolationOptions {
  /** Default 100, at most {@link ISOLATION_TREES_MAX}. */
  readonly trees?: number;
  /**
   * Rows that each tree sees, drawn anew without repetition; all rows if there are fewer. From 2 to
   * {@link ISOLATION_SUBSAMPLE_MAX}, default 256.
   */
  readonly subsampleSize?: number;
  /**
   * Splits from the root to a leaf. 1 to {@link ISOLATION_DEPTH_MAX}, default the binary logarithm of the
   * rows of a tree, rounded up: only rows that are isolated sooner than the average one matter.
   */
  readonly depthMax?: number;
  /**
   * Share of the training rows that are thought to be anomalies, in (0, 0.5]. Sets the threshold so that
   * this share, rounded up to whole rows, is flagged. Default none; the threshold is then 0.5, the score of a
   * row that takes as many steps as the average one.
   */
  readonly contamination?: number;
  /** Seed of the draws. Default 0. Same data, options and seed give the same forest, bit for bit. */
  readonly seed?: number;
}

/** Options with their defaults filled in. */
export interface ResolvedIsolationOptions {
  readonly trees: number;
  readonly subsampleSize: number;
  readonly depthMax: number;
  readonly contamination: number | undefined;
  readonly seed: number;
}

/**
 * @internal Fills in the defaults for a number of training rows.
 *
 * @throws RangeError naming the option that is out of its bounds.
 */
export function resolveIsolationOptions(options: IsolationOptions, rows: number): ResolvedIsolationOptions {
  const { trees = 100, contamination, seed = 0 } = options;
  whole('subsampleSize', options.subsampleSize ?? 256, { least: 2, most: ISOLATION_SUBSAMPLE_MAX });
  const subsampleSize = Math.min(options.subsampleSize ?? 256, rows);
  // 32 - clz32(n - 1) is the binary logarithm of n, rounded up.
  const depthMax = options.depthMax ?? 32 - Math.clz32(subsampleSize - 1);
  whole('trees', trees, { least: 1, most: ISOLATION_TREES_MAX });
  if (trees * subsampleSize > ISOLATION_DRAWS_MAX) {
    throw new RangeError(
      `${trees} trees of ${subsampleSize} rows draw more than ${ISOLATION_DRAWS_MAX} rows together`,
    );
  }
  whole('depthMax', depthMax, { least: 1, most: ISOLATION_DEPTH_MAX });
  if (contamination !== undefined && !(contamination > 0 && contamination <= 0.5)) {
    throw new RangeError(`contamination must be above 0 and at most 0.5, not ${contamination}`);
  }
  return { trees, subsampleSize, depthMax, contamination, seed };
}

function whole(name: string, value: number, range: { readonly least: number; readonly most: number }): void {
  if (!Number.isSafeInteger(value) || value < range.least || value > range.most) {
    throw new RangeError(`${name} must be a whole number from ${range.least} to ${range.most}, not ${value}`);
  }
}
