/** Shares of the training rows at which the report of a version notes the quantiles of each input. */
export const REFERENCE_SHARES: readonly number[] = [0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1];
