/** Bytes of a chunk, at most. */
const CHUNK_BYTES_MAX = 2 ** 21;
const NUMBER_BYTES = 8;
/** Rows of the first chunk at first: little, for there is one arena for each group and state partition. */
const ROWS_MIN = 16;
const NOTHING = new Float64Array(0);

/**
 * Blocks of rows of `stride` float64 numbers. A block of size n has 2^n rows; freed blocks are reused by size. A block is named by
 * its first row, and lies in one array: `values(block)` from `base(block)` on.
 *
 * The first chunk doubles until it is full, the others do not move. Tried: one array that doubles (while it is copied, events wait,
 * and there are two of it), and chunks of 32 KB (to find the array of a block was one more read of memory that is not near).
 */
export class TileArena {
  readonly #stride: number;
  /** A chunk has 2^shift rows. */
  readonly #shift: number;
  /** For each chunk a view that begins with it and goes on to the end of its array. */
  readonly #views: Float64Array[] = [];
  readonly #free: number[][] = [];
  /** Rows that are or were in a block. */
  #used = 0;
  /** Rows up to the end of the newest array. */
  #end = 0;

  constructor(stride: number) {
    this.#stride = stride;
    this.#shift = Math.floor(Math.log2(Math.max(1, CHUNK_BYTES_MAX / NUMBER_BYTES / stride)));
  }

  get bytes(): number {
    return this.#end * this.#stride * NUMBER_BYTES;
  }

  /** The numbers among which the block lies. */
  values(block: number): Float64Array {
    return this.#views[block >>> this.#shift] ?? NOTHING;
  }

  /** Where in {@link values} it begins. */
  base(block: number): number {
    return (block & ((1 << this.#shift) - 1)) * this.#stride;
  }

  /** A block of 2^size rows, whose numbers are anything. */
  allocate(size: number): number {
    const freed = this.#free[size]?.pop();
    if (freed !== undefined) return freed;
    const rows = 1 << size;
    if (this.#used + rows > this.#end) this.#makeRoom(rows);
    const block = this.#used;
    this.#used += rows;
    return block;
  }

  release(block: number, size: number): void {
    (this.#free[size] ??= []).push(block);
  }

  /** Copies rows from one block to another. */
  copy(from: number, to: number, rows: number): void {
    const source = this.values(from);
    const target = this.values(to);
    const start = this.base(from);
    const end = start + rows * this.#stride;
    let at = this.base(to);
    for (let index = start; index < end; index += 1, at += 1) target[at] = source[index] ?? 0;
  }

  #makeRoom(rows: number): void {
    const chunkRows = 1 << this.#shift;
    if (this.#end < chunkRows) {
      this.#growFirst(Math.min(chunkRows, Math.max(this.#used + rows, this.#end * 2)));
      if (this.#used + rows <= this.#end) return;
    }
    // A block does not begin in one array and end in another.
    this.#giveAway();
    this.#add(Math.ceil(rows / chunkRows));
  }

  /** Makes what is left of the newest array blocks to be reused. */
  #giveAway(): void {
    for (let size = 31 - Math.clz32(this.#end - this.#used); size >= 0; size -= 1) {
      if (this.#end - this.#used < 1 << size) continue;
      this.release(this.#used, size);
      this.#used += 1 << size;
    }
  }

  #growFirst(rows: number): void {
    const length = Math.min(1 << this.#shift, Math.max(ROWS_MIN, rows));
    const array = new Float64Array(length * this.#stride);
    array.set(this.#views[0] ?? NOTHING);
    this.#views[0] = array;
    this.#end = length;
  }

  /** Adds an array of so many chunks. */
  #add(chunks: number): void {
    const length = this.#stride << this.#shift;
    const array = new Float64Array(chunks * length);
    for (let chunk = 0; chunk < chunks; chunk += 1) this.#views.push(array.subarray(chunk * length));
    this.#end = this.#views.length << this.#shift;
  }
}
