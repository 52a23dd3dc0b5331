import { readdir, readFile, stat } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { unpackTar } from 'modern-tar';
import { PlatformError } from '../../contract/index.ts';
import { BUILD_LIMITS } from './limits.ts';

/** One file of a build. */
export interface ContentFile {
  /** Relative, with `/`, without `.` and `..`. */
  readonly path: string;
  readonly bytes: number;
  read(): Promise<Uint8Array>;
}

/** Folders that are no part of a build when it comes as a folder; neither is what begins with a dot. */
const LEFT_OUT: ReadonlySet<string> = new Set(['node_modules']);

/** The files of a folder or of a tarball as `npm pack` makes it, by path. Rejects with CONFIGURATION or UNPROCESSABLE. */
export async function openContent(place: string): Promise<readonly ContentFile[]> {
  const found = await stat(place).catch(() => undefined);
  if (found === undefined) {
    throw new PlatformError('CONFIGURATION', `--version: there is no folder or file ${place}`);
  }
  const files = found.isDirectory() ? await folderFiles(place) : await tarballFiles(place, found.size);
  if (files.length === 0) throw refused(place, 'it is empty');
  return files.toSorted((left, right) => (left.path < right.path ? -1 : 1));
}

/** Only of the platform itself: what runs is its manifest, and its sources or what they compile to. */
export function platformFiles(files: readonly ContentFile[]): readonly ContentFile[] {
  const folder = files.some(({ path }) => path === 'src/cli/main.ts') ? 'src/' : 'dist/';
  return files.filter(
    ({ path }) =>
      path === 'package.json' ||
      path.startsWith('node_modules/') ||
      (path.startsWith(folder) && !path.endsWith('.test.ts')),
  );
}

async function folderFiles(root: string): Promise<ContentFile[]> {
  const files: ContentFile[] = [];
  const limits = new ContentLimits(root);
  const walk = async (folder: string): Promise<void> => {
    for (const entry of await readdir(join(root, folder), { withFileTypes: true })) {
      if (LEFT_OUT.has(entry.name) || entry.name.startsWith('.')) continue;
      const path = posix.join(folder, entry.name);
      if (entry.isDirectory()) await walk(path);
      else if (entry.isFile()) {
        const place = join(root, path);
        const { size } = await stat(place);
        limits.add(path, size);
        files.push({ path, bytes: size, read: () => readFile(place) });
      } else throw refused(root, `${path} is neither a file nor a folder; links are not followed`);
    }
  };
  await walk('');
  return files;
}

async function tarballFiles(place: string, size: number): Promise<ContentFile[]> {
  if (size > BUILD_LIMITS.tarballBytesMax) {
    throw refused(
      place,
      `it has ${String(size)} bytes, at most ${String(BUILD_LIMITS.tarballBytesMax)} are taken`,
    );
  }
  const archive = await unpacked(place);
  const files: ContentFile[] = [];
  const limits = new ContentLimits(place);
  const seen = new Set<string>();
  for (const { header, data } of archive) {
    if (header.type === 'directory' || header.type === 'pax-global-header') continue;
    if (header.type !== 'file')
      throw refused(place, `${header.name} is a ${String(header.type)}; only files are taken`);
    const path = insidePath(place, header.name);
    if (seen.has(path)) throw refused(place, `${path} is in it twice`);
    seen.add(path);
    const bytes = data ?? new Uint8Array();
    limits.add(path, bytes.length);
    files.push({ path, bytes: bytes.length, read: () => Promise.resolve(bytes) });
  }
  return files;
}

async function unpacked(place: string): Promise<Awaited<ReturnType<typeof unpackTar>>> {
  try {
    // Tar adds a little to each file: a header and what fills the last block.
    const maxOutputLength = BUILD_LIMITS.contentBytesMax + BUILD_LIMITS.filesMax * 2_048;
    const bytes = await promisify(gunzip)(await readFile(place), { maxOutputLength });
    return await unpackTar(bytes, { strict: true });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(place);
    throw new PlatformError(
      'UNPROCESSABLE',
      `${place} is not a build: expected a folder or a tarball as 'npm pack' makes it (${message})`,
      { cause: error },
    );
  }
}

/** The path below the one folder that everything in a tarball lies in. */
function insidePath(place: string, name: string): string {
  const parts = name.split('/').slice(1);
  const isPlain = parts.length > 0 && parts.every((part) => part !== '' && part !== '.' && part !== '..');
  if (name.startsWith('/') || !isPlain || /[\\\0]/.test(name)) {
    throw refused(place, `${JSON.stringify(name)} does not lie in its folder`);
  }
  return parts.join('/');
}

class ContentLimits {
  readonly #place: string;
  #files = 0;
  #bytes = 0;

  constructor(place: string) {
    this.#place = place;
  }

  add(path: string, bytes: number): void {
    this.#files += 1;
    this.#bytes += bytes;
    const { filesMax, contentBytesMax, pathLengthMax } = BUILD_LIMITS;
    if (path.length > pathLengthMax)
      throw refused(this.#place, `the path ${path.slice(0, 64)}... is too long`);
    if (this.#files > filesMax) throw refused(this.#place, `it has more than ${String(filesMax)} files`);
    if (this.#bytes > contentBytesMax) throw tooLarge(this.#place);
  }
}

function tooLarge(place: string): PlatformError {
  return refused(place, `its files have more than ${String(BUILD_LIMITS.contentBytesMax)} bytes`);
}

function refused(place: string, reason: string): PlatformError {
  return new PlatformError('UNPROCESSABLE', `${place} cannot be taken as a build: ${reason}`);
}
