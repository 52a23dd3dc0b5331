import { readFile } from 'node:fs/promises';

/** Ticks of a processor in a second, as Linux shows them to programs whatever its own rate is. */
export const TICKS_PER_SECOND = 100;

/** What the system has counted for a process or a thread, in seconds of CPU. */
export interface CpuTime {
  readonly own: number;
  /** Of its children that have ended. */
  readonly children: number;
  /** Process id. */
  readonly parent: number;
}

/**
 * Reads it from a folder of /proc, as `/proc/17` or `/proc/17/task/18`; `undefined` where there is none, because the process has
 * ended or the system has no /proc.
 */
export async function cpuTime(folder: string): Promise<CpuTime | undefined> {
  const text = await readFile(`${folder}/stat`, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  // The second field is a name in parentheses that may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const seconds = (first: number): number =>
    (Number(fields[first]) + Number(fields[first + 1])) / TICKS_PER_SECOND;
  return { own: seconds(11), children: seconds(13), parent: Number(fields[1]) };
}
