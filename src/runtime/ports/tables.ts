/** A value that a table column can hold. `bigint` columns come back as numbers while they are safe integers. */
export type TableValue = unknown;

export type TableRow = Record<string, TableValue>;

/**
 * The relational store of a service. A service reads and writes only the tables that its own migrations make. SQL stays
 * within what any supported server version understands.
 */
export interface Tables {
  /** Runs one statement with `$1, $2, ...` parameters and returns its rows. */
  query<TRow extends TableRow = TableRow>(sql: string, parameters?: readonly unknown[]): Promise<TRow[]>;
  /**
   * Runs `work` in one transaction: committed when it resolves, rolled back when it rejects. Nested calls join the
   * outer transaction.
   */
  transaction<TResult>(work: (tx: Tables) => Promise<TResult>): Promise<TResult>;
}

/**
 * Wake-ups between processes. A signal carries a channel's name and nothing to trust: whoever is woken reads the state
 * anew. Signals can get lost, so every subscriber also polls; use them to be fast, never to be right. Not for events.
 */
export interface Signals {
  /** Sends a signal to every subscriber of `channel` (`a-z`, `0-9`, `_`); within `tx` it is sent at the commit. */
  notify(channel: string, tx?: Tables): Promise<void>;
  /** Calls `wake` at each signal and once after every reconnection. Returns the function that ends it. */
  subscribe(channel: string, wake: () => void): () => void;
}

/** One numbered step of a service's schema. Numbers of an owner start at 1 and have no gaps; a landed step never changes. */
export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sql: string;
  /**
   * Whether a version that does not know the step works on a database that has it: it adds tables, indexes, or columns
   * that are null or have a default, and nothing that is there changes. Only such steps can be rolled out and back while
   * services run. Default `false`.
   */
  readonly additive?: boolean;
}

/** The migrations of one owner (a service or an adapter). */
export interface MigrationSet {
  readonly owner: string;
  readonly migrations: readonly Migration[];
}
