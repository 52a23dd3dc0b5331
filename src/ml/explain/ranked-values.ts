import type { Matrix } from '../matrix.ts';
import type { ExplainableCategories } from './explainable-trees.ts';

/**
 * @internal The values that trees compare: those of the rows, with the codes of categorical columns replaced
 * in a copy.
 */
export function rankedValues(features: Matrix, categories: readonly ExplainableCategories[]): Float32Array {
  if (categories.length === 0) return features.values;
  const values = features.values.slice();
  for (const category of categories) {
    for (let at = category.feature; at < values.length; at += features.columns) {
      values[at] = rankOf(category, values[at] as number);
    }
  }
  return values;
}

function rankOf({ codes, ranks }: ExplainableCategories, code: number): number {
  let low = 0;
  let high = codes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((codes[middle] as number) < code) low = middle + 1;
    else high = middle;
  }
  return codes[low] === code ? (ranks[low] as number) : Number.NaN;
}
