import type { SectionReader, SectionWriter } from './sections.ts';

/** A generation takes at most this many entries. */
const GENERATION_ENTRIES_MAX = 1_000_000;
/** A horizon is cut into this many generations. */
const GENERATIONS = 6;

interface Generation {
  readonly rows: Map<string, number>;
  columns: Float64Array;
  /** Event time that opened the generation; never below that of the generation before. */
  readonly start: number;
  /** Newest event time of its entries. */
  newest: number;
}

/**
 * Remembers strings with a few numbers each, and forgets them in generations once their event time lies `horizonMs`
 * behind. Strings are compared in full: two ids never collide. `locate` and `insert` move a cursor, which `get` and `set`
 * use, so that a look-up allocates nothing.
 */
export class ExpiringIndex {
  readonly #width: number;
  readonly #generationMs: number;
  readonly #generations: Generation[] = [];
  #current: Generation | undefined;
  #row = -1;

  constructor(width: number, horizonMs: number) {
    this.#width = width;
    this.#generationMs = Math.max(1, horizonMs / GENERATIONS);
  }

  /** Number of strings remembered. */
  get size(): number {
    return this.#generations.reduce((sum, generation) => sum + generation.rows.size, 0);
  }

  /** Moves the cursor to the string's entry; `false` when it is not known. */
  locate(text: string): boolean {
    // Newest first: repetitions are mostly recent.
    for (let index = this.#generations.length - 1; index >= 0; index -= 1) {
      const generation = this.#generations[index];
      const row = generation?.rows.get(text);
      if (row !== undefined) {
        this.#current = generation;
        this.#row = row;
        return true;
      }
    }
    return false;
  }

  /** Adds a string that is not known yet and moves the cursor to it. All its numbers are 0. */
  insert(text: string, time: number): void {
    const generation = this.#open(time);
    const row = generation.rows.size;
    if ((row + 1) * this.#width > generation.columns.length) {
      const grown = new Float64Array(generation.columns.length * 2);
      grown.set(generation.columns);
      generation.columns = grown;
    }
    generation.rows.set(text, row);
    if (time > generation.newest) generation.newest = time;
    this.#current = generation;
    this.#row = row;
  }

  get(column: number): number {
    return this.#current?.columns[this.#row * this.#width + column] ?? 0;
  }

  set(column: number, value: number): void {
    if (this.#current !== undefined) this.#current.columns[this.#row * this.#width + column] = value;
  }

  /** Forgets the generations whose newest event time is below `time`. */
  expire(time: number): void {
    for (let index = this.#generations.length - 1; index >= 0; index -= 1) {
      if ((this.#generations[index]?.newest ?? 0) < time) this.#generations.splice(index, 1);
    }
  }

  save(writer: SectionWriter): void {
    writer.json(
      this.#generations.map((generation) => ({
        texts: [...generation.rows.keys()],
        start: generation.start,
        newest: generation.newest,
      })),
    );
    for (const generation of this.#generations) {
      writer.numbers(generation.columns.slice(0, generation.rows.size * this.#width));
    }
  }

  /** Loads what {@link save} wrote. The object must be new. */
  load(reader: SectionReader): void {
    for (const saved of reader.json<{ texts: string[]; start: number; newest: number }[]>()) {
      this.#generations.push({
        rows: new Map(saved.texts.map((text, row) => [text, row])),
        columns: new Float64Array(0),
        start: saved.start,
        newest: saved.newest,
      });
    }
    for (const generation of this.#generations) {
      const columns = reader.numbers();
      generation.columns = new Float64Array(Math.max(columns.length, this.#width * 64));
      generation.columns.set(columns);
    }
  }

  #open(time: number): Generation {
    const last = this.#generations.at(-1);
    const within = last !== undefined && time <= last.start + this.#generationMs;
    if (last !== undefined && within && last.rows.size < GENERATION_ENTRIES_MAX) return last;
    const generation = {
      rows: new Map<string, number>(),
      columns: new Float64Array(this.#width * 64),
      // A late event opens no generation in the past: alternating old and new times would open one each.
      start: Math.max(time, last?.start ?? time),
      newest: time,
    };
    this.#generations.push(generation);
    return generation;
  }
}
