// Not the whole contract: a thread would load all its schemas.
import { PlatformError } from '../../contract/errors.ts';

/** What an interaction is for when a recommender is judged. */
export const SIDE = {
  /** For nothing: its user or item has too few others, or it repeats what is to be predicted. */
  none: 0,
  /** To be learnt from. */
  earlier: 1,
  /** To be predicted. */
  later: 2,
} as const;

/**
 * Interactions as an artefact. Equal interactions give equal bytes; users are told apart and not named.
 *
 * | bytes | content |
 * |---|---|
 * | 8 | `TNDMINTR` |
 * | 4 | version of the form, 1 |
 * | 4 | length of the header |
 * | header | JSON `{"items": [...], "users": n, "rows": n}`, filled up with spaces |
 * | 8 x rows | float64 event times, in milliseconds, ascending |
 * | 4 x rows | uint32 number of the user |
 * | 4 x rows | uint32 number of the item: its place among `items` |
 * | 4 x rows | float32 weight |
 * | rows | what it is for, see {@link SIDE} |
 *
 * Everything is little-endian, and each part is filled up with zeros to a multiple of 8 bytes.
 */
export interface InteractionsFile {
  /** Ids of the items, ascending. */
  readonly items: readonly string[];
  /** Number of users. */
  readonly users: number;
  readonly rows: number;
  readonly times: Float64Array;
  readonly userOf: Uint32Array;
  readonly itemOf: Uint32Array;
  readonly weights: Float32Array;
  readonly sides: Uint8Array;
}

type Header = Pick<InteractionsFile, 'items' | 'users' | 'rows'>;

const MAGIC = 'TNDMINTR';
const VERSION = 1;
const PREFIX_BYTES = 16;

/** Makes a file of so many rows, its arrays zero and waiting to be filled. */
export function createInteractions(header: Header): {
  readonly file: InteractionsFile;
  readonly bytes: Uint8Array<ArrayBuffer>;
} {
  const { items, users, rows } = header;
  const text = new TextEncoder().encode(JSON.stringify({ items, users, rows }));
  const headerBytes = padded(text.length);
  const start = PREFIX_BYTES + headerBytes;
  const bytes = new Uint8Array(endOf(start, rows));
  bytes.set(new TextEncoder().encode(MAGIC));
  const view = new DataView(bytes.buffer);
  view.setUint32(8, VERSION, true);
  view.setUint32(12, headerBytes, true);
  bytes.fill(0x20, PREFIX_BYTES, start);
  bytes.set(text, PREFIX_BYTES);
  return { file: viewsOf(header, start, bytes), bytes };
}

/** Reads a file; its arrays lie over the bytes, or over a copy where they are not aligned. Throws INTERNAL on other bytes. */
export function readInteractions(given: Uint8Array): InteractionsFile {
  const bytes = given.byteOffset % 8 === 0 ? given : given.slice();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const decoder = new TextDecoder();
  if (bytes.length < PREFIX_BYTES || decoder.decode(bytes.subarray(0, 8)) !== MAGIC) {
    throw malformed('no interactions');
  }
  const version = view.getUint32(8, true);
  if (version !== VERSION) throw malformed(`of version ${version}, not ${VERSION}`);
  const start = PREFIX_BYTES + view.getUint32(12, true);
  if (start > bytes.length) throw malformed(`cut within its header`);
  const header = JSON.parse(decoder.decode(bytes.subarray(PREFIX_BYTES, start))) as Header;
  const end = endOf(start, header.rows);
  if (end !== bytes.length) throw malformed(`of ${bytes.length} bytes instead of ${end}`);
  return viewsOf(header, start, bytes);
}

function endOf(start: number, rows: number): number {
  return start + rows * 8 + 3 * padded(rows * 4) + padded(rows);
}

function viewsOf({ items, users, rows }: Header, start: number, bytes: Uint8Array): InteractionsFile {
  const { buffer, byteOffset } = bytes;
  const userAt = byteOffset + start + rows * 8;
  const itemAt = userAt + padded(rows * 4);
  const weightAt = itemAt + padded(rows * 4);
  return {
    items,
    users,
    rows,
    times: new Float64Array(buffer, byteOffset + start, rows),
    userOf: new Uint32Array(buffer, userAt, rows),
    itemOf: new Uint32Array(buffer, itemAt, rows),
    weights: new Float32Array(buffer, weightAt, rows),
    sides: new Uint8Array(buffer, weightAt + padded(rows * 4), rows),
  };
}

function padded(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}

function malformed(what: string): PlatformError {
  return new PlatformError('INTERNAL', `The artefact is ${what}`);
}
