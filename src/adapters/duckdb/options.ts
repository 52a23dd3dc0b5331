export interface DuckdbWarehouseOptions {
  /**
   * Folder for scratch and spill files, on a local disk of this machine. Created when missing; may be shared
   * by processes.
   */
  readonly directory: string;
  /** Memory of one session, in bytes; beyond it DuckDB spills to disk. */
  readonly memoryBytesMax?: number;
  /** Disk space of one session for what it spills, in bytes; beyond it a statement fails with STORAGE_FULL. */
  readonly spillBytesMax?: number;
  /** Threads of one session. */
  readonly threads?: number;
  /** Sessions open at a time; further ones wait their turn. */
  readonly sessionsMax?: number;
  /** Callers that may wait for a session; more are refused with OVERLOADED. */
  readonly waitingMax?: number;
  /**
   * Lets a process give way to others. With it, background sessions run in a process of their own that does so. Default:
   * they run in this one.
   */
  readonly lower?: (pid: number) => Promise<void>;
}

/** Defaults of {@link DuckdbWarehouseOptions}. */
export const WAREHOUSE_DEFAULTS = {
  memoryBytesMax: 1_073_741_824,
  spillBytesMax: 68_719_476_736,
  threads: 2,
  sessionsMax: 2,
  waitingMax: 100,
} as const;
