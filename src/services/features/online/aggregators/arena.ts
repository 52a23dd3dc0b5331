import type { SectionReader, SectionWriter } from '../sections.ts';

/** Numbers of the smallest block; a block of size n has this many times 2^n. */
export const BLOCK_LENGTH_MIN = 8;
const LENGTH_MIN = 64;

/** Blocks of numbers in one growing array, for state whose length is not known beforehand. Freed blocks are reused by size. */
export class Arena {
  /** All blocks; replaced when it grows, so never keep it over an {@link allocate}. */
  values: Float64Array = new Float64Array(LENGTH_MIN);
  #bytes: Uint8Array = new Uint8Array(this.values.buffer);
  #used = 0;
  #free: number[][] = [];

  /** The same memory as bytes. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  get byteLength(): number {
    return this.values.byteLength;
  }

  /** A block whose numbers are anything. */
  allocate(size: number): number {
    const freed = this.#free[size]?.pop();
    if (freed !== undefined) return freed;
    const at = this.#used;
    this.#used += BLOCK_LENGTH_MIN << size;
    if (this.#used > this.values.length) {
      const grown = new Float64Array(Math.max(this.#used, this.values.length * 2));
      grown.set(this.values);
      this.values = grown;
      this.#bytes = new Uint8Array(grown.buffer);
    }
    return at;
  }

  free(at: number, size: number): void {
    (this.#free[size] ??= []).push(at);
  }

  save(writer: SectionWriter): void {
    writer.json(Array.from(this.#free, (list) => [...(list ?? [])]));
    writer.numbers(this.values.slice(0, this.#used));
  }

  /** Loads what {@link save} wrote: blocks keep their places. */
  load(reader: SectionReader): void {
    this.#free = reader.json<number[][]>();
    const values = reader.numbers();
    this.#used = values.length;
    this.values = new Float64Array(Math.max(LENGTH_MIN, values.length));
    this.values.set(values);
    this.#bytes = new Uint8Array(this.values.buffer);
  }
}
