import type { SectionReader, SectionWriter } from './sections.ts';

/** Where the correction lies (offset), then the event that it replaced: its time and place. */
const COLUMNS = 3;
const ENTRIES_MIN = 64;

/**
 * The events of a partition that corrections and deletions have replaced, in the order of those: what a state partition that was
 * saved before them still has, and must take out. The oldest half is forgotten when `entriesMax` are kept: what was saved before
 * {@link since} cannot be brought up to date any more and is read anew.
 */
export class Superseded {
  readonly #entriesMax: number;
  #entries: Float64Array = new Float64Array(ENTRIES_MIN * COLUMNS);
  #length = 0;
  /** Corrections from this offset on are all kept. */
  since = 0;

  /** `entriesMax`: 24 bytes each. Default 65,536. */
  constructor(entriesMax = 65_536) {
    this.#entriesMax = entriesMax;
  }

  note(correction: number, time: number, place: number): void {
    if (this.#length === this.#entriesMax * COLUMNS) this.#forget();
    if (this.#length === this.#entries.length) {
      const grown = new Float64Array(this.#entries.length * 2);
      grown.set(this.#entries);
      this.#entries = grown;
    }
    this.#entries.set([correction, time, place], this.#length);
    this.#length += COLUMNS;
  }

  /** Visits what corrections from the offset on have replaced. */
  visitFrom(offset: number, visit: (time: number, place: number) => void): void {
    for (let at = 0; at < this.#length; at += COLUMNS)
      if ((this.#entries[at] ?? 0) >= offset) visit(this.#entries[at + 1] ?? 0, this.#entries[at + 2] ?? 0);
  }

  save(writer: SectionWriter): void {
    const head = Float64Array.of(this.since);
    writer.numbers(head);
    writer.numbers(this.#entries.slice(0, this.#length));
  }

  load(reader: SectionReader): void {
    this.since = reader.numbers()[0] ?? 0;
    const saved = reader.numbers();
    this.#entries = new Float64Array(Math.max(saved.length, ENTRIES_MIN * COLUMNS));
    this.#entries.set(saved);
    this.#length = saved.length;
  }

  #forget(): void {
    const half = Math.ceil(this.#entriesMax / 2) * COLUMNS;
    // Each correction replaces one event at most, so the first that is kept is the first that is known in full.
    this.since = this.#entries[half - COLUMNS] ?? 0;
    this.since += 1;
    this.#entries.copyWithin(0, half, this.#length);
    this.#length -= half;
  }
}
