import { PlatformError } from '../../../contract/index.ts';

/**
 * The file form of a snapshot: a magic number and a version, then sections, each an 8-byte little-endian length (negative
 * for JSON text) and its bytes, padded to 8. Little-endian machines only, as every platform of the product is.
 */
const MAGIC = 0x54_4e_44_4d;
const FORMAT = 1;
const HEADER_BYTES = 8;

/** Collects sections; {@link SectionWriter.finish} joins them. */
export class SectionWriter {
  readonly #parts: { readonly length: number; readonly bytes: Uint8Array }[] = [];

  json(value: unknown): void {
    const bytes = Buffer.from(JSON.stringify(value), 'utf8');
    this.#parts.push({ length: -bytes.length, bytes });
  }

  /** The values are read at `finish`, so they must not change before. */
  numbers(values: Float64Array): void {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    this.#parts.push({ length: bytes.length, bytes });
  }

  finish(): Uint8Array {
    const total = this.#parts.reduce((sum, part) => sum + 8 + padded(part.bytes.length), HEADER_BYTES);
    const file = new Uint8Array(total);
    const view = new DataView(file.buffer);
    view.setUint32(0, MAGIC, true);
    view.setUint32(4, FORMAT, true);
    let at = HEADER_BYTES;
    for (const part of this.#parts) {
      view.setBigInt64(at, BigInt(part.length), true);
      file.set(part.bytes, at + 8);
      at += 8 + padded(part.bytes.length);
    }
    return file;
  }
}

/** Reads sections in the order in which they were written; anything else is an INTERNAL error. */
export class SectionReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = HEADER_BYTES;

  constructor(bytes: Uint8Array) {
    // A copy at an 8-byte boundary, so that numbers can be viewed in place.
    this.#bytes = bytes.byteOffset % 8 === 0 ? bytes : Uint8Array.from(bytes);
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
    if (bytes.length < HEADER_BYTES || this.#view.getUint32(0, true) !== MAGIC)
      throw broken('not a snapshot');
    const format = this.#view.getUint32(4, true);
    if (format !== FORMAT) throw broken(`format ${String(format)}, expected ${String(FORMAT)}`);
  }

  json<TValue>(): TValue {
    const length = this.#length();
    if (length > 0) throw broken('expected text, found numbers');
    return JSON.parse(Buffer.from(this.#take(-length)).toString('utf8')) as TValue;
  }

  numbers(): Float64Array {
    const length = this.#length();
    if (length < 0 || length % 8 !== 0) throw broken('expected numbers, found text');
    const bytes = this.#take(length);
    return new Float64Array(bytes.buffer, bytes.byteOffset, length / 8);
  }

  #length(): number {
    if (this.#at + 8 > this.#bytes.length) throw broken('it ends too early');
    const length = Number(this.#view.getBigInt64(this.#at, true));
    this.#at += 8;
    return length;
  }

  #take(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw broken('it ends too early');
    const bytes = this.#bytes.subarray(this.#at, end);
    this.#at += padded(length);
    return bytes;
  }
}

function padded(length: number): number {
  return Math.ceil(length / 8) * 8;
}

function broken(why: string): PlatformError {
  return new PlatformError('INTERNAL', `The snapshot of the feature state cannot be read: ${why}`);
}
