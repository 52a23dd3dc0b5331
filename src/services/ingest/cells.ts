import type { Source } from '../../define/index.ts';
import { cellConverter, kindOf } from './csv-record.ts';

/** A column of a typed table, whose cells come as text. */
export interface CellColumn {
  /** The field that it fills. */
  readonly field: string;
  /** Whether its cells are lists, in JSON. */
  readonly isList: boolean;
}

/** What is known of a source whose records are made. */
export type RecordTarget = Pick<Source, 'name' | 'fields'> &
  Partial<Pick<Source, 'id' | 'key' | 'corrections'>>;

/** Makes cells of typed columns a record of the kinds that the source's fields have; null is absent. */
export function compileCells(
  source: RecordTarget,
  columns: readonly CellColumn[],
): (cells: readonly (string | null | undefined)[]) => Record<string, unknown> {
  const converters = columns.map(({ field, isList }) =>
    isList ? readList : cellConverter(kindOf(source, field) ?? 'text'),
  );
  return (cells) => {
    const record: Record<string, unknown> = {};
    for (let index = 0; index < columns.length; index += 1) {
      const cell = cells[index];
      const field = columns[index]?.field;
      const convert = converters[index];
      if (cell === null || cell === undefined || field === undefined || convert === undefined) continue;
      record[field] = convert(cell);
    }
    return record;
  };
}

/** What is no list of JSON stays text: the contract then says what was expected. */
function readList(cell: string): unknown {
  try {
    return JSON.parse(cell) as unknown;
  } catch {
    return cell;
  }
}
