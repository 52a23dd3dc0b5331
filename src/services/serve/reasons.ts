import type { DecisionReason } from '../../contract/index.ts';
import type { Vector } from '../../define/index.ts';
import type { Contributions, ServedModel } from './served-model.ts';

/** Which values are explained. */
export interface ExplainedValues {
  /** Names of the inputs. */
  readonly names: readonly string[];
  readonly values: readonly (number | null)[];
  /** Of each input that is a category, what its codes stand for. Default: none is. */
  readonly categories?: Categories;
}

/** Of each input that is a category, what its codes stand for. */
export type Categories = readonly (readonly string[] | undefined)[];

/** What the codes of a vector's values stand for. */
export function categoriesOf(vector: Vector): Categories {
  return vector.values.map(({ categories }) => categories);
}

/** The strongest reasons of one score. */
export interface Reasons extends Pick<Contributions, 'scale' | 'base'> {
  readonly reasons: DecisionReason[];
}

/**
 * The inputs that contributed most to a score: by falling size, of equal ones the first input first; none that contributed
 * nothing. Throws UNPROCESSABLE when the model cannot be explained.
 */
export function reasonsOf(model: ServedModel, explained: ExplainedValues, count: number): Reasons {
  const { scale, base, parts } = model.explain(explained.values);
  const reasons = strongestFirst(parts)
    .slice(0, count)
    .filter((index) => parts[index] !== 0)
    .map((index) => reasonAt(explained, parts, index));
  return { reasons, base, scale };
}

/** Places of contributions by falling size. */
export function strongestFirst(parts: readonly number[]): number[] {
  const sizes = parts.map(Math.abs);
  return [...parts.keys()].sort((a, b) => (sizes[b] as number) - (sizes[a] as number) || a - b);
}

/** What one input contributed. */
export function reasonAt(
  { names, values, categories }: ExplainedValues,
  parts: readonly number[],
  index: number,
): DecisionReason {
  const value = values[index] ?? null;
  const category = value === null ? undefined : categories?.[index]?.[value];
  return {
    input: names[index] ?? '',
    value,
    ...(category === undefined ? {} : { category }),
    contribution: parts[index] ?? 0,
  };
}
