import { readdir, writeFile } from 'node:fs/promises';
import { setPriority } from 'node:os';

/**
 * Lets a process give way to others, from 0 (not at all) to 19. On Linux each thread has a priority of its own, which those
 * that it makes inherit; and where the processor is shared among sessions rather than processes, the session has to give way:
 * only a process that has one of its own does.
 */
export async function giveWay(pid: number, niceness: number): Promise<void> {
  if (process.platform !== 'linux') return lower(pid, niceness);
  // Twice: while the first round goes on, threads may be made by those that are not lowered yet.
  for (let round = 0; round < 2; round += 1) {
    const threads = await readdir(`/proc/${String(pid)}/task`).catch(() => []);
    for (const thread of threads) lower(Number(thread), niceness);
  }
  // Kernels without such sessions have no such file.
  await writeFile(`/proc/${String(pid)}/autogroup`, String(niceness)).catch(() => undefined);
}

/** What has ended meanwhile needs no priority. */
function lower(id: number, niceness: number): void {
  try {
    setPriority(id, niceness);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SYSTEM_ERROR') throw error;
  }
}
