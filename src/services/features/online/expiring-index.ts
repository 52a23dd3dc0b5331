import { HashCells } from './hash-cells.ts';
import { bytesOf, type SectionReader, type SectionWriter } from './sections.ts';
import { tableHash, tableHashOfBytes } from './table-hash.ts';

/** Entries of a page; with them a page is found in the number of a row. */
const PAGE_BITS = 12;
const PAGE_ENTRIES_MAX = 1 << PAGE_BITS;
/** A horizon is cut into at least so many pages. */
const PAGES_PER_HORIZON = 6;
/** Pages that there can be: the number of a row stays below 2^31. */
const PAGES_MAX = 1 << (31 - PAGE_BITS);
/** So many pages may be opened because time goes on; above that, only when the last one is full. */
const PAGES_BY_TIME_MAX = 1_024;
/** Entries and bytes that the first page starts with room for. */
const ENTRIES_MIN = 16;
const BYTES_MIN = 256;
/** Pages that were emptied and wait to be filled again. */
const SPARE_MAX = 4;
/** A page with as many bytes of text is full. */
const BYTES_MAX = 1 << 28;
/** Largest unit of a text that takes one byte for each. */
const NARROW_MAX = 0xff;

/** Texts and their numbers in the order in which they came: what is forgotten together. */
interface Page {
  /** Its numbers, `width` for each entry. */
  columns: Float64Array;
  hashes: Int32Array;
  /** Where the text of an entry ends in `bytes`, times 2, and 1 if it takes two bytes for a unit. */
  ends: Int32Array;
  bytes: Uint8Array;
  entries: number;
  /** Entries that are forgotten already, from the first. */
  forgotten: number;
  /** Greater than that of the page before. */
  sequence: number;
  /** Event time that opened the page; never below that of the page before. */
  start: number;
  /** Newest event time of its entries. */
  newest: number;
  /** Whether its memory was handed out to be saved: it is not used for other entries then. */
  isSaved: boolean;
}

interface SavedPage {
  readonly start: number;
  readonly newest: number;
  readonly entries: number;
}

/**
 * Remembers strings with a few numbers each, and forgets them page by page once their event time lies `horizonMs`
 * behind. Strings are compared in full: two ids never collide. `locate` and `insert` move a cursor, which `get` and `set`
 * use, so that a look-up allocates nothing.
 *
 * One table of hashes leads to the entries of all pages, so that a new id costs one read of memory that is not near, and its
 * text is only written, never read. Tried: a `Map` from string to row for each sixth of the horizon. An id that was new was looked
 * for in all of them. Pages of 65,536 entries that doubled: memory that was touched for the first time, and left again, cost more
 * than the look-up.
 */
export class ExpiringIndex {
  readonly #width: number;
  readonly #pageMs: number;
  readonly #cells = new HashCells();
  /** By number modulo {@link PAGES_MAX}: those from `#oldest` up to `#next`, less those that are forgotten. */
  readonly #pages = new Map<number, Page>();
  #next = 0;
  /** Of the page that was added last. */
  #sequence = 0;
  #last: Page | undefined;
  readonly #spare: Page[] = [];
  /** The cursor. */
  #page: Page | undefined;
  #entry = -1;

  constructor(width: number, horizonMs: number) {
    this.#width = width;
    this.#pageMs = Math.max(1, horizonMs / PAGES_PER_HORIZON);
  }

  /** Number of strings remembered. */
  get size(): number {
    return this.#cells.size;
  }

  /** Bytes of the arrays. */
  get bytes(): number {
    let bytes = this.#cells.bytes;
    for (const page of [...this.#pages.values(), ...this.#spare])
      bytes +=
        page.columns.byteLength + page.hashes.byteLength + page.ends.byteLength + page.bytes.byteLength;
    return bytes;
  }

  /** Moves the cursor to the string's newest entry; `false` when it is not known. `hash` is its {@link tableHash}. */
  locate(text: string, hash: number = tableHash(text)): boolean {
    return this.#locateBefore(text, hash, Number.POSITIVE_INFINITY, 0);
  }

  /** Moves the cursor from an entry of the string to the one before it; `false` when there is none. */
  locateOlder(text: string, hash: number = tableHash(text)): boolean {
    return this.#page !== undefined && this.#locateBefore(text, hash, this.#page.sequence, this.#entry);
  }

  /** Keeps the cursor's entry for as long as one of this time. */
  renew(time: number): void {
    if (this.#page !== undefined && time > this.#page.newest) this.#page.newest = time;
  }

  /** To the newest entry before that place. */
  #locateBefore(text: string, hash: number, sequence: number, end: number): boolean {
    const cells = this.#cells;
    let found: Page | undefined;
    let at = -1;
    for (let row = cells.first(hash); row >= 0; row = cells.next(hash)) {
      const page = this.#pages.get(row >>> PAGE_BITS);
      const entry = row & (PAGE_ENTRIES_MAX - 1);
      if (page === undefined || !holds(page, entry, text)) continue;
      if (page.sequence > sequence || (page.sequence === sequence && entry >= end)) continue;
      if (found !== undefined && (page.sequence < found.sequence || (page === found && entry < at))) continue;
      found = page;
      at = entry;
    }
    if (found === undefined) return false;
    this.#page = found;
    this.#entry = at;
    return true;
  }

  /** Adds an entry for a string, beside those that it has, and moves the cursor to it. All its numbers are 0. */
  insert(text: string, time: number, hash: number = tableHash(text)): void {
    const page = this.#open(time);
    const entry = page.entries;
    if (entry === page.hashes.length) enlarge(page, this.#width);
    page.hashes[entry] = hash;
    write(page, entry, text);
    page.entries = entry + 1;
    if (time > page.newest) page.newest = time;
    this.#cells.add(hash, rowOf(this.#next - 1, entry));
    this.#page = page;
    this.#entry = entry;
  }

  /** Reads where the strings with the first `count` of these hashes would be found. What it returns means nothing. */
  touch(hashes: Int32Array, count: number): number {
    let sum = 0;
    for (let index = 0; index < count; index += 1) sum += this.#cells.touch(hashes[index] ?? 0);
    return sum;
  }

  get(column: number): number {
    return this.#page?.columns[this.#entry * this.#width + column] ?? 0;
  }

  set(column: number, value: number): void {
    if (this.#page !== undefined) this.#page.columns[this.#entry * this.#width + column] = value;
  }

  /** Forgets, of the pages whose newest event time is below `time`, up to `entries` entries. Returns how many it forgot. */
  sweep(time: number, entries: number): number {
    let left = entries;
    for (const [number, page] of this.#pages) {
      if (left <= 0) break;
      if (page.newest >= time) continue;
      const end = Math.min(page.entries, page.forgotten + left);
      left -= end - page.forgotten;
      for (let entry = page.forgotten; entry < end; entry += 1)
        this.#cells.remove(page.hashes[entry] ?? 0, rowOf(number, entry));
      page.forgotten = end;
      // Nothing is added to a page that is on its way out.
      if (page === this.#last) this.#last = undefined;
      if (end < page.entries) break;
      this.#pages.delete(number);
      if (page === this.#page) this.#page = undefined;
      if (!page.isSaved && this.#spare.length < SPARE_MAX) this.#spare.push(page);
    }
    return entries - left;
  }

  /**
   * Hands out the memory itself: entries are only added behind what is there, so nothing of it changes while it is written, and
   * saving millions of ids holds up nobody. Only a number that {@link set} replaces may come out new.
   */
  save(writer: SectionWriter): void {
    const pages = [...this.#pages.values()].filter((page) => page.forgotten < page.entries);
    writer.json(
      pages.map(({ start, newest, entries, forgotten }): SavedPage => ({
        start,
        newest,
        entries: entries - forgotten,
      })),
    );
    for (const page of pages) {
      page.isSaved = true;
      const { columns, ends, bytes, entries, forgotten } = page;
      const from = forgotten === 0 ? 0 : endOf(ends[forgotten - 1] ?? 0);
      writer.numbers(columns.subarray(forgotten * this.#width, entries * this.#width));
      const rest = ends.subarray(forgotten, entries);
      writer.bytes(bytesOf(forgotten === 0 ? rest : rest.map((end) => end - from * 2)));
      writer.bytes(bytes.subarray(from, endOf(ends[entries - 1] ?? 0)));
    }
  }

  /**
   * Loads what {@link save} wrote. Texts stay in the memory of the snapshot, which must not change: copying some hundred megabytes took
   * a third of the time. The object must be new.
   */
  load(reader: SectionReader): void {
    const pages = reader.json<SavedPage[]>();
    const pairs = new Int32Array(2 * pages.reduce((sum, { entries }) => sum + entries, 0));
    let at = 0;
    for (const { start, newest, entries } of pages) {
      const page: Page = {
        columns: reader.numbers().slice(),
        hashes: new Int32Array(entries),
        ends: reader.integers(),
        bytes: reader.bytes(),
        entries,
        forgotten: 0,
        sequence: 0,
        start,
        newest,
        // Its memory is a part of the snapshot's: it is not filled again once its entries are forgotten.
        isSaved: true,
      };
      this.#add(page);
      hashAll(page);
      for (let entry = 0; entry < entries; entry += 1) {
        pairs[at] = page.hashes[entry] ?? 0;
        pairs[at + 1] = rowOf(this.#next - 1, entry);
        at += 2;
      }
    }
    this.#cells.addAll(pairs);
  }

  #open(time: number): Page {
    const last = this.#last;
    if (last !== undefined && last.entries < PAGE_ENTRIES_MAX && last.bytes.length < BYTES_MAX) {
      if (time <= last.start + this.#pageMs || this.#pages.size >= PAGES_BY_TIME_MAX) return last;
    }
    const page = this.#spare.pop() ?? pageLike(last, this.#width);
    page.columns.fill(0);
    page.entries = 0;
    page.forgotten = 0;
    // A late event opens no page in the past: alternating old and new times would open one each.
    page.start = Math.max(time, last?.start ?? time);
    page.newest = time;
    this.#add(page);
    return page;
  }

  #add(page: Page): void {
    this.#sequence += 1;
    page.sequence = this.#sequence;
    if (this.#pages.size === PAGES_MAX) throw new RangeError('More ids than an index can hold');
    while (this.#pages.has(this.#next % PAGES_MAX)) this.#next += 1;
    this.#pages.set(this.#next % PAGES_MAX, page);
    this.#next = (this.#next % PAGES_MAX) + 1;
    this.#last = page;
  }
}

function rowOf(page: number, entry: number): number {
  return (page << PAGE_BITS) | entry;
}

function endOf(end: number): number {
  return end >>> 1;
}

/** Whether the entry's text is `text`. */
function holds(page: Page, entry: number, text: string): boolean {
  const { ends, bytes } = page;
  const from = entry === 0 ? 0 : endOf(ends[entry - 1] ?? 0);
  const end = ends[entry] ?? 0;
  const wide = end & 1;
  if (endOf(end) - from !== text.length << wide) return false;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    const at = from + (index << wide);
    const low = bytes[at] ?? 0;
    if (unit !== (wide === 0 ? low : low | ((bytes[at + 1] ?? 0) << 8))) return false;
  }
  return true;
}

function write(page: Page, entry: number, text: string): void {
  const from = entry === 0 ? 0 : endOf(page.ends[entry - 1] ?? 0);
  const { length } = text;
  if (from + length * 2 > page.bytes.length) page.bytes = copied(page.bytes, from + length * 2);
  const { bytes } = page;
  let index = 0;
  for (; index < length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit > NARROW_MAX) break;
    bytes[from + index] = unit;
  }
  if (index === length) {
    page.ends[entry] = (from + length) * 2;
    return;
  }
  for (index = 0; index < length; index += 1) {
    const unit = text.charCodeAt(index);
    bytes[from + index * 2] = unit & NARROW_MAX;
    bytes[from + index * 2 + 1] = unit >>> 8;
  }
  page.ends[entry] = (from + length * 2) * 2 + 1;
}

/** Hashes the texts of a page. */
function hashAll({ bytes, ends, hashes, entries }: Page): void {
  let from = 0;
  for (let entry = 0; entry < entries; entry += 1) {
    const packed = ends[entry] ?? 0;
    const end = packed >>> 1;
    hashes[entry] =
      (packed & 1) === 0
        ? tableHashOfBytes(bytes, from, end - from)
        : tableHash(Buffer.from(bytes.buffer, bytes.byteOffset + from, end - from).toString('utf16le'));
    from = end;
  }
}

/** An empty page with room for what the one before has, and a little more. */
function pageLike(last: Page | undefined, width: number): Page {
  const wanted = Math.max(ENTRIES_MIN, (last?.entries ?? 0) * 1.25);
  const entries = Math.min(PAGE_ENTRIES_MAX, 2 ** Math.ceil(Math.log2(wanted)));
  const text =
    last === undefined || last.entries === 0 ? 0 : endOf(last.ends[last.entries - 1] ?? 0) / last.entries;
  return {
    columns: new Float64Array(entries * width),
    hashes: new Int32Array(entries),
    ends: new Int32Array(entries),
    bytes: new Uint8Array(Math.max(BYTES_MIN, Math.ceil(text * entries * 1.1))),
    entries: 0,
    forgotten: 0,
    sequence: 0,
    start: 0,
    newest: 0,
    isSaved: false,
  };
}

function enlarge(page: Page, width: number): void {
  const entries = Math.min(PAGE_ENTRIES_MAX, page.hashes.length * 2);
  const columns = new Float64Array(entries * width);
  columns.set(page.columns);
  const hashes = new Int32Array(entries);
  hashes.set(page.hashes);
  const ends = new Int32Array(entries);
  ends.set(page.ends);
  page.columns = columns;
  page.hashes = hashes;
  page.ends = ends;
}

function copied(bytes: Uint8Array, lengthMin: number): Uint8Array {
  const grown = new Uint8Array(Math.max(lengthMin, bytes.length * 2));
  grown.set(bytes);
  return grown;
}
