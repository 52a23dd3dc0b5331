import type { Part } from './part-file.ts';

/** The given rows of a part, in their order. */
export function partRows(part: Part, rows: ArrayLike<number>): Part {
  const { names, categories, days, entities } = part;
  const width = names.length;
  const values = new Float32Array(rows.length * width);
  const labels = new Uint8Array(rows.length);
  for (let index = 0; index < rows.length; index += 1) {
    const row = rows[index] as number;
    values.set(part.values.subarray(row * width, (row + 1) * width), index * width);
    labels[index] = part.labels[row] as number;
  }
  const pick = <TArray extends Int32Array | Uint32Array>(given: TArray | undefined): TArray | undefined =>
    given === undefined
      ? undefined
      : ((given.constructor as Uint32ArrayConstructor).from(rows, (row) => given[row] as number) as TArray);
  return {
    names,
    categories,
    rows: rows.length,
    values,
    labels,
    days: pick(days),
    entities: pick(entities),
  };
}
