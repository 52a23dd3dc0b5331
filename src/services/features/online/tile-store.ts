import { KeyTable } from './key-table.ts';
import type { SectionReader, SectionWriter } from './sections.ts';
import { TileArena } from './tile-arena.ts';
import { START } from './tile-layout.ts';

/** Words of a key for each level. */
const BLOCK = 0;
const COUNT = 1;
/** Size of the block + 1; 0 when there is none. */
const SIZE = 2;
const LEVEL_WORDS = 3;

/** Size of the smallest block: 2 tiles. */
const SIZE_MIN = 1;
/** A block that is filled to less than this share when tiles were dropped is exchanged for a smaller one. */
const SHRINK_SHARE = 1 / 4;

/** A full block of which no more than this share can be dropped is exchanged for a larger one. */
const DROP_SHARE = 1 / 8;

/** Tiles of one length. */
export interface Level {
  readonly hopMs: number;
  /** The longest window read from it, and two tiles: older ones can go. */
  readonly keepMs: number;
}

/**
 * For each key and level a list of tiles, sorted by their start, all in one arena. A key is looked for once, whatever the number of
 * levels: where its lists are lies beside it.
 *
 * Tried: the newest tile of each level beside the key as well. It costs the same: an event that opens a tile then moves the one before
 * to the block, which is memory that is not near either. It takes 9 % less memory where keys have few events.
 */
export class TileStore {
  readonly stride: number;
  readonly levels: readonly Level[];
  /** The numbers among which that lies which was last located. Never keep it over a {@link locate}. */
  values: Float64Array = new Float64Array(0);
  /** Where in {@link values} it begins. */
  at = 0;
  readonly #keys: KeyTable;
  readonly #arena: TileArena;
  readonly #release: ((values: Float64Array, tile: number) => void) | undefined;
  #tiles = 0;
  /** The slot that a sweep goes on with. */
  #swept = 0;

  /** `release` is called with each tile that is dropped. */
  constructor(
    levels: readonly Level[],
    stride: number,
    release: ((values: Float64Array, tile: number) => void) | undefined,
  ) {
    this.levels = levels;
    this.stride = stride;
    this.#release = release;
    this.#keys = new KeyTable(levels.length * LEVEL_WORDS);
    this.#arena = new TileArena(stride);
  }

  get keys(): number {
    return this.#keys.size;
  }

  get tiles(): number {
    return this.#tiles;
  }

  get bytes(): number {
    return this.#keys.bytes + this.#arena.bytes;
  }

  /** The slot of a key, or -1. `hash` is its {@link tableHash}. */
  find(key: string, hash?: number): number {
    return this.#keys.find(key, hash);
  }

  /** The slot of a key, made when it is new. */
  slot(key: string): number {
    return this.#keys.slot(key);
  }

  /** Moves to the level's tiles, the oldest first, and returns how many there are. */
  locateAll(slot: number, level: number): number {
    const words = this.#keys.words(slot);
    const at = this.#keys.at(slot) + level * LEVEL_WORDS;
    const block = words[at + BLOCK] ?? 0;
    this.values = this.#arena.values(block);
    this.at = this.#arena.base(block);
    return words[at + COUNT] ?? 0;
  }

  /**
   * Moves to the level's tile that starts at `start`; `false` when it is a new one, with 0 in all its columns but the start. To make
   * room, tiles that start before `keepFrom` go.
   */
  locate(slot: number, level: number, start: number, keepFrom: number): boolean {
    const words = this.#keys.words(slot);
    const at = this.#keys.at(slot) + level * LEVEL_WORDS;
    const count = words[at + COUNT] ?? 0;
    const block = words[at + BLOCK] ?? 0;
    const values = this.#arena.values(block);
    const newest = this.#arena.base(block) + (count - 1) * this.stride;
    if (count > 0 && (values[newest] ?? 0) <= start) {
      if (values[newest] === start) {
        this.values = values;
        this.at = newest;
        return true;
      }
      this.#insert(words, at, count, start, keepFrom);
      return false;
    }
    const row = this.#lowerBound(block, count, start);
    if (row < count && values[this.#arena.base(block) + row * this.stride] === start) {
      this.values = values;
      this.at = this.#arena.base(block) + row * this.stride;
      return true;
    }
    this.#insert(words, at, row, start, keepFrom);
    return false;
  }

  /**
   * Three steps that bring near what an event of a key will need: its cell and its slot, by the key's {@link tableHash}, then its newest
   * tiles. Each reads what the next one needs; taken for many keys one after the other, their reads of memory overlap. What they
   * return means nothing.
   */
  touchCell(hash: number): number {
    return this.#keys.touchCell(hash);
  }

  touchSlot(hash: number): number {
    return this.#keys.touchSlot(hash);
  }

  touchTiles(slot: number): number {
    const words = this.#keys.words(slot);
    const first = this.#keys.at(slot);
    const { stride } = this;
    let sum = 0;
    for (let level = 0; level < this.levels.length; level += 1) {
      const at = first + level * LEVEL_WORDS;
      const block = words[at + BLOCK] ?? 0;
      const values = this.#arena.values(block);
      const newest = this.#arena.base(block) + Math.max(0, (words[at + COUNT] ?? 0) - 1) * stride;
      // The newest tile, and where the next one would end: a tile is longer than a line of the cache.
      sum += (values[newest] ?? 0) + (values[newest + stride] ?? 0) + (values[newest + 2 * stride - 1] ?? 0);
    }
    return sum;
  }

  /**
   * Drops the tiles that no window reaches at `clock` or later, of the next `slots` slots, and the keys that have none left: their
   * slots and blocks are used again.
   */
  sweep(clock: number, slots: number): void {
    for (let left = Math.min(slots, this.#keys.slots); left > 0; left -= 1) {
      if (this.#swept >= this.#keys.slots) this.#swept = 0;
      if (this.#keys.isTaken(this.#swept) && !this.#sweepSlot(this.#swept, clock))
        this.#keys.remove(this.#swept);
      this.#swept += 1;
    }
  }

  /** Of the blocks only the tiles are saved, key by key: what lies free between them can be as much again. */
  save(writer: SectionWriter): void {
    writer.numbers(Float64Array.of(this.#tiles));
    this.#keys.save(writer);
    const packed = new Float64Array(this.#tiles * this.stride);
    let to = 0;
    for (let slot = 0; slot < this.#keys.slots; slot += 1) {
      if (!this.#keys.isTaken(slot)) continue;
      for (let level = 0; level < this.levels.length; level += 1) {
        const length = this.locateAll(slot, level) * this.stride;
        packed.set(this.values.subarray(this.at, this.at + length), to);
        to += length;
      }
    }
    writer.numbers(packed);
  }

  /** Loads what {@link save} wrote. The object must be new. */
  load(reader: SectionReader): void {
    this.#tiles = reader.numbers()[0] ?? 0;
    this.#keys.load(reader);
    const packed = reader.numbers();
    let from = 0;
    for (let slot = 0; slot < this.#keys.slots; slot += 1) {
      if (!this.#keys.isTaken(slot)) continue;
      const words = this.#keys.words(slot);
      for (let level = 0; level < this.levels.length; level += 1) {
        const at = this.#keys.at(slot) + level * LEVEL_WORDS;
        const size = words[at + SIZE] ?? 0;
        if (size === 0) continue;
        const block = this.#arena.allocate(size - 1);
        words[at + BLOCK] = block;
        const length = (words[at + COUNT] ?? 0) * this.stride;
        this.#arena.values(block).set(packed.subarray(from, from + length), this.#arena.base(block));
        from += length;
      }
    }
  }

  /** Puts a new tile before the one at `before`, and moves to it. */
  #insert(words: Int32Array, at: number, before: number, start: number, keepFrom: number): void {
    let row = before;
    if (words[at + COUNT] === capacityOf(words[at + SIZE] ?? 0)) {
      const size = words[at + SIZE] ?? 0;
      const dropped = this.#dropBelow(words, at, keepFrom);
      row -= dropped;
      // One that stays nearly full would be moved with nearly every tile.
      if (dropped <= capacityOf(size) * DROP_SHARE) this.#resize(words, at, Math.max(SIZE_MIN + 1, size + 1));
    }
    const { stride } = this;
    const count = words[at + COUNT] ?? 0;
    const values = this.#arena.values(words[at + BLOCK] ?? 0);
    const base = this.#arena.base(words[at + BLOCK] ?? 0);
    const tile = base + row * stride;
    if (row < count) values.copyWithin(tile + stride, tile, base + count * stride);
    for (let column = 0; column < stride; column += 1) values[tile + column] = 0;
    values[tile + START] = start;
    words[at + COUNT] = count + 1;
    this.#tiles += 1;
    this.values = values;
    this.at = tile;
  }

  /** `false` when the key has no tile left. */
  #sweepSlot(slot: number, clock: number): boolean {
    const words = this.#keys.words(slot);
    const first = this.#keys.at(slot);
    let isAlive = false;
    for (const [level, { keepMs }] of this.levels.entries()) {
      const at = first + level * LEVEL_WORDS;
      const size = words[at + SIZE] ?? 0;
      if (size === 0) continue;
      const dropped = this.#dropBelow(words, at, clock - keepMs);
      const count = words[at + COUNT] ?? 0;
      if (count === 0) {
        this.#arena.release(words[at + BLOCK] ?? 0, size - 1);
        words[at + SIZE] = 0;
        continue;
      }
      isAlive = true;
      if (dropped > 0 && size - 1 > SIZE_MIN && count <= capacityOf(size) * SHRINK_SHARE)
        this.#resize(words, at, size - 1);
    }
    return isAlive;
  }

  /** Drops the tiles that start before `keepFrom`. */
  #dropBelow(words: Int32Array, at: number, keepFrom: number): number {
    const { stride } = this;
    const block = words[at + BLOCK] ?? 0;
    const count = words[at + COUNT] ?? 0;
    const rows = this.#lowerBound(block, count, keepFrom);
    if (rows === 0) return 0;
    const values = this.#arena.values(block);
    const base = this.#arena.base(block);
    if (this.#release !== undefined)
      for (let row = 0; row < rows; row += 1) this.#release(values, base + row * stride);
    values.copyWithin(base, base + rows * stride, base + count * stride);
    words[at + COUNT] = count - rows;
    this.#tiles -= rows;
    return rows;
  }

  /** First row of the block that does not start before `start`. */
  #lowerBound(block: number, count: number, start: number): number {
    const values = this.#arena.values(block);
    const base = this.#arena.base(block);
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((values[base + middle * this.stride] ?? 0) < start) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Gives the level a block of another size; `size` as in the words. */
  #resize(words: Int32Array, at: number, size: number): void {
    const block = this.#arena.allocate(size - 1);
    const before = words[at + SIZE] ?? 0;
    if (before > 0) {
      this.#arena.copy(words[at + BLOCK] ?? 0, block, words[at + COUNT] ?? 0);
      this.#arena.release(words[at + BLOCK] ?? 0, before - 1);
    }
    words[at + BLOCK] = block;
    words[at + SIZE] = size;
  }
}

/** Tiles that there is room for in a block, by its size + 1. */
function capacityOf(size: number): number {
  return size === 0 ? 0 : 1 << (size - 1);
}
