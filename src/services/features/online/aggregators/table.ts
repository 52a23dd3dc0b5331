import { type Arena, BLOCK_LENGTH_MIN } from './arena.ts';
import { hashNumber } from './hash.ts';

/** Columns of a tile that hold a table. */
const BLOCK = 0;
const SIZE = 1;
const COUNT = 2;
export const TABLE_COLUMNS = 3;

/** What a column has where there is no block. */
const NONE = -1;

/**
 * Hash tables from numbers to a count, or to nothing, whose blocks lie in an arena; a tile has a table's place, size and number
 * of entries. Open addressing, at most half full; no key is NaN, which marks an empty cell. What a table answers does not
 * depend on the order in which it was filled.
 */
export class Tables {
  readonly #arena: Arena;
  /** Numbers of an entry: its key, and its count. */
  readonly #width: number;

  constructor(arena: Arena, width: 1 | 2) {
    this.#arena = arena;
    this.#width = width;
  }

  open(values: Float64Array, at: number): void {
    values[at + BLOCK] = NONE;
    values[at + SIZE] = 0;
    values[at + COUNT] = 0;
  }

  count(values: Float64Array, at: number): number {
    return values[at + COUNT] ?? 0;
  }

  /** Adds to the count of a key, which is new with 0. */
  add(values: Float64Array, at: number, key: number, count: number): void {
    const entries = values[at + COUNT] ?? 0;
    if ((entries + 1) * 2 > this.#capacity(values, at)) this.#enlarge(values, at);
    const cell = this.#find(values, at, key);
    const cells = this.#arena.values;
    if (Number.isNaN(cells[cell])) {
      cells[cell] = key;
      if (this.#width === 2) cells[cell + 1] = 0;
      values[at + COUNT] = entries + 1;
    }
    if (this.#width === 2) cells[cell + 1] = (cells[cell + 1] ?? 0) + count;
  }

  /** Calls `visit` for each entry, in no order that means anything. */
  each(values: Float64Array, at: number, visit: (key: number, count: number) => void): void {
    const block = values[at + BLOCK] ?? NONE;
    if (block === NONE) return;
    const end = block + this.#capacity(values, at) * this.#width;
    for (let cell = block; cell < end; cell += this.#width) {
      // The arena's array may be another after a visit.
      const key = this.#arena.values[cell] ?? Number.NaN;
      if (!Number.isNaN(key)) visit(key, this.#width === 2 ? (this.#arena.values[cell + 1] ?? 0) : 1);
    }
  }

  /** Gives the block back; the table is empty then. */
  release(values: Float64Array, at: number): void {
    const block = values[at + BLOCK] ?? NONE;
    if (block !== NONE) this.#arena.free(block, values[at + SIZE] ?? 0);
    this.open(values, at);
  }

  /** Number of cells. */
  #capacity(values: Float64Array, at: number): number {
    if (values[at + BLOCK] === NONE) return 0;
    return (BLOCK_LENGTH_MIN << (values[at + SIZE] ?? 0)) / this.#width;
  }

  /** The cell of the key, or the empty one where it would be. */
  #find(values: Float64Array, at: number, key: number): number {
    const mask = this.#capacity(values, at) - 1;
    const block = values[at + BLOCK] ?? 0;
    const cells = this.#arena.values;
    let cell = hashNumber(key) & mask;
    for (;;) {
      const place = block + cell * this.#width;
      const found = cells[place] ?? 0;
      if (found === key || Number.isNaN(found)) return place;
      cell = (cell + 1) & mask;
    }
  }

  #enlarge(values: Float64Array, at: number): void {
    const from = values[at + BLOCK] ?? NONE;
    const size = values[at + SIZE] ?? 0;
    const cells = this.#capacity(values, at);
    const larger = from === NONE ? 0 : size + 1;
    const to = this.#arena.allocate(larger);
    this.#arena.values.fill(Number.NaN, to, to + (BLOCK_LENGTH_MIN << larger));
    values[at + BLOCK] = to;
    values[at + SIZE] = larger;
    for (let cell = 0; cell < cells; cell += 1) {
      const place = from + cell * this.#width;
      const key = this.#arena.values[place] ?? Number.NaN;
      if (Number.isNaN(key)) continue;
      const found = this.#find(values, at, key);
      this.#arena.values.copyWithin(found, place, place + this.#width);
    }
    if (from !== NONE) this.#arena.free(from, size);
  }
}
