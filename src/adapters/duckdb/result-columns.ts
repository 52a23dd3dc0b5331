import { type DuckDBDataChunk, type DuckDBResult, DuckDBTypeId } from '@duckdb/node-api';
import duckdb from '@duckdb/node-bindings';
import { PlatformError } from '../../contract/errors.ts';
import type { ColumnValues, ResultColumns } from '../../runtime/ports/index.ts';
import { appendStrings, STRING_ENTRY_BYTES } from './result-strings.ts';

/**
 * What a chunk's vector has for the rows: its values as they lie in memory, and one bit a row that is 0 for
 * null.
 */
interface Vector {
  readonly rows: number;
  readonly bytes: Uint8Array;
  /** Absent when nothing is null. */
  readonly valid: Uint8Array | undefined;
}

interface ColumnReader {
  /** Takes the vector's values over; it is gone afterwards. */
  add(vector: Vector): void;
  finish(): ColumnValues;
  readonly bytesEach: number;
}

/** Reads a result to its end, vector by vector. */
export async function readColumns(result: DuckDBResult): Promise<ResultColumns> {
  const names = result.columnNames();
  if (new Set(names).size !== names.length) {
    throw new PlatformError('INTERNAL', `A result has two columns of the same name: ${names.join(', ')}`);
  }
  const readers = names.map((name, index) => readerOf(result, index, name));
  let rows = 0;
  for (;;) {
    const chunk = await result.fetchChunk();
    if (chunk === null || chunk.rowCount === 0) break;
    readers.forEach((reader, index) => reader.add(vectorOf(chunk, index, reader.bytesEach)));
    rows += chunk.rowCount;
  }
  const columns = new Map<string, ColumnValues>();
  readers.forEach((reader, index) => columns.set(names[index] as string, reader.finish()));
  return { rows, names, columns };
}

/** Rows that a piece of {@link streamColumns} has at least, but for the last one. */
const PIECE_ROWS = 8_192;

/** Name of the column that is true in the row behind the last one. */
const END = 'tandem_end';

/** The statement with one row more behind all others: a streamed result that fails on its way just ends, without an error. */
export function withEnd(sql: string): string {
  return `select *, false as ${END} from (${sql}) union all by name select true as ${END}`;
}

/** Reads a result of {@link withEnd} piece by piece: what is not taken is not read. Throws when it ends too early. */
export async function* streamColumns(result: DuckDBResult): AsyncGenerator<ResultColumns, void, undefined> {
  for (let isOver = false; !isOver;) {
    const { piece, ended } = await readPiece(result);
    if (piece.rows > 0) yield piece;
    isOver = ended;
  }
}

async function readPiece(
  result: DuckDBResult,
): Promise<{ readonly piece: ResultColumns; readonly ended: boolean }> {
  const all = result.columnNames();
  const readers = all.map((name, index) => readerOf(result, index, name));
  let rows = 0;
  let isOver = false;
  while (rows < PIECE_ROWS && !isOver) {
    const chunk = await result.fetchChunk();
    if (chunk === null || chunk.rowCount === 0) {
      isOver = true;
    } else {
      readers.forEach((reader, index) => reader.add(vectorOf(chunk, index, reader.bytesEach)));
      rows += chunk.rowCount;
    }
  }
  const columns = new Map(readers.map((reader, index) => [all[index] ?? '', reader.finish()]));
  const ended = columns.get(END)?.at(-1) === true;
  if (isOver && !ended) throw new Error('The result ended before it was complete');
  columns.delete(END);
  if (!ended) return { piece: { rows, names: [...columns.keys()], columns }, ended };
  for (const [name, values] of columns) columns.set(name, values.slice(0, -1));
  return { piece: { rows: rows - 1, names: [...columns.keys()], columns }, ended };
}

function vectorOf(chunk: DuckDBDataChunk, index: number, bytesEach: number): Vector {
  const rows = chunk.rowCount;
  const vector = duckdb.data_chunk_get_vector(chunk.chunk, index);
  // Validity comes in words of 64 rows; the binding answers null when the vector has none.
  const valid = duckdb.vector_get_validity(vector, Math.ceil(rows / 64) * 8) as Uint8Array | null;
  return { rows, bytes: duckdb.vector_get_data(vector, rows * bytesEach), valid: valid ?? undefined };
}

function readerOf(result: DuckDBResult, index: number, name: string): ColumnReader {
  const type = result.columnTypeId(index);
  const numeric = NUMBERS.get(type);
  if (numeric !== undefined) return new NumberReader(name, numeric);
  if (type === DuckDBTypeId.VARCHAR) return new StringReader();
  if (type === DuckDBTypeId.BOOLEAN) return new BooleanReader();
  throw new PlatformError(
    'INTERNAL',
    `Column '${name}' is ${result.columnType(index).toString()}: cast it to double, bigint, boolean or varchar`,
  );
}

/** How numbers lie in a vector. */
interface NumberLayout {
  readonly bytesEach: number;
  copy(bytes: Uint8Array, target: Float64Array): void;
  /** Whether values may be integers that a float64 cannot hold. */
  readonly wide: boolean;
}

type NumberView = new (buffer: ArrayBufferLike, offset: number, length: number) => ArrayLike<number>;

function plain(bytesEach: number, view: NumberView): NumberLayout {
  return {
    bytesEach,
    copy: (bytes, target) => target.set(new view(bytes.buffer, bytes.byteOffset, target.length)),
    wide: false,
  };
}

/**
 * 64-bit integers, read as two words each: a BigInt64Array would allocate every value. Vectors are
 * little-endian.
 */
function wide(high: NumberView): NumberLayout {
  return {
    bytesEach: 8,
    copy(bytes, target) {
      const lows = new Uint32Array(bytes.buffer, bytes.byteOffset, target.length * 2);
      const highs = new high(bytes.buffer, bytes.byteOffset, target.length * 2);
      for (let row = 0; row < target.length; row += 1) {
        target[row] = (highs[row * 2 + 1] as number) * 0x1_0000_0000 + (lows[row * 2] as number);
      }
    },
    wide: true,
  };
}

const NUMBERS: ReadonlyMap<DuckDBTypeId, NumberLayout> = new Map([
  [DuckDBTypeId.DOUBLE, plain(8, Float64Array)],
  [DuckDBTypeId.FLOAT, plain(4, Float32Array)],
  [DuckDBTypeId.BIGINT, wide(Int32Array)],
  [DuckDBTypeId.UBIGINT, wide(Uint32Array)],
  [DuckDBTypeId.INTEGER, plain(4, Int32Array)],
  [DuckDBTypeId.UINTEGER, plain(4, Uint32Array)],
  [DuckDBTypeId.SMALLINT, plain(2, Int16Array)],
  [DuckDBTypeId.USMALLINT, plain(2, Uint16Array)],
  [DuckDBTypeId.TINYINT, plain(1, Int8Array)],
  [DuckDBTypeId.UTINYINT, plain(1, Uint8Array)],
]);

class NumberReader implements ColumnReader {
  readonly bytesEach: number;
  readonly #name: string;
  readonly #layout: NumberLayout;
  readonly #parts: Float64Array[] = [];
  #rows = 0;

  constructor(name: string, layout: NumberLayout) {
    this.bytesEach = layout.bytesEach;
    this.#name = name;
    this.#layout = layout;
  }

  add(vector: Vector): void {
    const part = new Float64Array(vector.rows);
    this.#layout.copy(vector.bytes, part);
    if (vector.valid !== undefined) {
      for (let row = 0; row < part.length; row += 1) if (isNull(vector.valid, row)) part[row] = Number.NaN;
    }
    if (this.#layout.wide) this.#assertSafe(part);
    this.#parts.push(part);
    this.#rows += part.length;
  }

  finish(): Float64Array {
    const all = new Float64Array(this.#rows);
    let offset = 0;
    for (const part of this.#parts) {
      all.set(part, offset);
      offset += part.length;
    }
    this.#parts.length = 0;
    return all;
  }

  #assertSafe(part: Float64Array): void {
    for (const value of part) {
      if (!Number.isSafeInteger(value) && !Number.isNaN(value)) {
        throw new PlatformError(
          'INTERNAL',
          `Column '${this.#name}' has an integer beyond 2^53 - 1, which no float64 holds: cast it to varchar or double`,
        );
      }
    }
  }
}

class StringReader implements ColumnReader {
  readonly bytesEach: number = STRING_ENTRY_BYTES;
  readonly #values: (string | null)[] = [];

  add(vector: Vector): void {
    const { valid } = vector;
    appendStrings(this.#values, vector, valid === undefined ? () => false : (row) => isNull(valid, row));
  }

  finish(): readonly (string | null)[] {
    return this.#values;
  }
}

class BooleanReader implements ColumnReader {
  readonly bytesEach: number = duckdb.sizeof_bool;
  readonly #values: (boolean | null)[] = [];

  add({ rows, bytes, valid }: Vector): void {
    for (let row = 0; row < rows; row += 1) {
      const value = bytes[row * this.bytesEach] !== 0;
      this.#values.push(valid !== undefined && isNull(valid, row) ? null : value);
    }
  }

  finish(): readonly (boolean | null)[] {
    return this.#values;
  }
}

function isNull(valid: Uint8Array, row: number): boolean {
  return ((valid[row >> 3] as number) & (1 << (row & 7))) === 0;
}
