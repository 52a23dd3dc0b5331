import { HashCells } from './hash-cells.ts';
import { bytesOf, integersOf, type SectionReader, type SectionWriter } from './sections.ts';
import { tableHash } from './table-hash.ts';

/** Slots of a chunk, at most: the first one doubles until it has as many, the others have them at once and never move. */
const CHUNK_BITS = 12;
const CHUNK_SLOTS = 1 << CHUNK_BITS;
/** Slots that a table starts with room for. */
const SLOTS_MIN = 16;
const SLOT_MASK = CHUNK_SLOTS - 1;
/** The first word of a slot: length of its key, or one of these. */
const FREE = -1;
const LONG = -2;
/** Bytes of a key that lie in its slot; a longer one, or one with wider units, is kept beside. */
const INLINE_BYTES = 36;
const WORD_BYTES = 4;
/** After the length and the key: the words of the owner. */
const OWNER = 1 + INLINE_BYTES / WORD_BYTES;
const NARROW_MAX = 0xff;

interface Head {
  readonly slots: number;
  readonly free: readonly number[];
  readonly long: readonly (readonly [slot: number, key: string])[];
}

/**
 * The keys of a group. A key has a slot, a number that stays as long as it does, and some words of its owner, which lie beside the
 * text of the key: to find a key and what is known of it are two reads of memory that is not near, whatever the number of keys.
 *
 * Tried: a `Map` from key to number and the words in arrays of their own: five such reads, and strings for the collector to
 * walk.
 */
export class KeyTable {
  readonly #stride: number;
  readonly #cells = new HashCells();
  readonly #words: Int32Array[] = [];
  readonly #bytes: Uint8Array[] = [];
  readonly #long = new Map<number, string>();
  #free: number[] = [];
  #slots = 0;
  /** Slots that there is room for. */
  #room = 0;

  /** `owned`: words of each slot that its owner has. They are 0 at first. */
  constructor(owned: number) {
    this.#stride = OWNER + owned;
  }

  /** Number of keys. */
  get size(): number {
    return this.#slots - this.#free.length;
  }

  /** One more than the largest slot. */
  get slots(): number {
    return this.#slots;
  }

  get bytes(): number {
    return this.#room * this.#stride * WORD_BYTES + this.#cells.bytes;
  }

  /** The words of the slot's chunk. */
  words(slot: number): Int32Array {
    return this.#words[slot >>> CHUNK_BITS] ?? NOTHING;
  }

  /** Where the owner's words of the slot begin in {@link words}. */
  at(slot: number): number {
    return (slot & SLOT_MASK) * this.#stride + OWNER;
  }

  /** The slot of a key, or -1. `hash` is its {@link tableHash}. */
  find(key: string, hash: number = tableHash(key)): number {
    const cells = this.#cells;
    let slot = cells.first(hash);
    while (slot >= 0 && !this.#holds(slot, key)) slot = cells.next(hash);
    return slot;
  }

  /** The slot of a key, made when it is new. */
  slot(key: string): number {
    const hash = tableHash(key);
    const known = this.find(key, hash);
    return known >= 0 ? known : this.#add(key, hash);
  }

  /** Reads the place of a key in the table, by its {@link tableHash}, so that it is near when it is asked for. */
  touchCell(hash: number): number {
    return this.#cells.touch(hash);
  }

  /** Reads the words of the slot that a key with this hash has. What it returns means nothing. */
  touchSlot(hash: number): number {
    const slot = this.#cells.first(hash);
    return slot < 0 ? 0 : (this.words(slot)[this.at(slot)] ?? 0);
  }

  /** Whether the slot has a key. */
  isTaken(slot: number): boolean {
    return this.words(slot)[(slot & SLOT_MASK) * this.#stride] !== FREE;
  }

  /** Takes the key of a slot out; another one may get the slot. */
  remove(slot: number): void {
    const from = (slot & SLOT_MASK) * this.#stride;
    this.#cells.remove(tableHash(this.#text(slot)), slot);
    this.#long.delete(slot);
    this.words(slot).fill(0, from, from + this.#stride);
    this.words(slot)[from] = FREE;
    this.#free.push(slot);
  }

  save(writer: SectionWriter): void {
    writer.json({ slots: this.#slots, free: [...this.#free], long: [...this.#long] } satisfies Head);
    const words = new Int32Array(this.#slots * this.#stride);
    for (const [index, chunk] of this.#words.entries()) {
      const at = index * CHUNK_SLOTS * this.#stride;
      if (at < words.length) words.set(chunk.subarray(0, words.length - at), at);
    }
    writer.bytes(bytesOf(words));
  }

  /** Loads what {@link save} wrote; slots keep their numbers. The object must be new. */
  load(reader: SectionReader): void {
    const head = reader.json<Head>();
    const words = integersOf(reader.bytes());
    this.#slots = head.slots;
    this.#free = [...head.free];
    for (const [slot, key] of head.long) this.#long.set(slot, key);
    while (this.#room < this.#slots) this.#grow(this.#slots);
    for (const [index, chunk] of this.#words.entries()) {
      const at = index * CHUNK_SLOTS * this.#stride;
      chunk.set(words.subarray(at, at + chunk.length));
    }
    for (let slot = 0; slot < this.#slots; slot += 1)
      if (this.isTaken(slot)) this.#cells.add(tableHash(this.#text(slot)), slot);
  }

  #add(key: string, hash: number): number {
    const slot = this.#free.pop() ?? this.#slots;
    if (slot === this.#slots) {
      if (slot === this.#room) this.#grow(slot * 2);
      this.#slots += 1;
    }
    const from = (slot & SLOT_MASK) * this.#stride;
    const words = this.words(slot);
    const bytes = this.#bytes[slot >>> CHUNK_BITS];
    words[from] = key.length <= INLINE_BYTES ? key.length : LONG;
    const at = (from + 1) * WORD_BYTES;
    for (let index = 0; index < key.length && bytes !== undefined && words[from] !== LONG; index += 1) {
      const unit = key.charCodeAt(index);
      if (unit > NARROW_MAX) words[from] = LONG;
      else bytes[at + index] = unit;
    }
    if (words[from] === LONG) this.#long.set(slot, key);
    this.#cells.add(hash, slot);
    return slot;
  }

  #holds(slot: number, key: string): boolean {
    const from = (slot & SLOT_MASK) * this.#stride;
    const length = this.words(slot)[from] ?? FREE;
    if (length === LONG) return this.#long.get(slot) === key;
    if (length !== key.length) return false;
    const bytes = this.#bytes[slot >>> CHUNK_BITS] ?? NO_BYTES;
    const at = (from + 1) * WORD_BYTES;
    for (let index = 0; index < length; index += 1)
      if (bytes[at + index] !== key.charCodeAt(index)) return false;
    return true;
  }

  #text(slot: number): string {
    const from = (slot & SLOT_MASK) * this.#stride;
    const length = this.words(slot)[from] ?? 0;
    if (length === LONG) return this.#long.get(slot) ?? '';
    const { buffer, byteOffset } = this.words(slot);
    return Buffer.from(buffer, byteOffset + (from + 1) * WORD_BYTES, length).toString('latin1');
  }

  /** Makes room for more slots, in the first chunk for up to `slots`. */
  #grow(slots: number): void {
    const isFirst = this.#room < CHUNK_SLOTS;
    const length = isFirst ? Math.min(CHUNK_SLOTS, Math.max(SLOTS_MIN, slots)) : CHUNK_SLOTS;
    const words = new Int32Array(length * this.#stride);
    if (isFirst) words.set(this.#words.pop()?.subarray(0, words.length) ?? NOTHING);
    if (isFirst) this.#bytes.pop();
    this.#words.push(words);
    this.#bytes.push(new Uint8Array(words.buffer));
    this.#room = isFirst ? length : this.#room + length;
  }
}

const NOTHING = new Int32Array(0);
const NO_BYTES = new Uint8Array(0);
