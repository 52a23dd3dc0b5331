import { PlatformError } from '../../../contract/index.ts';

/**
 * The file form of a snapshot: a magic number and a version, then sections, each an 8-byte little-endian length (negative
 * for JSON text) and its bytes, padded to 8. Little-endian machines only, as every platform of the product is.
 */
const MAGIC = 0x54_4e_44_4d;
const FORMAT = 2;
const HEADER_BYTES = 8;
/** So many bytes are encoded or copied before other work gets its turn: about 2 ms. */
const TURN_BYTES = 4 * 2 ** 20;

/** A section before it is encoded: text is made of its value last. */
type Part = { readonly value: unknown } | { readonly bytes: Uint8Array };

/**
 * Collects sections, which must not change afterwards. Encoding them is most of the work: {@link SectionWriter.finish}
 * does it at once, {@link SectionWriter.finishInTurns} lets other work in between.
 */
export class SectionWriter {
  readonly #parts: Part[] = [];

  json(value: unknown): void {
    this.#parts.push({ value });
  }

  numbers(values: Float64Array): void {
    this.#parts.push({ bytes: bytesOf(values) });
  }

  bytes(bytes: Uint8Array): void {
    this.#parts.push({ bytes });
  }

  finish(): Uint8Array {
    const steps = joining(this.#parts);
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
    }
  }

  async finishInTurns(pause: () => Promise<void>): Promise<Uint8Array> {
    const steps = joining(this.#parts);
    let done = 0;
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
      done += step.value;
      if (done < TURN_BYTES) continue;
      done = 0;
      await pause();
    }
  }
}

interface Section {
  /** In bytes; negative for text. */
  readonly length: number;
  readonly bytes: Uint8Array;
}

function encode(part: Part): Section {
  if ('bytes' in part) return { length: part.bytes.length, bytes: part.bytes };
  const bytes = Buffer.from(JSON.stringify(part.value), 'utf8');
  return { length: -bytes.length, bytes };
}

/** Makes the file step by step; yields how many bytes a step has encoded or copied. */
function* joining(parts: readonly Part[]): Generator<number, Uint8Array> {
  const sections: Section[] = [];
  for (const part of parts) {
    const section = encode(part);
    sections.push(section);
    yield 'bytes' in part ? 0 : section.bytes.length;
  }
  const total = sections.reduce((sum, section) => sum + 8 + padded(section.bytes.length), HEADER_BYTES);
  // Memory as it comes: making hundreds of megabytes 0 first held the thread for 60 ms.
  const file = Buffer.allocUnsafeSlow(total);
  const view = new DataView(file.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, FORMAT, true);
  let at = HEADER_BYTES;
  for (const { length, bytes } of sections) {
    view.setBigInt64(at, BigInt(length), true);
    for (let from = 0; from < bytes.length; from += TURN_BYTES) {
      const piece = bytes.subarray(from, from + TURN_BYTES);
      file.set(piece, at + 8 + from);
      yield piece.length;
    }
    const end = at + 8 + bytes.length;
    at += 8 + padded(bytes.length);
    file.fill(0, end, at);
  }
  return file;
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

  bytes(): Uint8Array {
    const length = this.#length();
    if (length < 0) throw broken('expected bytes, found text');
    return this.#take(length);
  }

  /** Whole numbers of 32 bits. */
  integers(): Int32Array {
    const bytes = this.bytes();
    if (bytes.length % 4 !== 0) throw broken('expected numbers of 32 bits');
    return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
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

/** The memory of numbers, as bytes. */
export function bytesOf(values: Int32Array | Float64Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** A copy of bytes as whole numbers of 32 bits. */
export function integersOf(bytes: Uint8Array): Int32Array<ArrayBuffer> {
  // A Buffer's own slice() would be no copy.
  return new Int32Array(new Uint8Array(bytes).buffer);
}

function padded(length: number): number {
  return Math.ceil(length / 8) * 8;
}

function broken(why: string): PlatformError {
  return new PlatformError('INTERNAL', `The snapshot of the feature state cannot be read: ${why}`);
}
