import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { PlatformError } from '../../contract/index.ts';
import { MARK, type ManifestFile } from './manifests.ts';

export interface WriteOptions {
  /** Writes beside files of others too, and over those with the same name. */
  readonly force: boolean;
}

/** A file of others larger than this is not read to find that out. */
const MARK_BYTES = Buffer.byteLength(MARK);

/**
 * Writes the files, each at once, and removes what an earlier run wrote and this one does not; the list of all comes last
 * but for that. Resolves with what was removed. Rejects with CONFLICT when the folder holds anything that was not written
 * by this: nothing is touched then.
 */
export async function writeFolder(
  folder: string,
  files: readonly ManifestFile[],
  { force }: WriteOptions,
): Promise<string[]> {
  const path = resolve(folder);
  const present = await contents(path);
  const own = new Set<string>();
  for (const name of present) if (await isOurs(join(path, name))) own.add(name);
  const foreign = present.filter((name) => !own.has(name) && !name.startsWith('.'));
  if (foreign.length > 0 && !force) {
    throw new PlatformError(
      'CONFLICT',
      `--out: ${path} holds ${String(foreign.length)} file${foreign.length === 1 ? '' : 's'} that were not written by ` +
        `'tandem k8s render', such as ${String(foreign[0])}. Choose an empty folder, or write beside them with --force.`,
      { details: { folder: path, foreign: foreign.slice(0, 10) } },
    );
  }
  await mkdir(path, { recursive: true });
  // The list names the others: until it is there, an earlier one still names files that are there too.
  const isList = ({ path: name }: ManifestFile): boolean => name === 'kustomization.yaml';
  for (const file of [...files.filter((item) => !isList(item)), ...files.filter(isList)]) {
    await writeAtomically(join(path, file.path), file.text);
  }
  const written = new Set(files.map((file) => file.path));
  const stale = [...own].filter((name) => !written.has(name)).sort();
  for (const name of stale) await rm(join(path, name), { force: true });
  return stale;
}

async function contents(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).sort();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return [];
    if (code !== 'ENOTDIR') throw error;
    throw new PlatformError('CONFIGURATION', `--out: expected a folder, ${path} is a file`, { cause: error });
  }
}

async function isOurs(path: string): Promise<boolean> {
  if (!(await stat(path)).isFile()) return false;
  return (await readFile(path)).subarray(0, MARK_BYTES).toString('utf8') === MARK;
}

/** A reader finds the old text or the new one, never a part. */
async function writeAtomically(path: string, text: string): Promise<void> {
  const draft = `${path}.${String(process.pid)}.draft`;
  try {
    const file = await open(draft, 'w', 0o644);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}
