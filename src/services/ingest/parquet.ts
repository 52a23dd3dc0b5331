import { DELETED_FIELD, PlatformError, REVISION_FIELD } from '../../contract/index.ts';
import type { ResultColumns, WarehouseSession } from '../../runtime/index.ts';
import { type CellColumn, compileCells, type RecordTarget } from './cells.ts';

/** A column of a file, as the warehouse sees it. */
interface FileColumn {
  readonly name: string;
  readonly type: string;
}

/** A Parquet file whose columns are fields of a source. */
export interface ParquetFile {
  /** Rows in it. */
  readonly rows: number;
  /** Records in the file's order, from the row `first` (counted from 0) on. Rejects with BAD_REQUEST where it cannot be read. */
  records(first: number): AsyncGenerator<readonly Record<string, unknown>[], void, undefined>;
}

/**
 * Looks at a file's columns. Rejects with BAD_REQUEST when it is no Parquet, UNPROCESSABLE when its columns are not those of
 * the source: then no row could be right.
 */
export async function openParquet(
  session: WarehouseSession,
  path: string,
  source: RecordTarget,
): Promise<ParquetFile> {
  const file = `read_parquet(${literal(path)}, binary_as_string = true, file_row_number = true)`;
  const { columns, rows } = await explained(0, async () => ({
    columns: columnsOf(await session.query(`describe select * exclude (file_row_number) from ${file}`)),
    rows: numberOf(await session.query(`select count(*)::double as rows from ${file}`)),
  }));
  checkNames(source, columns);
  const cells: CellColumn[] = columns.map(({ name, type }) => ({ field: name, isList: isList(type) }));
  const toRecord = compileCells(source, cells);
  const list = columns.map((column, index) => `${asText(column)} as c${String(index)}`).join(', ');
  return {
    rows,
    async *records(first) {
      let done = first;
      // The order is the file's own: the warehouse keeps it as it reads, and a sort would need all rows at once.
      const pieces = session.stream(`select ${list} from ${file} where file_row_number >= ${String(first)}`);
      try {
        for (;;) {
          const piece = await explained(done, () => pieces.next());
          if (piece.done === true) return;
          yield recordsOf(piece.value, toRecord);
          done += piece.value.rows;
        }
      } finally {
        await pieces.return();
      }
    },
  };
}

function recordsOf(
  { rows, names, columns }: ResultColumns,
  toRecord: (cells: readonly (string | null)[]) => Record<string, unknown>,
): Record<string, unknown>[] {
  const values = names.map((name) => columns.get(name) as readonly (string | null)[]);
  return Array.from({ length: rows }, (_, row) => toRecord(values.map((column) => column[row] ?? null)));
}

/** Failures of reading a file, in words for whoever sent it. What the warehouse says goes to the log. */
async function explained<TResult>(row: number, work: () => Promise<TResult>): Promise<TResult> {
  try {
    return await work();
  } catch (error) {
    if (!PlatformError.is(error) || error.code !== 'INTERNAL') throw error;
    const where = row === 0 ? '' : ` after row ${String(row)}`;
    throw new PlatformError('BAD_REQUEST', `The body cannot be read as Parquet${where}`, {
      details: { row },
      cause: error,
    });
  }
}

function checkNames(source: RecordTarget, columns: readonly FileColumn[]): void {
  const names = new Set(columns.map(({ name }) => name));
  const marks = source.corrections === true ? [REVISION_FIELD, DELETED_FIELD] : [];
  const unknown = columns
    .map(({ name }) => name)
    .filter((name) => !Object.hasOwn(source.fields, name) && !marks.includes(name));
  if (unknown.length > 0) {
    throw new PlatformError(
      'UNPROCESSABLE',
      `Source '${source.name}' has no field for the column '${String(unknown[0]).slice(0, 100)}' of the file`,
      { details: { unknown, fields: Object.keys(source.fields) } },
    );
  }
  // A file of deletions has ids and keys.
  const isNeeded = (name: string): boolean =>
    !(source.corrections === true && names.has(DELETED_FIELD)) || name === source.id || name === source.key;
  const missing = Object.entries(source.fields).filter(
    ([name, field]) => !field.optional && !names.has(name) && isNeeded(name),
  );
  if (missing.length > 0) {
    throw new PlatformError(
      'UNPROCESSABLE',
      `The file has no column '${String(missing[0]?.[0])}', which source '${source.name}' needs`,
      { details: { missing: missing.map(([name]) => name) } },
    );
  }
  const strange = columns.find(({ type }) => !READABLE.test(type));
  if (strange !== undefined) {
    throw new PlatformError(
      'UNPROCESSABLE',
      `The column '${strange.name}' is ${strange.type.slice(0, 100)}, which no field can hold`,
      { details: { column: strange.name } },
    );
  }
}

/** Types with one value a cell, and lists of numbers. */
const READABLE =
  /^(BOOLEAN|U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\([\d, ]+\)|VARCHAR|UUID|DATE|TIME|TIMESTAMP.*|ENUM\(.*\)|((FLOAT|DOUBLE|U?(TINY|SMALL|BIG)INT|U?INTEGER|DECIMAL\([\d, ]+\))\[\d*\]))$/;

function isList(type: string): boolean {
  return type.endsWith(']');
}

/** The cell as text that loses nothing: decimals with all their digits, instants in UTC with all their parts of a second. */
function asText({ name, type }: FileColumn): string {
  const column = `"${name.replaceAll('"', '""')}"`;
  if (type === 'TIMESTAMP_NS') return `strftime(${column}, '%Y-%m-%dT%H:%M:%S.%nZ')`;
  if (type.startsWith('TIMESTAMP')) {
    return `case when isfinite(${column}) then strftime(make_timestamp(epoch_us(${column})), '%Y-%m-%dT%H:%M:%S.%fZ') else ${column}::varchar end`;
  }
  if (type === 'DATE')
    return `case when isfinite(${column}) then strftime(${column}, '%Y-%m-%dT00:00:00Z') else ${column}::varchar end`;
  // A list as it is printed is one of JSON, but for the word for null.
  if (isList(type)) return `replace(${column}::varchar, 'NULL', 'null')`;
  return `${column}::varchar`;
}

function columnsOf(described: ResultColumns): FileColumn[] {
  const [names, types] = ['column_name', 'column_type'].map((name) => described.columns.get(name));
  return Array.from({ length: described.rows }, (_, row) => ({
    name: String(names?.[row]),
    type: String(types?.[row]),
  }));
}

function numberOf(result: ResultColumns): number {
  return Number(result.columns.get('rows')?.[0] ?? 0);
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
