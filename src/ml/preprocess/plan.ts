/** What to do with a numeric column. */
export interface NumericPlan {
  readonly kind: 'numeric';
  readonly column: string;
  /**
   * What stands in for a missing value: the mean, the median, the most frequent value (of equally frequent
   * ones the smallest) of the training rows, or a constant. Default `none`: it stays missing.
   */
  readonly impute?: 'none' | 'mean' | 'median' | 'most-frequent' | { readonly constant: number };
  /** Adds a column that is 1 where the value is missing. Default false. */
  readonly indicator?: boolean;
  /** Takes off the mean and divides by the population standard deviation, after imputation. Default false. */
  readonly standardise?: boolean;
}

interface CategoricalPlan {
  readonly column: string;
  /**
   * What stands in for a missing category: the most frequent one (of equally frequent ones the first in code
   * unit order) or a constant. Default `none`: it is no category.
   */
  readonly impute?: 'none' | 'most-frequent' | { readonly constant: string };
  /** Adds a column that is 1 where the category is missing. Default false. */
  readonly indicator?: boolean;
}

/** One column of 0 and 1 for each category. */
export interface OneHotPlan extends CategoricalPlan {
  readonly kind: 'one-hot';
  /** The most frequent categories get a column, so many at most, 1 to 10,000. Default 50. */
  readonly categoriesMax?: number;
}

/**
 * The mean target of each category (Micci-Barreca, 2001): for categories too many for columns of their own.
 * The training rows get the means of the OTHER folds' rows, so that no row sees its own target.
 */
export interface TargetPlan extends CategoricalPlan {
  readonly kind: 'target';
  /**
   * Weight, in rows of weight 1, with which the mean of all rows is mixed into that of a category. Default 10.
   */
  readonly smoothing?: number;
  /** Number of folds, 2 to 100. Default 5. */
  readonly folds?: number;
}

/**
 * One column of 0 and 1 for each code of a numeric column of codes: whole numbers from 0. A missing value, and one that is no
 * code, is 0 in all of them.
 */
export interface CodesPlan {
  readonly kind: 'codes';
  readonly column: string;
  /** What the codes stand for, in their order; different texts, 1 to 10,000. */
  readonly categories: readonly string[];
}

export type ColumnPlan = NumericPlan | OneHotPlan | TargetPlan | CodesPlan;
