import { PlatformError } from '../../contract/index.ts';
import type { RawBody } from '../../runtime/index.ts';
import { PIECE_BYTES_MIN } from './limits.ts';

/** What watches a body while it is read. */
export interface BodyWatch {
  readonly bytesMax: number;
  /** Told of every chunk; throws to refuse it. */
  arrived(bytes: number): void;
}

/**
 * The chunks of a body in pieces worth looking at: tiny ones are put together, a byte order mark is left out. Throws
 * BODY_TOO_LARGE beyond the limit and whatever the body throws; both only after what came before was handed out.
 */
export async function* readPieces(
  chunks: AsyncIterable<Uint8Array>,
  watch: BodyWatch,
): AsyncGenerator<Buffer> {
  let parts: Uint8Array[] = [];
  let waiting = 0;
  let total = 0;
  let begun = false;
  let failure: { readonly error: unknown } | undefined;
  const take = (): Buffer => {
    const [first] = parts;
    const piece =
      parts.length === 1 && first !== undefined
        ? Buffer.from(first.buffer, first.byteOffset, first.byteLength)
        : Buffer.concat(parts, waiting);
    parts = [];
    waiting = 0;
    if (begun) return piece;
    begun = true;
    return piece.subarray(afterMark(piece));
  };
  try {
    for await (const chunk of chunks) {
      total += chunk.byteLength;
      if (total > watch.bytesMax) throw bodyTooLarge(watch.bytesMax);
      watch.arrived(chunk.byteLength);
      parts.push(chunk);
      waiting += chunk.byteLength;
      if (waiting >= PIECE_BYTES_MIN) yield take();
    }
  } catch (error) {
    failure = { error };
  }
  if (waiting > 0) yield take();
  if (failure !== undefined) throw failure.error;
}

/** All of a body, without a byte order mark. Throws what {@link readPieces} throws. */
export async function readWhole(body: RawBody, watch: BodyWatch): Promise<Buffer> {
  if (body.whole === undefined) {
    const pieces: Buffer[] = [];
    for await (const piece of readPieces(body.chunks, watch)) pieces.push(piece);
    return Buffer.concat(pieces);
  }
  let total = 0;
  const bytes = await body.whole((count) => {
    total += count;
    if (total > watch.bytesMax) throw bodyTooLarge(watch.bytesMax);
    watch.arrived(count);
  });
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).subarray(afterMark(bytes));
}

function bodyTooLarge(bytesMax: number): PlatformError {
  return new PlatformError('BODY_TOO_LARGE', `The body has more than ${String(bytesMax)} bytes`, {
    details: { bytesMax },
  });
}

/** The error of a body without a record. */
export function emptyBody(): PlatformError {
  return new PlatformError('BAD_REQUEST', 'The body has no record; expected at least one');
}

/** Where the bytes begin after a byte order mark, if there is one. */
function afterMark(bytes: Uint8Array): number {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
}

const SPACE = 0x20;
const TAB = 0x09;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** Whether JSON takes the byte for white space. */
export function isSpace(byte: number | undefined): boolean {
  return byte === SPACE || byte === LINE_FEED || byte === CARRIAGE_RETURN || byte === TAB;
}

/** The bytes without white space around them. */
export function trim(bytes: Buffer, from = 0, to: number = bytes.length): Buffer {
  let start = from;
  let end = to;
  while (start < end && isSpace(bytes[start])) start += 1;
  while (end > start && isSpace(bytes[end - 1])) end -= 1;
  return bytes.subarray(start, end);
}

/** The text of valid UTF-8; of ASCII, the usual case, it is a plain copy. */
export function textOf(bytes: Buffer, ascii: boolean): string {
  return bytes.toString(ascii ? 'latin1' : 'utf8');
}
