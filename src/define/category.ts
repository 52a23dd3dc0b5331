import { Expression, type ExpressionNode } from './expression.ts';

/** Bounds of `category`. */
export const CATEGORY_LIMITS = {
  /** Categories that are listed: so many different values trees tell apart in a column. */
  categoriesMax: 255,
  /** Length of a category, in UTF-16 units. */
  lengthMax: 200,
} as const;

/**
 * A text as the place that it has among the listed categories, from 0; null where it is missing or none of them. A vector's value
 * that is one is categorical: a model learns from it what each category says, not from their order.
 *
 * @param categories 1 to 255 different texts of at most 200 characters, well-formed and without NUL. Their order is part of the
 *   definition.
 * @throws TypeError when they are not.
 * @example
 * const patient = vector('patient', { candidate: cases, age: (c) => c.age, sex: (c) => category(c.sex, ['F', 'M']) });
 */
export function category(text: Expression<'string'>, categories: readonly string[]): Expression<'number'> {
  const { categoriesMax, lengthMax } = CATEGORY_LIMITS;
  if (!Array.isArray(categories) || categories.length < 1 || categories.length > categoriesMax) {
    throw new TypeError(
      `category() takes a list of 1 to ${String(categoriesMax)} texts; got ${
        Array.isArray(categories) ? String(categories.length) : typeof categories
      }`,
    );
  }
  for (const [index, item] of categories.entries()) {
    const isText = typeof item === 'string' && item.length <= lengthMax;
    if (!isText || !item.isWellFormed() || item.includes('\0')) {
      throw new TypeError(
        `category() takes well-formed texts without NUL of at most ${String(lengthMax)} characters; ` +
          `number ${String(index + 1)} is ${JSON.stringify(item)}`,
      );
    }
    if (categories.indexOf(item) !== index) throw new TypeError(`category() has '${item}' twice`);
  }
  const literals = categories.map((value): ExpressionNode => ({ op: 'literal', value, type: 'string' }));
  return new Expression({
    op: 'call',
    operator: 'category',
    type: 'number',
    arguments: [text.node, ...literals],
  });
}

/** The categories that an expression's values are places in; `undefined` when they are not. */
export function categoriesOf(node: ExpressionNode | undefined): readonly string[] | undefined {
  if (node?.op !== 'call' || node.operator !== 'category') return undefined;
  return node.arguments.slice(1).map((item) => (item.op === 'literal' ? String(item.value) : ''));
}
