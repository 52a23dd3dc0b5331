/**
 * A fitted linear regression: the estimate is `intercept + sum of coefficient * (x - mean) / scale`.
 */
export interface RegressionModel {
  readonly kind: 'regression';
  /** Mean of each column over the training rows; also what a missing value is taken to be. */
  readonly means: Float64Array;
  /** Population standard deviation of each column, 1 for a column that does not vary. */
  readonly scales: Float64Array;
  /** Coefficients on the standardised inputs. */
  readonly coefficients: Float64Array;
  /** The (weighted) mean of the targets. */
  readonly intercept: number;
  /** Passes over the columns taken; 0 where the solution is a closed form. */
  readonly iterations: number;
}
