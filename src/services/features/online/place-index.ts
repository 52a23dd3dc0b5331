/** Entries a table starts with room for. */
const CAPACITY_MIN = 64;
/** No place is negative. */
const EMPTY = -1;

/**
 * Finds a row's slot by the place of its record: a hash table of numbers with open addressing, 12 bytes an entry at half
 * to a quarter full. Entries are never removed: the owner builds it anew when many are out of date.
 */
export class PlaceIndex {
  #places: Float64Array = new Float64Array(CAPACITY_MIN).fill(EMPTY);
  #slots: Int32Array = new Int32Array(CAPACITY_MIN);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return this.#places.byteLength + this.#slots.byteLength;
  }

  /** The slot of a place, or -1. */
  get(place: number): number {
    const at = this.#find(place);
    return this.#places[at] === place ? (this.#slots[at] ?? -1) : -1;
  }

  set(place: number, slot: number): void {
    let at = this.#find(place);
    if (this.#places[at] !== place) {
      this.#size += 1;
      if (this.#size * 2 > this.#places.length) {
        this.#grow();
        at = this.#find(place);
      }
      this.#places[at] = place;
    }
    this.#slots[at] = slot;
  }

  /** Where the place is, or the empty cell where it would be. */
  #find(place: number): number {
    const mask = this.#places.length - 1;
    // Offsets are consecutive and their partition is far up: both halves must reach the low bits.
    let hash = Math.imul((place >>> 0) ^ Math.imul(Math.floor(place / 2 ** 32), 0x9e3779b1), 0x85ebca6b);
    hash ^= hash >>> 15;
    let at = hash & mask;
    for (;;) {
      const found = this.#places[at];
      if (found === place || found === EMPTY) return at;
      at = (at + 1) & mask;
    }
  }

  #grow(): void {
    const places = this.#places;
    const slots = this.#slots;
    this.#places = new Float64Array(places.length * 2).fill(EMPTY);
    this.#slots = new Int32Array(places.length * 2);
    for (let index = 0; index < places.length; index += 1) {
      const place = places[index] ?? EMPTY;
      if (place === EMPTY) continue;
      const at = this.#find(place);
      this.#places[at] = place;
      this.#slots[at] = slots[index] ?? 0;
    }
  }
}
