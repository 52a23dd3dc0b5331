import { matrix, type Matrix, Preprocessor } from '../../ml/index.ts';
import { categoricalColumns, categoriesAt } from './categories.ts';
import type { Part } from './part-file.ts';

/** What a linear model learns from. */
export interface LinearInputs {
  readonly features: Matrix;
  /** What makes the features of the inputs; absent where they are the inputs themselves. */
  readonly preprocessor?: Preprocessor;
}

/**
 * The inputs as a linear model can add them up: a column of 0 and 1 for each category, all 0 where the value is missing. Numbers stay as
 * they are.
 *
 * @throws RangeError when that is more than a matrix may hold.
 */
export function linearInputs(part: Part): LinearInputs {
  const { names, rows, values } = part;
  if (categoricalColumns(part).length === 0) return { features: matrix(rows, names.length, values) };
  const columns = names.map((name, column) => ({
    kind: 'numeric' as const,
    name,
    values: Float32Array.from({ length: rows }, (_, row) => values[row * names.length + column] as number),
  }));
  const plans = names.map((column) => {
    const known = categoriesAt(part, column);
    return known === undefined
      ? { kind: 'numeric' as const, column }
      : { kind: 'codes' as const, column, categories: known };
  });
  const { preprocessor, training } = Preprocessor.fit({ rows, columns }, plans);
  return { features: training, preprocessor };
}
