import { createHash, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, mkdir, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { PlatformError } from '../../contract/errors.ts';
import type { CommandInput, CommandOutput } from '../../runtime/ports/index.ts';
import { HOME_FOLDER, markOf, ProcessGroup } from './group.ts';

/** Rows may be personal data: nobody else may look. */
const FOLDER_MODE = 0o700;
/** Where a command finds its temporary folder, in its folder. */
export const TEMPORARY_FOLDER = 'tmp';

/** The folders of commands, below a directory that several processes may share. */
export interface WorkFolders {
  /** Makes a new one, with `home` and `tmp` in it. */
  create(): Promise<string>;
}

/**
 * Opens the place; before the first folder is made, what processes of this host left that died together with the keepers
 * of their commands is ended and removed.
 * A folder is named `<host>-<process id>-<start>-<random>`.
 */
export function workFolders(directory: string): WorkFolders {
  const host = hostname().replaceAll(/[^A-Za-z0-9.]/g, '_');
  const prefix = `${host}-${String(process.pid)}-${String(Math.floor(performance.timeOrigin))}-`;
  let cleaned: Promise<void> | undefined;
  return {
    async create() {
      cleaned ??= removeLeftovers(directory, host, prefix);
      await cleaned;
      const folder = join(directory, `${prefix}${randomUUID()}`);
      for (const name of [HOME_FOLDER, TEMPORARY_FOLDER]) {
        await mkdir(join(folder, name), { recursive: true, mode: FOLDER_MODE });
      }
      return folder;
    },
  };
}

async function removeLeftovers(directory: string, host: string, own: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: FOLDER_MODE });
  for (const name of await readdir(directory)) {
    const match = /^(.+?)-(\d+)-\d+-[0-9a-f-]{36}$/.exec(name);
    if (match?.[1] !== host || name.startsWith(own)) continue;
    const pid = Number(match[2]);
    if (pid !== process.pid && isAlive(pid)) continue;
    const folder = join(directory, name);
    new ProcessGroup(0, markOf(folder)).signal('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Puts a file into the folder. */
export async function writeInput(folder: string, input: CommandInput): Promise<void> {
  const path = join(folder, input.name);
  if ('bytes' in input) await writeFile(path, input.bytes);
  else await copyFile(input.path, path, constants.COPYFILE_FICLONE);
}

/** Copies a file of the app into the folder. Rejects with CONFLICT when its content is another than the digest's. */
export async function copyProgramFile(
  { from, to }: { readonly from: string; readonly to: string },
  path: string,
  digest: string,
): Promise<void> {
  const source = join(from, path);
  const bytes = await readFile(source).catch((error: unknown) => {
    throw changed(source, 'cannot be read any more', error);
  });
  const found = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  if (found !== digest) throw changed(source, `is now ${found}, and was ${digest}`);
  const target = join(to, path);
  await mkdir(dirname(target), { recursive: true, mode: FOLDER_MODE });
  await writeFile(target, bytes, { mode: (await stat(source)).mode & 0o700 });
}

function changed(path: string, how: string, cause?: unknown): PlatformError {
  return new PlatformError(
    'CONFLICT',
    `The file ${path} ${how}, but the model was defined with what it was when the app was loaded. ` +
      `Start the process again.`,
    { cause },
  );
}

/** Reads what the command wrote. Links are not followed, and no more is read than may be. */
export async function readOutput(
  folder: string,
  { name, bytesMax }: { readonly name: string; readonly bytesMax: number },
): Promise<CommandOutput> {
  // Without O_NONBLOCK a pipe in the file's place would make us wait for ever.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(join(folder, name), flags).catch((error: unknown) => {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return 'absent' as const;
    if (['ELOOP', 'ENXIO', 'EMLINK', 'EISDIR', 'EACCES'].includes(code ?? '')) return 'irregular' as const;
    throw error;
  });
  if (typeof file === 'string') return { kind: file };
  try {
    const found = await file.stat();
    if (!found.isFile()) return { kind: 'irregular' };
    if (found.size > bytesMax) return { kind: 'too-large', bytes: found.size };
    return { kind: 'read', bytes: new Uint8Array(await file.readFile()) };
  } finally {
    await file.close();
  }
}
