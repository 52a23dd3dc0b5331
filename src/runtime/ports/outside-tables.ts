import type { PolledTable } from '../../define/index.ts';

export type { PolledTable };

/** A place in a table that is read in the order of its rows' changes. */
export interface TablePlace {
  /** Time of the change, in microseconds since 1970-01-01 UTC. */
  readonly updatedAtUs: number;
  /** Id of the last row of that time that was read; without one, the first row of that time comes next. */
  readonly id?: string;
}

/** A row of a table of another system. */
export interface OutsideRow {
  readonly id: string;
  readonly updatedAtUs: number;
  /** Values as text, in the order of the columns that were asked for; instants in ISO 8601, lists in JSON. */
  readonly cells: readonly (string | null)[];
}

export interface OutsidePage {
  readonly rows: readonly OutsideRow[];
  /** What the clock of the table's database showed, in microseconds since 1970. */
  readonly nowUs: number;
}

export interface OutsidePageOptions {
  readonly columns: readonly string[];
  /** Default: from the beginning. */
  readonly after?: TablePlace | undefined;
  /** Latest change to read, in microseconds since 1970. Default: now, by the clock of the table's database. */
  readonly untilUs?: number | undefined;
  readonly limit: number;
}

/**
 * Tables of databases that are not ours, read and never written. Rejects with CONFIGURATION when the address, the table or a
 * column is wrong, UNAVAILABLE or DEADLINE_EXCEEDED when the database does not answer. No error shows the address.
 */
export interface OutsideTables {
  /** Rows in the order of (change, id). Rows without a time of change are never among them. */
  read(table: PolledTable, options: OutsidePageOptions): Promise<OutsidePage>;
}
