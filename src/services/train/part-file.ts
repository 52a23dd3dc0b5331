// Not the whole contract: a thread would load all its schemas.
import { PlatformError } from '../../contract/errors.ts';
import { type Categories, categoriesMember } from './categories.ts';

/**
 * The rows of one side of a split, as an artefact. Equal rows give equal bytes, so that equal training rows
 * are fitted once.
 *
 * | bytes | content |
 * |---|---|
 * | 8 | `TNDMPART` |
 * | 4 | version of the form, 1 |
 * | 4 | length of the header |
 * | header | JSON `{"names": [...], "rows": n, "days": bool, "entities": bool}`, with `"categories"` by name where an input has some, filled up with spaces |
 * | 4 x rows x names | float32 values, row after row, NaN for missing |
 * | rows | labels, 0 or 1 |
 * | 4 x rows | int32 day of the test period, if `days` |
 * | 4 x rows | uint32 number of the entity, if `entities` |
 *
 * Everything is little-endian, and each part is filled up with zeros to a multiple of 8 bytes.
 */
export interface Part {
  /** What each value of a row is. */
  readonly names: readonly string[];
  /** By name, what the values of categorical inputs stand for. */
  readonly categories: Categories;
  readonly rows: number;
  /** The value of row r and name c is `values[r * names.length + c]`; NaN is missing. */
  readonly values: Float32Array;
  readonly labels: Uint8Array;
  /** Present in the part for testing. */
  readonly days: Int32Array | undefined;
  /** Present when known entities are left out. */
  readonly entities: Uint32Array | undefined;
}

interface Header {
  readonly names: readonly string[];
  readonly categories: Categories;
  readonly rows: number;
  readonly days: boolean;
  readonly entities: boolean;
}

const MAGIC = 'TNDMPART';
const VERSION = 1;
const PREFIX_BYTES = 16;
const HEADER_BYTES_MAX = 16 * 1_048_576;
/** The one NaN that is written, as a signalling or negative one would change the digest. */
const NAN_BITS = 0x7fc0_0000;

/**
 * Makes a part of so many rows, its arrays zero and waiting to be filled; `bytes` is the file, see {@link
 * sealPart}.
 */
export function createPart(header: Header): { readonly part: Part; readonly bytes: Uint8Array<ArrayBuffer> } {
  const json = JSON.stringify({
    names: header.names,
    rows: header.rows,
    days: header.days,
    entities: header.entities,
    ...categoriesMember(header.categories),
  });
  const text = new TextEncoder().encode(json);
  const headerBytes = padded(text.length);
  if (headerBytes > HEADER_BYTES_MAX) {
    throw new PlatformError(
      'UNPROCESSABLE',
      `The names and categories of the inputs take ${headerBytes} bytes, ${HEADER_BYTES_MAX} at most`,
    );
  }
  const layout = layoutOf(header, PREFIX_BYTES + headerBytes);
  const bytes = new Uint8Array(layout.end);
  bytes.set(new TextEncoder().encode(MAGIC));
  const view = new DataView(bytes.buffer);
  view.setUint32(8, VERSION, true);
  view.setUint32(12, headerBytes, true);
  bytes.fill(0x20, PREFIX_BYTES, PREFIX_BYTES + headerBytes);
  bytes.set(text, PREFIX_BYTES);
  return { part: viewsOf(header, layout, bytes), bytes };
}

/** Gives every missing value the same bits. Call it when the part is filled. */
export function sealPart(part: Part): void {
  const { buffer, byteOffset, length } = part.values;
  const bits = new Uint32Array(buffer, byteOffset, length);
  for (let index = 0; index < length; index += 1) {
    if (Number.isNaN(part.values[index])) bits[index] = NAN_BITS;
  }
}

/**
 * Reads a part; its arrays lie over the bytes, or over a copy where they are not aligned. Throws INTERNAL on
 * other bytes.
 */
export function readPart(given: Uint8Array): Part {
  const bytes = given.byteOffset % 8 === 0 ? given : given.slice();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const decoder = new TextDecoder();
  if (bytes.length < PREFIX_BYTES || decoder.decode(bytes.subarray(0, 8)) !== MAGIC)
    throw malformed('no part of a split');
  const version = view.getUint32(8, true);
  if (version !== VERSION) throw malformed(`of version ${version}, not ${VERSION}`);
  const headerBytes = view.getUint32(12, true);
  if (headerBytes > HEADER_BYTES_MAX) throw malformed(`with a header of ${headerBytes} bytes`);
  const written = JSON.parse(
    decoder.decode(bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + headerBytes)),
  ) as Omit<Header, 'categories'> & Partial<Header>;
  const header: Header = { ...written, categories: written.categories ?? {} };
  const layout = layoutOf(header, PREFIX_BYTES + headerBytes);
  if (layout.end !== bytes.length) throw malformed(`of ${bytes.length} bytes instead of ${layout.end}`);
  return viewsOf(header, layout, bytes);
}

interface Layout {
  readonly values: number;
  readonly labels: number;
  readonly days: number;
  readonly entities: number;
  readonly end: number;
}

function layoutOf(header: Header, start: number): Layout {
  const { names, rows } = header;
  const labels = start + padded(rows * names.length * 4);
  const days = labels + padded(rows);
  const entities = days + (header.days ? padded(rows * 4) : 0);
  return { values: start, labels, days, entities, end: entities + (header.entities ? padded(rows * 4) : 0) };
}

function viewsOf(header: Header, layout: Layout, bytes: Uint8Array): Part {
  const { names, rows, categories } = header;
  const { buffer, byteOffset } = bytes;
  return {
    names,
    categories,
    rows,
    values: new Float32Array(buffer, byteOffset + layout.values, rows * names.length),
    labels: new Uint8Array(buffer, byteOffset + layout.labels, rows),
    days: header.days ? new Int32Array(buffer, byteOffset + layout.days, rows) : undefined,
    entities: header.entities ? new Uint32Array(buffer, byteOffset + layout.entities, rows) : undefined,
  };
}

function padded(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}

function malformed(what: string): PlatformError {
  return new PlatformError('INTERNAL', `The artefact is ${what}`);
}
