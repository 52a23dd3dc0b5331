/** Entries a table starts with room for. */
const CAPACITY_MIN = 64;
/** No place is negative. */
const EMPTY = -1;
/** A cell: place, then slot, so that both are in one line of the cache. */
const CELL = 2;

/**
 * Finds a row's slot by the place of its record: a hash table of numbers with open addressing, 16 bytes a cell, at most half
 * full. Entries are never removed: the owner builds it anew when many are out of date.
 */
export class PlaceIndex {
  #cells: Float64Array = new Float64Array(CAPACITY_MIN * CELL).fill(EMPTY);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return this.#cells.byteLength;
  }

  /** The slot of a place, or -1. */
  get(place: number): number {
    // The slot of an empty cell is EMPTY too.
    return this.#cells[this.#find(place) + 1] ?? EMPTY;
  }

  set(place: number, slot: number): void {
    let at = this.#find(place);
    if (this.#cells[at] !== place) {
      this.#size += 1;
      if (this.#size * CELL * 2 > this.#cells.length) {
        this.#grow();
        at = this.#find(place);
      }
      this.#cells[at] = place;
    }
    this.#cells[at + 1] = slot;
  }

  /** The cell of the place, or the empty one where it would be. */
  #find(place: number): number {
    const cells = this.#cells;
    const mask = cells.length - 1;
    // Offsets are consecutive and their partition is far up: both halves must reach the low bits.
    let hash = Math.imul((place >>> 0) ^ Math.imul(Math.floor(place / 2 ** 32), 0x9e3779b1), 0x85ebca6b);
    hash ^= hash >>> 15;
    let at = (hash * CELL) & mask;
    for (;;) {
      const found = cells[at];
      if (found === place || found === EMPTY) return at;
      at = (at + CELL) & mask;
    }
  }

  #grow(): void {
    const before = this.#cells;
    this.#cells = new Float64Array(before.length * 2).fill(EMPTY);
    for (let from = 0; from < before.length; from += CELL) {
      const place = before[from] ?? EMPTY;
      if (place === EMPTY) continue;
      const at = this.#find(place);
      this.#cells[at] = place;
      this.#cells[at + 1] = before[from + 1] ?? EMPTY;
    }
  }
}
