import type { SectionReader, SectionWriter } from './sections.ts';

/** Rows of the smallest block; larger ones double it. */
const BLOCK_ROWS_MIN = 4;
/** Rows that there is room for at first: little, for there is one such object for each group and state partition. */
const ROWS_MIN = 64;
/** What a key takes beside its text: its string, and its entry in the map. An estimate. */
const KEY_BYTES = 72;

/**
 * For each key a list of rows of `stride` float64 values, sorted by the first two columns, in one growing array. Blocks
 * have power-of-two row counts and freed blocks are reused by size. A row costs 8 x stride bytes and nothing else.
 */
export class SortedBlocks {
  readonly stride: number;
  /** All rows; replaced when it grows, so never keep it over an insert. */
  values: Float64Array;
  #used = 0;
  readonly #slots = new Map<string, number>();
  /** By slot; undefined where a slot is free. */
  readonly #keys: (string | undefined)[] = [];
  #freeSlots: number[] = [];
  #keyBytes = 0;
  /** The slot that a sweep goes on with. */
  #swept = 0;
  #start: Float64Array = new Float64Array(64);
  #count: Int32Array = new Int32Array(64);
  #size: Uint8Array = new Uint8Array(64);
  readonly #free: number[][] = [];
  #rows = 0;
  constructor(stride: number) {
    this.stride = stride;
    this.values = new Float64Array(stride * ROWS_MIN);
  }

  /** Number of keys. */
  get keys(): number {
    return this.#slots.size;
  }

  /** One more than the largest slot. */
  get slots(): number {
    return this.#keys.length;
  }

  /** Number of rows of all keys. */
  get rows(): number {
    return this.#rows;
  }

  /** Bytes of the arrays and, estimated, of the keys. */
  get bytes(): number {
    const slots = this.#start.byteLength + this.#count.byteLength + this.#size.byteLength;
    return this.values.byteLength + slots + this.#keyBytes;
  }

  /** The slot of a key, or -1. */
  find(key: string): number {
    return this.#slots.get(key) ?? -1;
  }

  /** The slot of a key, made when it is new. */
  slot(key: string): number {
    const known = this.#slots.get(key);
    if (known !== undefined) return known;
    const slot = this.#freeSlots.pop() ?? this.#keys.length;
    this.#keys[slot] = key;
    this.#keyBytes += KEY_BYTES + key.length;
    this.#slots.set(key, slot);
    if (slot >= this.#count.length) this.#growSlots();
    this.#start[slot] = this.#allocate(0);
    return slot;
  }

  count(slot: number): number {
    return this.#count[slot] ?? 0;
  }

  /** Index into {@link values} of the slot's row 0. */
  start(slot: number): number {
    return this.#start[slot] ?? 0;
  }

  /** First row whose (first, second) column is not below (a, b). */
  lowerBound(slot: number, a: number, b: number): number {
    const { values, stride } = this;
    const start = this.start(slot);
    let low = 0;
    let high = this.count(slot);
    while (low < high) {
      const middle = (low + high) >>> 1;
      const at = start + middle * stride;
      const first = values[at] ?? 0;
      if (first < a || (first === a && (values[at + 1] ?? 0) < b)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Makes room for a row before `row` and returns its index into {@link values}; the caller fills it. */
  insert(slot: number, row: number): number {
    const count = this.count(slot);
    if (count === BLOCK_ROWS_MIN << (this.#size[slot] ?? 0)) this.#enlarge(slot);
    const at = this.start(slot) + row * this.stride;
    if (row < count) this.values.copyWithin(at + this.stride, at, this.start(slot) + count * this.stride);
    this.#count[slot] = count + 1;
    this.#rows += 1;
    return at;
  }

  /** Whether the next insert into the slot would need a larger block: the moment to drop what nobody can see. */
  full(slot: number): boolean {
    return this.count(slot) === BLOCK_ROWS_MIN << (this.#size[slot] ?? 0);
  }

  /** Drops the slot's first `rows` rows. */
  dropFront(slot: number, rows: number): void {
    if (rows === 0) return;
    const start = this.start(slot);
    const count = this.count(slot);
    this.values.copyWithin(start, start + rows * this.stride, start + count * this.stride);
    this.#count[slot] = count - rows;
    this.#rows -= rows;
  }

  /** Takes one row out. */
  remove(slot: number, row: number): void {
    const { stride } = this;
    const start = this.start(slot);
    const count = this.count(slot);
    const at = start + row * stride;
    this.values.copyWithin(at, at + stride, start + count * stride);
    this.#count[slot] = count - 1;
    this.#rows -= 1;
  }

  /**
   * Drops, of the next `slots` slots, the rows whose first column is below `first`, and the keys that have none left: their slots and
   * blocks are used again.
   */
  sweep(first: number, slots: number): void {
    for (let left = Math.min(slots, this.#keys.length); left > 0; left -= 1) {
      if (this.#swept >= this.#keys.length) this.#swept = 0;
      const slot = this.#swept;
      this.#swept += 1;
      const key = this.#keys[slot];
      if (key === undefined) continue;
      this.dropFront(slot, this.lowerBound(slot, first, Number.NEGATIVE_INFINITY));
      if (this.count(slot) === 0) this.#remove(slot, key);
    }
  }

  save(writer: SectionWriter): void {
    writer.json({ keys: Array.from(this.#keys, (key) => key ?? null) });
    writer.numbers(Float64Array.from(this.#count.subarray(0, this.#keys.length)));
    const packed = new Float64Array(this.#rows * this.stride);
    let at = 0;
    for (let slot = 0; slot < this.#keys.length; slot += 1) {
      const start = this.start(slot);
      const length = this.count(slot) * this.stride;
      packed.set(this.values.subarray(start, start + length), at);
      at += length;
    }
    writer.numbers(packed);
  }

  /** Loads what {@link save} wrote; slots get new numbers. The object must be new. */
  load(reader: SectionReader): void {
    const { keys } = reader.json<{ keys: (string | null)[] }>();
    const counts = reader.numbers();
    const packed = reader.numbers();
    let at = 0;
    for (const [index, key] of keys.entries()) {
      if (key === null) continue;
      const slot = this.slot(key);
      const count = counts[index] ?? 0;
      while (BLOCK_ROWS_MIN << (this.#size[slot] ?? 0) < count) this.#enlarge(slot);
      this.values.set(packed.subarray(at, at + count * this.stride), this.start(slot));
      this.#count[slot] = count;
      this.#rows += count;
      at += count * this.stride;
    }
  }

  #remove(slot: number, key: string): void {
    const size = this.#size[slot] ?? 0;
    (this.#free[size] ??= []).push(this.start(slot));
    this.#size[slot] = 0;
    this.#slots.delete(key);
    this.#keys[slot] = undefined;
    this.#keyBytes -= KEY_BYTES + key.length;
    this.#freeSlots.push(slot);
  }

  #enlarge(slot: number): void {
    const size = this.#size[slot] ?? 0;
    const from = this.start(slot);
    const to = this.#allocate(size + 1);
    this.values.copyWithin(to, from, from + this.count(slot) * this.stride);
    this.#start[slot] = to;
    this.#size[slot] = size + 1;
    (this.#free[size] ??= []).push(from);
  }

  #allocate(size: number): number {
    const freed = this.#free[size]?.pop();
    if (freed !== undefined) return freed;
    const at = this.#used;
    this.#used += (BLOCK_ROWS_MIN << size) * this.stride;
    if (this.#used > this.values.length) {
      const grown = new Float64Array(Math.max(this.#used, this.values.length * 2));
      grown.set(this.values);
      this.values = grown;
    }
    return at;
  }

  #growSlots(): void {
    const length = this.#count.length * 2;
    const start = new Float64Array(length);
    const count = new Int32Array(length);
    const size = new Uint8Array(length);
    start.set(this.#start);
    count.set(this.#count);
    size.set(this.#size);
    this.#start = start;
    this.#count = count;
    this.#size = size;
  }
}
