import { createPart, type Part, sealPart } from './part-file.ts';

/** A part of some rows of another, in the given order. */
export function partOfRows(part: Part, rows: ArrayLike<number>): Uint8Array<ArrayBuffer> {
  const { names, days, entities } = part;
  const { part: made, bytes } = createPart({
    names,
    rows: rows.length,
    days: days !== undefined,
    entities: entities !== undefined,
  });
  const width = names.length;
  for (let index = 0; index < rows.length; index += 1) {
    const row = rows[index] as number;
    made.values.set(part.values.subarray(row * width, (row + 1) * width), index * width);
    made.labels[index] = part.labels[row] as number;
    if (made.days !== undefined && days !== undefined) made.days[index] = days[row] as number;
    if (made.entities !== undefined && entities !== undefined) made.entities[index] = entities[row] as number;
  }
  sealPart(made);
  return bytes;
}
