import type { CommandEnd } from '../../runtime/ports/index.ts';

/** What the keeper is started with. */
export interface KeeperOrder {
  /** Path of the program. */
  readonly program: string;
  readonly arguments: readonly string[];
  /** The command's folder, which the keeper removes when nobody is left who would. */
  readonly folder: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly memoryBytesMax: number;
  readonly diskBytesMax: number;
  /** Between the request to end and the end by force, in milliseconds. */
  readonly graceMs: number;
  /** How often memory is looked at, in milliseconds; the disk every fifth time. */
  readonly watchMs: number;
  /** From 0 (not at all) to 19: how much the command gives way to others. */
  readonly niceness: number;
}

/** What the keeper is told while the command runs. */
export interface KeeperStop {
  /** Why, where it is a limit that others watch. */
  readonly end?: CommandEnd;
}

/** What the keeper tells when the command and all its processes are gone. */
export type KeeperReport =
  | {
      readonly end: CommandEnd;
      readonly cpuSeconds: number | null;
      readonly memoryLimit: string;
    }
  | { readonly failure: string };
