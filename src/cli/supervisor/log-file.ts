import { mkdir, open, rename, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServiceName } from '../../contract/index.ts';

/** A file that has grown beyond this is put aside when its process starts, in bytes: 10 MiB. */
const LOG_BYTES_MAX = 10 * 2 ** 20;

/** Folder of what the processes of `tandem up` write. */
export function logsFolder(dataDir: string): string {
  return join(dataDir, 'logs');
}

/** The file that a process writes into, whichever one has this place. */
export function logFile(dataDir: string, service: ServiceName, slot: number): string {
  return join(logsFolder(dataDir), `${service}-${String(slot)}.log`);
}

/** Opens the log of a process for appending. A long one becomes `.old`, in the place of the one before. */
export async function openLog(dataDir: string, service: ServiceName, slot: number): Promise<FileHandle> {
  await mkdir(logsFolder(dataDir), { recursive: true, mode: 0o700 });
  const path = logFile(dataDir, service, slot);
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  );
  if (size > LOG_BYTES_MAX) await rename(path, `${path}.old`);
  return open(path, 'a', 0o600);
}
