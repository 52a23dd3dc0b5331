import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rm, rmdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

/** Scratch can hold personal data: nobody else may look. */
const MODE = 0o700;

/** The scratch folders of one process, below a directory that several processes may share. */
export interface Scratch {
  /** Makes a new empty folder. */
  create(): Promise<string>;
  /** Removes a folder of {@link create} with everything in it. */
  remove(folder: string): Promise<void>;
}

/**
 * Opens the scratch space and begins to remove what crashed processes of this host left; `create` waits for
 * it.
 *
 * A process's folder is named `<host>-<process id>-<start>`. It is a leftover when no such process lives, or
 * when the id is ours but the start is not: in a container every process may have the id 1. A folder whose id
 * another process got since is found at a later start. Folders of other hosts are left alone, as their
 * processes cannot be asked for.
 */
export function openScratch(directory: string): Scratch {
  const host = hostname().replaceAll(/[^A-Za-z0-9.]/g, '_');
  const own = join(directory, folderName(host, process.pid, processStart()));
  const cleaned = removeLeftovers(directory, host);
  // Whoever waits for it learns of the failure; before that it is not an unhandled one.
  cleaned.catch(() => undefined);
  return {
    async create() {
      await cleaned;
      const folder = join(own, randomUUID());
      await mkdir(folder, { recursive: true, mode: MODE });
      return folder;
    },
    async remove(folder) {
      await rm(folder, { recursive: true, force: true });
      // Fails while other sessions have folders there.
      await rmdir(own).catch(() => undefined);
    },
  };
}

/** @internal The name of a process's folder. */
export function folderName(host: string, processId: number, start: number): string {
  return `${host}-${processId}-${start}`;
}

/** Milliseconds since 1970, the same for as long as this thread lives. */
function processStart(): number {
  return Math.floor(performance.timeOrigin);
}

async function removeLeftovers(directory: string, host: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: MODE });
  for (const name of await readdir(directory)) {
    const match = /^(.+)-(\d+)-(\d+)$/.exec(name);
    if (match?.[1] !== host) continue;
    const processId = Number(match[2]);
    const isOurs = processId === process.pid && Number(match[3]) === processStart();
    if (isOurs || (processId !== process.pid && isAlive(processId))) continue;
    await rm(join(directory, name), { recursive: true, force: true });
  }
}

function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    // It lives but belongs to another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
