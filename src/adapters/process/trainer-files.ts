import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { PlatformError } from '../../contract/errors.ts';

/** Limits of the files beside the app that belong to one command. */
export const TRAINER_FILE_LIMITS = { filesMax: 1_000, bytesMax: 67_108_864 } as const;

/** What Python leaves beside its sources: it differs from machine to machine and says nothing. */
const SKIPPED_FOLDERS: readonly string[] = ['__pycache__', 'node_modules', '.git'];

/** A command with what it says of its files. */
export interface CommandFiles {
  readonly command: readonly string[];
  readonly files: readonly string[];
}

/**
 * Digests of the files beside the app that belong to a command, by path with `/`: the arguments that name a regular file
 * in the app's folder (the program too, if it has a slash), and all in `files`, where a folder stands for all files below
 * it. Links are left out: they lead elsewhere, as those of an environment of Python do.
 *
 * Throws DEFINITION when a path of `files` is not there or there are more files or bytes than
 * {@link TRAINER_FILE_LIMITS} allow.
 */
export function trainerFileDigests(folder: string, { command, files }: CommandFiles): Record<string, string> {
  const root = realpathSync(folder);
  const paths = new Set<string>();
  for (const [index, word] of command.entries()) {
    const isLookedUp = index === 0 && !word.includes('/');
    const path = isLookedUp ? undefined : insideOf(root, word);
    if (path !== undefined && isRegular(join(root, path))) paths.add(path);
  }
  for (const named of files) {
    const path = insideOf(root, named);
    if (path === undefined || !addAll(root, path, paths)) {
      throw new PlatformError('DEFINITION', `external(): there is no file or folder '${named}' in ${root}`);
    }
  }
  return digestsOf(root, [...paths].toSorted());
}

function digestsOf(root: string, paths: readonly string[]): Record<string, string> {
  const { filesMax, bytesMax } = TRAINER_FILE_LIMITS;
  let bytes = 0;
  const digests: Record<string, string> = {};
  for (const path of paths) {
    bytes += lstatSync(join(root, path)).size;
    if (paths.length > filesMax || bytes > bytesMax) {
      throw new PlatformError(
        'DEFINITION',
        `external(): the files of a command are at most ${String(filesMax)} with ${String(bytesMax)} bytes together; ` +
          `there are ${String(paths.length)}, and ${String(bytes)} bytes up to '${path}'`,
      );
    }
    digests[path] = `sha256:${createHash('sha256')
      .update(readFileSync(join(root, path)))
      .digest('hex')}`;
  }
  return digests;
}

/** The path relative to the root; `undefined` when it leads outside, also by way of links. */
function insideOf(root: string, word: string): string | undefined {
  if (word === '' || word.includes('\0')) return undefined;
  try {
    const path = relative(root, realpathSync(resolve(root, word)));
    const isInside =
      path !== '..' && !path.startsWith(`..${sep}`) && resolve(root, word) === join(root, path);
    return isInside ? path.split(sep).join('/') : undefined;
  } catch {
    return undefined;
  }
}

function isRegular(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

/** Adds a file, or the files below a folder; `false` when there is neither. */
function addAll(root: string, path: string, paths: Set<string>): boolean {
  const found = lstatSync(join(root, path), { throwIfNoEntry: false });
  if (found?.isFile() === true) paths.add(path);
  if (found?.isDirectory() !== true) return found?.isFile() === true;
  for (const entry of readdirSync(join(root, path), { withFileTypes: true })) {
    if (paths.size > TRAINER_FILE_LIMITS.filesMax) return true;
    const below = path === '' ? entry.name : `${path}/${entry.name}`;
    if (entry.isFile()) paths.add(below);
    else if (entry.isDirectory() && !SKIPPED_FOLDERS.includes(entry.name)) addAll(root, below, paths);
  }
  return true;
}
