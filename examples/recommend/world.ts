/** Something to read or to see. */
export interface Item {
  readonly itemId: string;
  readonly genre: string;
  readonly year: number;
}

/** A reader opens an item that we did not show. */
export interface Find {
  readonly userId: string;
  readonly itemId: string;
  /** Milliseconds since 1970-01-01 UTC. */
  readonly at: number;
}

/** A reader comes by. */
export interface Visit {
  readonly visitId: string;
  readonly userId: string;
  /** Milliseconds since 1970-01-01 UTC. */
  readonly at: number;
}

/** Readers and what they want. Everything comes in the order of time, and is the same each time it is asked for. */
export interface World {
  /** What it is, for people. */
  readonly title: string;
  readonly items: readonly Item[];
  /** The first find of the history. */
  readonly startMs: number;
  /** When the history ends and visits begin. */
  readonly openMs: number;
  /** What readers found before anything was recommended. */
  history(): Iterable<Find>;
  /** Visits from an instant on. */
  visits(fromMs: number): Iterable<Visit>;
  /** What is opened of the shown items, the best place first. */
  clicked(visit: Visit, shown: readonly string[]): readonly string[];
  /** What is opened in the visit all the same, however the shelf looks. */
  found(visit: Visit): readonly string[];
  /** How many of the shown items are opened on average. */
  expected(visit: Visit, shown: readonly string[]): number;
}
