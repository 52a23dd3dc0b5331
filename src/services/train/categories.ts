import type { Vector } from '../../define/index.ts';
import { matrix, type Matrix, Preprocessor } from '../../ml/index.ts';
import type { Part } from './part-file.ts';

/** What the values of categorical inputs stand for, by the input's name: 0 for the first, and so on. Other inputs are numbers. */
export type Categories = Readonly<Record<string, readonly string[]>>;

/** The categorical inputs of a vector. */
export function categoriesOf({ values }: Pick<Vector, 'values'>): Categories {
  return Object.fromEntries(
    values.flatMap(({ name, categories }) => (categories === undefined ? [] : [[name, categories]])),
  );
}

/** As a member of something that is hashed: absent without any, so that what has none keeps its hash. */
export function categoriesMember(categories: Categories): { readonly categories?: Categories } {
  return Object.keys(categories).length === 0 ? {} : { categories };
}

/** What the values of an input stand for; `undefined` when they are numbers. */
export function categoriesAt(
  { categories }: Pick<Part, 'categories'>,
  name: string,
): readonly string[] | undefined {
  // An input may have the name of what every object has.
  return Object.hasOwn(categories, name) ? categories[name] : undefined;
}

/** The columns of a part that are categorical, ascending. */
export function categoricalColumns(part: Part): number[] {
  return [...part.names.keys()].filter(
    (column) => categoriesAt(part, part.names[column] as string) !== undefined,
  );
}

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
