import type { Vector } from '../../define/index.ts';

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
  { categories }: { readonly categories: Categories },
  name: string,
): readonly string[] | undefined {
  // An input may have the name of what every object has.
  return Object.hasOwn(categories, name) ? categories[name] : undefined;
}

/** The columns that are categorical, ascending. */
export function categoricalColumns(part: {
  readonly names: readonly string[];
  readonly categories: Categories;
}): number[] {
  return [...part.names.keys()].filter(
    (column) => categoriesAt(part, part.names[column] as string) !== undefined,
  );
}
