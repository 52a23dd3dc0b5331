/** Segments of a table, by the upper bits of the hash: each grows on its own, so that no growth is a long pause. */
const SEGMENT_BITS = 3;
const SEGMENTS = 1 << SEGMENT_BITS;
const SEGMENT_SHIFT = 32 - SEGMENT_BITS;
/** A cell: hash, then row + 1, which is 0 in an empty one. */
const CELL = 2;
const CELL_SHIFT = 1;
/** Cells that a segment starts with. */
const CELLS_MIN = 8;
const NOTHING = new Int32Array(CELL);

/**
 * From hashes of 32 bits to numbers of rows: open addressing, 8 bytes a cell, at most half full. Rows whose hashes are equal are
 * told apart by their owner, which asks for the {@link first} and the {@link next}.
 *
 * Tried: 32 segments. Their arrays are objects that must be read too, and those of all tables had no room in the first cache.
 */
export class HashCells {
  readonly #segments: Int32Array[] = Array.from({ length: SEGMENTS }, () => NOTHING);
  readonly #counts = new Int32Array(SEGMENTS);
  #size = 0;
  #cells: Int32Array = NOTHING;
  #at = 0;

  /** Number of rows. */
  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return this.#segments.reduce((sum, cells) => sum + (cells === NOTHING ? 0 : cells.byteLength), 0);
  }

  /** A row with this hash, or -1. */
  first(hash: number): number {
    const cells = this.#segments[hash >>> SEGMENT_SHIFT] ?? NOTHING;
    this.#cells = cells;
    return this.#walk(cells, (hash << CELL_SHIFT) & (cells.length - 1), hash);
  }

  /** Another one, after {@link first} or next with the same hash; -1 when there are no more. */
  next(hash: number): number {
    const cells = this.#cells;
    return this.#walk(cells, (this.#at + CELL) & (cells.length - 1), hash);
  }

  /** Adds a row, which must not be in. */
  add(hash: number, row: number): void {
    const segment = hash >>> SEGMENT_SHIFT;
    const count = (this.#counts[segment] ?? 0) + 1;
    let cells = this.#segments[segment] ?? NOTHING;
    if (count * CELL * 2 > cells.length) {
      cells = grown(cells);
      this.#segments[segment] = cells;
    }
    this.#counts[segment] = count;
    this.#size += 1;
    put(cells, hash, row + 1);
  }

  /**
   * Adds many rows, none of which may be in: `pairs` has a hash and a row for each. They are brought into the order of the segments
   * first: a segment has room in the second cache, all of them have not, and that is a third of the time.
   */
  addAll(pairs: Int32Array): void {
    const ends = new Int32Array(SEGMENTS);
    for (let at = 0; at < pairs.length; at += CELL) increase(ends, (pairs[at] ?? 0) >>> SEGMENT_SHIFT);
    const counts = ends.slice();
    for (let segment = 1; segment < SEGMENTS; segment += 1)
      ends[segment] = (ends[segment] ?? 0) + (ends[segment - 1] ?? 0);
    const starts = ends.map((end, segment) => end - (counts[segment] ?? 0));
    const places = starts.slice();
    const sorted = new Int32Array(pairs.length);
    for (let at = 0; at < pairs.length; at += CELL) {
      const hash = pairs[at] ?? 0;
      const to = increase(places, hash >>> SEGMENT_SHIFT) * CELL;
      sorted[to] = hash;
      sorted[to + 1] = pairs[at + 1] ?? 0;
    }
    for (let segment = 0; segment < SEGMENTS; segment += 1) {
      const count = (this.#counts[segment] ?? 0) + (counts[segment] ?? 0);
      let cells = this.#segments[segment] ?? NOTHING;
      const length = CELL * 2 ** Math.ceil(Math.log2(Math.max(CELLS_MIN, count * 2)));
      if (length > cells.length) cells = resized(cells, length);
      this.#segments[segment] = cells;
      this.#counts[segment] = count;
      const end = (ends[segment] ?? 0) * CELL;
      for (let at = (starts[segment] ?? 0) * CELL; at < end; at += CELL)
        put(cells, sorted[at] ?? 0, (sorted[at + 1] ?? 0) + 1);
    }
    this.#size += pairs.length / CELL;
  }

  /** Takes a row out; `false` when it is not in. */
  remove(hash: number, row: number): boolean {
    const segment = hash >>> SEGMENT_SHIFT;
    const cells = this.#segments[segment] ?? NOTHING;
    const mask = cells.length - 1;
    let at = (hash << CELL_SHIFT) & mask;
    while (cells[at + 1] !== row + 1) {
      if (cells[at + 1] === 0) return false;
      at = (at + CELL) & mask;
    }
    close(cells, at);
    this.#size -= 1;
    const count = (this.#counts[segment] ?? 0) - 1;
    this.#counts[segment] = count;
    if (cells.length > CELLS_MIN * CELL && count * CELL * 16 < cells.length)
      this.#segments[segment] = resized(cells, cells.length / 4);
    return true;
  }

  /** Reads the place of a hash, so that it is near when it is asked for. What it returns means nothing. */
  touch(hash: number): number {
    const cells = this.#segments[hash >>> SEGMENT_SHIFT] ?? NOTHING;
    return cells[(hash << CELL_SHIFT) & (cells.length - 1)] ?? 0;
  }

  #walk(cells: Int32Array, from: number, hash: number): number {
    const mask = cells.length - 1;
    let at = from;
    for (;;) {
      const row = cells[at + 1] ?? 0;
      if (row === 0) return -1;
      if (cells[at] === hash) {
        this.#at = at;
        return row - 1;
      }
      at = (at + CELL) & mask;
    }
  }
}

/** Adds one; returns what was there before. */
function increase(counts: Int32Array, index: number): number {
  const before = counts[index] ?? 0;
  counts[index] = before + 1;
  return before;
}

function put(cells: Int32Array, hash: number, value: number): void {
  const mask = cells.length - 1;
  let at = (hash << CELL_SHIFT) & mask;
  while (cells[at + 1] !== 0) at = (at + CELL) & mask;
  cells[at] = hash;
  cells[at + 1] = value;
}

/** Empties a cell and moves up those behind it that would not be found any more. */
function close(cells: Int32Array, from: number): void {
  const mask = cells.length - 1;
  let hole = from;
  let at = from;
  for (;;) {
    at = (at + CELL) & mask;
    const value = cells[at + 1] ?? 0;
    if (value === 0) break;
    const home = ((cells[at] ?? 0) << CELL_SHIFT) & mask;
    // It may move if its home is not between the hole and where it is.
    if (((at - home) & mask) < ((at - hole) & mask)) continue;
    cells[hole] = cells[at] ?? 0;
    cells[hole + 1] = value;
    hole = at;
  }
  cells[hole] = 0;
  cells[hole + 1] = 0;
}

function grown(cells: Int32Array): Int32Array {
  return resized(cells, Math.max(CELLS_MIN * CELL, cells.length * 2));
}

function resized(cells: Int32Array, length: number): Int32Array {
  const next = new Int32Array(length);
  for (let at = 0; at < cells.length; at += CELL) {
    const value = cells[at + 1] ?? 0;
    if (value !== 0) put(next, cells[at] ?? 0, value);
  }
  return next;
}
