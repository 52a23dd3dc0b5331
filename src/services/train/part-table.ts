import { PlatformError } from '../../contract/index.ts';
import type { ResultColumns, WarehouseSession } from '../../runtime/index.ts';
import type { Categories } from './categories.ts';
import { type Part, sealPart } from './part-file.ts';
import type { Periods } from './periods.ts';
import type { RunContext } from './run-context.ts';

/** One side of a split. */
export interface Side {
  /** Digest of the rows, see {@link Part}. */
  readonly digest: string;
  readonly rows: number;
  readonly positives: number;
}

/** What a model is learnt from and what it is judged by; in cross-validation both are the same rows. */
export interface Split {
  readonly train: Side;
  readonly test: Side;
}

/** A dataset's file, as the rows of parts are read from it. */
export interface Table {
  readonly session: WarehouseSession;
  readonly path: string;
  readonly names: readonly string[];
  readonly categories: Categories;
  readonly periods: Periods;
}

/** A part and its bytes. */
export interface MadePart {
  readonly part: Part;
  readonly bytes: Uint8Array;
}

/**
 * The rows of a period in the file's order: values as `v0`, `v1`, ..., the label as `label`, and further
 * columns.
 */
export function readRows(
  table: Table,
  further: readonly string[],
  start: number,
  end: number,
): Promise<ResultColumns> {
  const values = table.names.map((name, index) => `${quoted(name)}::float as v${index}`);
  return table.session.query(
    `select ${['label::integer as label', ...values, ...further].join(', ')} from ${source(table)}
     where time >= ${start} and time < ${end} order by file_row_number`,
  );
}

/** The table in SQL, with the column `file_row_number`. */
export function source({ path }: Table): string {
  return `read_parquet('${path.replaceAll("'", "''")}', file_row_number = true)`;
}

/** A name in SQL. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Copies the given rows, or all, of a result into a part. Throws INTERNAL on a row without a label. */
export function fill(part: Part, read: ResultColumns, rows: Uint32Array | undefined): void {
  const { values, labels, names } = part;
  names.forEach((_, column) => {
    const given = numbers(read, `v${column}`);
    for (let row = 0; row < part.rows; row += 1) {
      values[row * names.length + column] = given[rows?.[row] ?? row] as number;
    }
  });
  const given = numbers(read, 'label');
  for (let row = 0; row < part.rows; row += 1) {
    const label = given[rows?.[row] ?? row];
    if (label !== 0 && label !== 1) throw new PlatformError('INTERNAL', 'A row of the dataset has no label');
    labels[row] = label;
  }
  sealPart(part);
}

/** A column of numbers. Throws INTERNAL where it is none. */
export function numbers(read: ResultColumns, name: string): Float64Array {
  const column = read.columns.get(name);
  if (column instanceof Float64Array) return column;
  throw new PlatformError('INTERNAL', `Column '${name}' of the dataset has no numbers`);
}

/** A column of text. A missing key counts as the empty one: it stays an entity of its own. Throws INTERNAL where it is none. */
export function texts(read: ResultColumns, name: string): string[] {
  const column = read.columns.get(name);
  if (column === undefined || column instanceof Float64Array) {
    throw new PlatformError('INTERNAL', `Column '${name}' of the dataset has no text`);
  }
  return column.map((value) => (value === null ? '' : String(value)));
}

/** Puts a part into the object store. */
export async function storePart(
  { host }: Pick<RunContext, 'host'>,
  { part, bytes }: MadePart,
): Promise<Side> {
  const { digest } = await host.objects.put(bytes);
  return { digest, rows: part.rows, positives: positivesOf(part) };
}

/** Rows whose label is true. */
export function positivesOf(part: Part): number {
  return part.labels.reduce((sum, label) => sum + label, 0);
}
