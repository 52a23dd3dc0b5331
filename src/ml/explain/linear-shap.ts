import type { Matrix } from '../matrix.ts';
import { checkMatrix } from '../matrix.ts';
import type { Explanation } from './explanation.ts';
import { checkColumns, emptyExplanation } from './explanation.ts';

/**
 * What is read of a linear model to explain it: the margin of a row is `intercept` plus the sum of
 * coefficient * (value - mean) / scale. A `LogisticModel` is one.
 */
export interface ExplainableLinear {
  /** Also what a missing value is taken to be. */
  readonly means: ArrayLike<number>;
  /** Default all 1. */
  readonly scales?: ArrayLike<number>;
  readonly coefficients: ArrayLike<number>;
  readonly intercept: number;
}

export interface LinearExplanationOptions {
  /** Mean of each column over the rows to compare with. Default the means of the model. */
  readonly background?: ArrayLike<number>;
}

/**
 * Explains rows by the Shapley values of a linear model whose inputs are taken as independent: coefficient *
 * (value - background) (Strumbelj and Kononenko, 2014). Values and expected value add up to the margin.
 *
 * @throws RangeError when the parts of the model, the rows and the background differ in their columns, or a
 *   value is infinite.
 */
export function explainLinear(
  model: ExplainableLinear,
  features: Matrix,
  options: LinearExplanationOptions = {},
): Explanation {
  const { coefficients, means, scales } = model;
  const columns = coefficients.length;
  const background = options.background ?? means;
  checkMatrix(features, 'matrix to explain');
  checkColumns(features, columns);
  const lengths = { means: means.length, scales: scales?.length ?? columns, background: background.length };
  for (const [name, length] of Object.entries(lengths)) {
    if (length !== columns) throw new RangeError(`There are ${columns} coefficients but ${length} ${name}`);
  }
  const slopes = Float64Array.from(
    coefficients,
    (coefficient, column) => coefficient / (scales?.[column] ?? 1),
  );
  let expected = model.intercept;
  slopes.forEach((slope, column) => {
    expected += slope * ((background[column] as number) - (means[column] as number));
  });
  if (!Number.isFinite(expected)) throw new RangeError(`The expected margin of the model is ${expected}`);
  const explanation = emptyExplanation(features, Float64Array.of(expected));
  for (let at = 0; at < features.values.length; at += 1) {
    const column = at % columns;
    const given = features.values[at] as number;
    if (Math.abs(given) === Number.POSITIVE_INFINITY) {
      throw new RangeError(`Row ${(at - column) / columns} has ${given} in column ${column}`);
    }
    const value = given === given ? given : (means[column] as number);
    explanation.values[at] = (slopes[column] as number) * (value - (background[column] as number));
  }
  return explanation;
}
