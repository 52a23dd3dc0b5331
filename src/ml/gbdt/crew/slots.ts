/** Numbers and arrays of a shared memory, written by one thread in the order in which another one reads them. */
export class Slots {
  readonly #values: Float64Array<SharedArrayBuffer>;
  #next = 0;

  /** @param values in the memory that the arrays are in */
  constructor(values: Float64Array<SharedArrayBuffer>) {
    this.#values = values;
  }

  rewind(): this {
    this.#next = 0;
    return this;
  }

  put(...values: readonly number[]): this {
    for (const value of values) {
      this.#values[this.#next] = value;
      this.#next += 1;
    }
    return this;
  }

  /** Where an array lies, not what is in it. */
  putArray(array: ArrayBufferView & { readonly length: number }): this {
    return this.put(array.byteOffset, array.length);
  }

  take(): number {
    const value = this.#values[this.#next] as number;
    this.#next += 1;
    return value;
  }

  takeBytes(): Uint8Array {
    return new Uint8Array(this.#values.buffer, this.take(), this.take());
  }

  takeIntegers(): Int32Array {
    return new Int32Array(this.#values.buffer, this.take(), this.take());
  }

  takeFloats(): Float32Array {
    return new Float32Array(this.#values.buffer, this.take(), this.take());
  }

  takeDoubles(): Float64Array {
    return new Float64Array(this.#values.buffer, this.take(), this.take());
  }
}
