import type { OneHotStep } from './description.ts';
import type { OneHotPlan, TargetPlan } from './plan.ts';
import type { CategoricalColumn } from './table.ts';
import { categoryAt } from './table.ts';

/** Columns of one one-hot encoding. */
export const ONE_HOT_CATEGORIES_MAX = 10_000;

/** What stands in for missing categories, and the category of each row after that. */
export interface FilledCategories {
  readonly fill: string | null;
  readonly categories: readonly (string | undefined)[];
}

/**
 * @internal Imputes the categories of the training rows.
 *
 * @throws RangeError when a column without categories is to be imputed from them.
 */
export function fillCategories(
  plan: OneHotPlan | TargetPlan,
  column: CategoricalColumn,
  weights: Float64Array,
): FilledCategories {
  const { impute = 'none' } = plan;
  const found = Array.from(weights, (_, row) => categoryAt(column, row));
  if (impute === 'none') return { fill: null, categories: found };
  let fill: string | undefined;
  if (typeof impute === 'object') {
    fill = impute.constant;
    if (fill === '') throw new RangeError(`The constant of "${plan.column}" must not be empty`);
  } else {
    [fill] = byFallingWeight(found, weights);
    if (fill === undefined) {
      throw new RangeError(
        `The column "${plan.column}" has no categories to impute from; a constant can stand in for them`,
      );
    }
  }
  const stand = fill;
  return { fill: stand, categories: found.map((category) => category ?? stand) };
}

/**
 * @internal Fits the step of a one-hot encoding.
 *
 * @throws RangeError when the limit of categories is out of range.
 */
export function fitOneHot(plan: OneHotPlan, column: CategoricalColumn, weights: Float64Array): OneHotStep {
  const { categoriesMax = 50, indicator = false } = plan;
  if (!Number.isSafeInteger(categoriesMax) || categoriesMax < 1 || categoriesMax > ONE_HOT_CATEGORIES_MAX) {
    throw new RangeError(
      `categoriesMax of "${plan.column}" must be a whole number from 1 to ${ONE_HOT_CATEGORIES_MAX}, ` +
        `not ${categoriesMax}`,
    );
  }
  const { fill, categories } = fillCategories(plan, column, weights);
  const kept = byFallingWeight(categories, weights).slice(0, categoriesMax);
  return { kind: 'one-hot', column: plan.column, fill, indicator, categories: kept };
}

/** The categories with weight, the heaviest first; equally heavy ones in code unit order. */
function byFallingWeight(categories: readonly (string | undefined)[], weights: Float64Array): string[] {
  const sums = new Map<string, number>();
  categories.forEach((category, row) => {
    const weight = weights[row] as number;
    if (category !== undefined && weight > 0) sums.set(category, (sums.get(category) ?? 0) + weight);
  });
  return [...sums]
    .sort(([a, first], [b, second]) => second - first || (a < b ? -1 : 1))
    .map(([category]) => category);
}
