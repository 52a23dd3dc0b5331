import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Where programs lie when the environment does not say. */
export const PATH_DEFAULT = '/usr/local/bin:/usr/bin:/bin';

/** Path of a program that is looked up on `path`; `undefined` when there is none that may be run. */
export function findProgram(name: string, path: string): string | undefined {
  // An empty entry means the current folder, from where nothing is run by chance.
  const folders = path.split(delimiter).filter((folder) => folder.startsWith('/'));
  return folders.map((folder) => join(folder, name)).find(isProgram);
}

/** Whether there is a file that may be run. */
export function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
