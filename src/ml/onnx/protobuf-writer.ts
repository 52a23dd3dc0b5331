const TEXT = new TextEncoder();

/** Wire types of the protocol buffers encoding. */
export const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/**
 * @internal Writes one protocol buffers message: every field is its number and wire type, then its value.
 * Fields appear in the order of the calls, so equal calls give equal bytes.
 */
export class ProtobufWriter {
  #bytes: Uint8Array = new Uint8Array(256);
  #view: DataView = new DataView(this.#bytes.buffer);
  #length = 0;

  /**
   * An integer field.
   *
   * @throws RangeError unless the value is a natural number.
   */
  integer(field: number, value: number): this {
    return this.#tag(field, WIRE.varint).#varint(value);
  }

  /** A 32-bit float field. */
  float(field: number, value: number): this {
    this.#tag(field, WIRE.fixed32);
    this.#reserve(4);
    this.#view.setFloat32(this.#length, value, true);
    this.#length += 4;
    return this;
  }

  /** A field of bytes, text, or a message that was written by another writer. */
  bytes(field: number, value: Uint8Array | string | ProtobufWriter): this {
    const content =
      typeof value === 'string' ? TEXT.encode(value) : value instanceof Uint8Array ? value : value.finish();
    this.#tag(field, WIRE.bytes).#varint(content.length);
    this.#reserve(content.length);
    this.#bytes.set(content, this.#length);
    this.#length += content.length;
    return this;
  }

  /** The beginning of a field of so many bytes, which the caller puts behind what this writer has written. */
  head(field: number, length: number): this {
    return this.#tag(field, WIRE.bytes).#varint(length);
  }

  /** A packed list of 32-bit floats. */
  floats(field: number, values: ArrayLike<number>): this {
    this.#tag(field, WIRE.bytes).#varint(values.length * 4);
    this.#reserve(values.length * 4);
    for (let index = 0; index < values.length; index += 1) {
      this.#view.setFloat32(this.#length + index * 4, values[index] as number, true);
    }
    this.#length += values.length * 4;
    return this;
  }

  /** A packed list of natural numbers. */
  integers(field: number, values: ArrayLike<number>): this {
    const list = new ProtobufWriter();
    for (let index = 0; index < values.length; index += 1) list.#varint(values[index] as number);
    return this.bytes(field, list);
  }

  /** The bytes written so far; valid until the next call. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #tag(field: number, wire: number): this {
    return this.#varint(field * 8 + wire);
  }

  #varint(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new RangeError(`Expected a natural number, not ${value}`);
    this.#reserve(8);
    let rest = value;
    while (rest > 127) {
      this.#bytes[this.#length] = (rest % 128) + 128;
      this.#length += 1;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.#length] = rest;
    this.#length += 1;
    return this;
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + count));
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}
