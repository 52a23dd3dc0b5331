import type { SliceColumn } from '../../ml/index.ts';
import type { Part } from './part-file.ts';

/**
 * A categorical input as something to slice by: its categories by their names. Of more than `most` the most frequent ones have a
 * slice each, and the others one together; of equally frequent ones those that are listed first. Empty where all rows are alike.
 */
export function categoryColumn(
  part: Part,
  {
    column,
    categories,
    most,
  }: { readonly column: number; readonly categories: readonly string[]; most: number },
): SliceColumn[] {
  const name = part.names[column] as string;
  const codes = Float32Array.from(
    { length: part.rows },
    (_, row) => part.values[row * part.names.length + column] as number,
  );
  const counts = categories.map((_, code) => ({ code, rows: 0 }));
  for (const code of codes) {
    const count = counts[code];
    if (count !== undefined) count.rows += 1;
  }
  const found = counts.filter(({ rows }) => rows > 0).sort((a, b) => b.rows - a.rows || a.code - b.code);
  const own = new Set((found.length > most ? found.slice(0, most - 1) : found).map(({ code }) => code));
  const others = nameOfOthers(found.length - own.size, categories);
  const values = Array.from(codes, (code) =>
    Number.isNaN(code) ? null : own.has(code) ? textOf(categories[code] as string) : others,
  );
  return new Set(values).size < 2 ? [] : [{ name, kind: 'category', values }];
}

/** Told from rows without a value. */
function textOf(category: string): string {
  return category === 'missing' || category === '' ? `'${category}'` : category;
}

function nameOfOthers(count: number, categories: readonly string[]): string {
  const name = `${String(count)} others`;
  return categories.includes(name) ? `${name} than these` : name;
}
