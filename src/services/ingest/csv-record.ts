import { DELETED_FIELD, PlatformError, REVISION_FIELD } from '../../contract/index.ts';
import type { FieldKind, Source } from '../../define/index.ts';

/** Makes a row's cells a record of the kinds that the source's fields have; empty cells are absent. */
export interface RowFormat {
  readonly columns: number;
  record(cells: readonly string[]): Record<string, unknown>;
}

/**
 * Reads the header of a CSV body. Names that the source does not know stay: a row that fills them goes to quarantine.
 * Throws BAD_REQUEST when no row could be read by it.
 */
export function compileRowFormat(source: Source, names: readonly string[], columnsMax: number): RowFormat {
  const header = names.map((name) => name.trim());
  checkHeader(header, columnsMax);
  const converters = header.map((name) => cellConverter(kindOf(source, name) ?? 'text'));
  return {
    columns: header.length,
    record(cells) {
      const record: Record<string, unknown> = {};
      for (let index = 0; index < header.length; index += 1) {
        const cell = cells[index];
        const name = header[index];
        const convert = converters[index];
        if (cell === undefined || cell === '' || name === undefined || convert === undefined) continue;
        record[name] = convert(cell);
      }
      return record;
    },
  };
}

/** The kind of what a column holds: a field, or what a correction says beside them. */
export function kindOf({ fields }: Pick<Source, 'fields'>, column: string): FieldKind | undefined {
  if (column === REVISION_FIELD) return 'integer';
  if (column === DELETED_FIELD) return 'boolean';
  return Object.hasOwn(fields, column) ? fields[column]?.kind : undefined;
}

function checkHeader(header: readonly string[], columnsMax: number): void {
  if (header.length > columnsMax) {
    const text = `The CSV header has ${String(header.length)} columns; at most ${String(columnsMax)} are allowed`;
    throw new PlatformError('BAD_REQUEST', text, { details: { columnsMax, columns: header.length } });
  }
  const seen = new Set<string>();
  for (const [index, name] of header.entries()) {
    // An assignment to __proto__ makes no field.
    if (name === '' || name === '__proto__' || seen.has(name)) {
      const problem =
        name === '' ? 'has no name' : seen.has(name) ? `'${name}' comes twice` : `cannot be '${name}'`;
      throw new PlatformError('BAD_REQUEST', `Column ${String(index + 1)} of the CSV header ${problem}`);
    }
    seen.add(name);
  }
}

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const WHOLE = /^-?\d+$/;

/** Reads a cell as a field's kind. What does not look like it stays text: the contract then says what was expected. */
export function cellConverter(kind: FieldKind): (cell: string) => unknown {
  switch (kind) {
    case 'id':
    case 'key':
    case 'text':
    case 'embedding':
      return keep;
    case 'money':
      // Stays text, which keeps it exact.
      return (cell) => cell.trim();
    case 'timestamp':
      return (cell) => {
        const text = cell.trim();
        return WHOLE.test(text) ? Number(text) : text;
      };
    case 'number':
    case 'integer':
      return (cell) => {
        const value = NUMBER.test(cell.trim()) ? Number(cell) : Number.NaN;
        // JSON has no infinities.
        return Number.isFinite(value) ? value : cell;
      };
    case 'boolean':
      return (cell) => {
        const text = cell.trim().toLowerCase();
        return text === 'true' ? true : text === 'false' ? false : cell;
      };
  }
}

function keep(cell: string): string {
  return cell;
}
