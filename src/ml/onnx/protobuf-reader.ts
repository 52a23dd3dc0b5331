import { MalformedModel } from './errors.ts';
import type { ReadLimits } from './limits.ts';
import { WIRE } from './protobuf-writer.ts';

const TEXT = new TextDecoder('utf-8', { fatal: true });

/** What may still be read; shared by the readers of one file. */
interface Budget {
  elements: number;
  readonly depthMax: number;
}

/**
 * @internal Reads one protocol buffers message from untrusted bytes, field by field:
 *
 * `while (reader.next()) { if (reader.field === 1) x = reader.integer(); else reader.skip(); }`
 *
 * Every method throws {@link MalformedModel} where the bytes end too early, have another type or exceed the
 * limits.
 */
export class ProtobufReader {
  /** Number of the current field. */
  field = 0;
  #wire = 0;
  #position: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #end: number;
  readonly #depth: number;
  readonly #budget: Budget;

  private constructor(
    bytes: Uint8Array,
    range: { start: number; end: number; depth: number },
    budget: Budget,
  ) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#position = range.start;
    this.#end = range.end;
    this.#depth = range.depth;
    this.#budget = budget;
  }

  /** A reader of the outermost message. */
  static of(bytes: Uint8Array, limits: ReadLimits): ProtobufReader {
    if (bytes.length > limits.bytesMax) {
      throw new MalformedModel(`The file has ${bytes.length} bytes, the limit is ${limits.bytesMax}`);
    }
    const budget = { elements: limits.elementsMax, depthMax: limits.depthMax };
    return new ProtobufReader(bytes, { start: 0, end: bytes.length, depth: 1 }, budget);
  }

  /**
   * Moves to the next field; false at the end of the message. The value of the current field must have been
   * read.
   */
  next(): boolean {
    if (this.#position === this.#end) return false;
    this.#spend(1);
    const tag = this.#varint();
    this.field = Math.floor(tag / 8);
    this.#wire = tag % 8;
    if (this.field === 0 || tag > 0xffffffff)
      throw this.#malformed(`no field can have the number ${this.field}`);
    return true;
  }

  /** The current field as an integer. */
  integer(): number {
    this.#expect(WIRE.varint);
    return this.#varint();
  }

  /** The current field as a 32-bit float. */
  float(): number {
    this.#expect(WIRE.fixed32);
    return this.#view.getFloat32(this.#take(4), true);
  }

  /** The current field as bytes: a view of the file. */
  bytes(): Uint8Array {
    this.#expect(WIRE.bytes);
    const length = this.#varint();
    const start = this.#take(length);
    return this.#bytes.subarray(start, start + length);
  }

  /** The current field as text. */
  text(): string {
    const bytes = this.bytes();
    try {
      return TEXT.decode(bytes);
    } catch (cause) {
      throw new MalformedModel(`Field ${this.field} should be text but is not UTF-8`, { cause });
    }
  }

  /** A reader of the message in the current field. */
  message(): ProtobufReader {
    this.#expect(WIRE.bytes);
    if (this.#depth >= this.#budget.depthMax) {
      throw this.#malformed(`messages are nested more than ${this.#budget.depthMax} deep`);
    }
    const length = this.#varint();
    const start = this.#take(length);
    return new ProtobufReader(
      this.#bytes,
      { start, end: start + length, depth: this.#depth + 1 },
      this.#budget,
    );
  }

  /** Adds the floats of the current field, packed or single, to a list. */
  floatsInto(list: number[]): void {
    if (this.#wire !== WIRE.bytes) {
      list.push(this.float());
      return;
    }
    const length = this.#varint();
    if (length % 4 !== 0) throw this.#malformed(`${length} bytes are no list of 32-bit floats`);
    this.#spend(length / 4);
    const start = this.#take(length);
    for (let at = start; at < start + length; at += 4) list.push(this.#view.getFloat32(at, true));
  }

  /** Adds the integers of the current field, packed or single, to a list. */
  integersInto(list: number[]): void {
    if (this.#wire !== WIRE.bytes) {
      list.push(this.integer());
      return;
    }
    const length = this.#varint();
    const end = this.#position + length;
    if (end > this.#end) this.#take(length);
    while (this.#position < end) {
      this.#spend(1);
      list.push(this.#varint());
    }
    if (this.#position !== end) throw this.#malformed('the last element of a list runs over its end');
  }

  /** Passes over the value of the current field. */
  skip(): void {
    switch (this.#wire) {
      case WIRE.varint:
        this.#varint();
        return;
      case WIRE.fixed64:
        this.#take(8);
        return;
      case WIRE.bytes:
        this.#take(this.#varint());
        return;
      case WIRE.fixed32:
        this.#take(4);
        return;
      default:
        throw this.#malformed(`wire type ${this.#wire} is not in use`);
    }
  }

  /** A varint of at most 64 bits, in two's complement. */
  #varint(): number {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#bytes[this.#take(1)] as number;
      if (shift < 28) low += (byte & 127) * 2 ** shift;
      else high += (byte & 127) * 2 ** (shift - 28);
      if (byte < 128) return this.#joined(low, high);
    }
    throw this.#malformed('a number has more than ten bytes');
  }

  /** The number of 28 low bits and up to 36 (or, with garbage behind the 64th bit, 42) high ones. */
  #joined(low: number, high: number): number {
    const bits = high % 2 ** 36;
    const value = bits >= 2 ** 35 ? (bits - 2 ** 36) * 2 ** 28 + low : bits * 2 ** 28 + low;
    if (!Number.isSafeInteger(value)) throw this.#malformed('a number is beyond 2^53');
    return value;
  }

  #take(count: number): number {
    const start = this.#position;
    if (count < 0 || count > this.#end - start) {
      throw this.#malformed(`${count} bytes are announced but ${this.#end - start} are left`);
    }
    this.#position = start + count;
    return start;
  }

  #expect(wire: number): void {
    if (this.#wire !== wire) throw this.#malformed(`wire type ${wire} was expected, not ${this.#wire}`);
  }

  #spend(elements: number): void {
    this.#budget.elements -= elements;
    if (this.#budget.elements < 0)
      throw this.#malformed('there are more fields and list elements than the limit allows');
  }

  #malformed(reason: string): MalformedModel {
    return new MalformedModel(`At byte ${this.#position}, field ${this.field}: ${reason}`);
  }
}
