import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { PlatformError } from '../../contract/errors.ts';
import { type FailPoints, noFailPoints } from '../../runtime/fail-points.ts';
import type { ObjectReference, Objects } from '../../runtime/ports/index.ts';
import { hexOf, OBJECT_BYTES, readableFile, refuseLarge, verify } from './digest.ts';

/** Limits of a directory of objects. */
const OBJECT_LIMITS = {
  /** After this long a half-written file of another machine counts as left behind, in milliseconds. */
  abandonedMs: 86_400_000,
} as const;

const CHUNK_BYTES = OBJECT_BYTES.chunk;

/**
 * The port `Objects` in a directory, which several processes and machines may share. An object
 * `sha256:abcd...` is the file `ab/cd/abcd...`. It is written under another name, synchronised and renamed,
 * so a file with an object's name is always complete, also after a power cut.
 *
 * Rejects with BAD_REQUEST for what is no digest, OBJECT_NOT_FOUND, STORAGE_FULL, CONFIGURATION when the
 * directory cannot be written, and INTERNAL when the bytes on disk are no longer those of the digest.
 */
export function directoryObjects(root: string, failPoints: FailPoints = noFailPoints): Objects {
  const store = new DirectoryStore(resolve(root), failPoints);
  return {
    put: (bytes) => coded(() => store.write(chunksOf(bytes))),
    async putFile(path) {
      await readableFile(path);
      return coded(() => store.write(createReadStream(path, { highWaterMark: CHUNK_BYTES })));
    },
    get: (digest) => coded(() => store.read(digest)),
    has: (digest) => coded(() => store.has(digest)),
    path: (digest) => coded(() => store.path(digest)),
    remove: (digest) => coded(() => store.remove(digest)),
  };
}

class DirectoryStore {
  readonly #root: string;
  readonly #temporary: string;
  readonly #failPoints: FailPoints;
  /** Digests whose files this process has checked; files with an object's name never change. */
  readonly #verified = new Set<string>();
  #prepared: Promise<void> | undefined;

  constructor(root: string, failPoints: FailPoints) {
    this.#root = root;
    this.#failPoints = failPoints;
    this.#temporary = join(root, 'tmp');
  }

  async write(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<ObjectReference> {
    await (this.#prepared ??= this.#prepare().catch((error: unknown) => {
      this.#prepared = undefined;
      throw error;
    }));
    const temporary = join(this.#temporary, `${hostname()}.${process.pid}.${randomBytes(8).toString('hex')}`);
    try {
      const reference = await writeDurably(temporary, chunks);
      const path = this.#locate(reference.digest);
      await this.#makeFolders(dirname(path));
      // Over an object that is there already too: it has the same bytes, or is damaged and now whole again.
      await this.#failPoints.pass('objects.put.written');
      await rename(temporary, path);
      await this.#failPoints.pass('objects.put.renamed');
      await synchronise(dirname(path));
      return reference;
    } finally {
      await rm(temporary, { force: true });
    }
  }

  async read(digest: string): Promise<Uint8Array> {
    const path = this.#locate(digest);
    const { size } = await stat(path).catch((error: unknown) => notFound(error, digest));
    refuseLarge(digest, size);
    const file = await open(path, 'r').catch((error: unknown) => notFound(error, digest));
    try {
      const { bytes, hex } = await readAndHash(file, size);
      verify(digest, hex, 'on disk');
      return bytes;
    } finally {
      await file.close();
    }
  }

  async has(digest: string): Promise<boolean> {
    const path = this.#locate(digest);
    try {
      await stat(path);
      return true;
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return false;
      throw error;
    }
  }

  async path(digest: string): Promise<string> {
    const path = this.#locate(digest);
    await stat(path).catch((error: unknown) => notFound(error, digest));
    if (!this.#verified.has(digest)) {
      const hash = createHash('sha256');
      for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES }))
        hash.update(chunk as Buffer);
      verify(digest, hash.digest('hex'), 'on disk');
      this.#verified.add(digest);
    }
    return path;
  }

  async remove(digest: string): Promise<void> {
    await rm(this.#locate(digest), { force: true });
    this.#verified.delete(digest);
  }

  /** Only 64 hexadecimal digits become part of a path. */
  #locate(digest: string): string {
    const hex = hexOf(digest);
    return join(this.#root, hex.slice(0, 2), hex.slice(2, 4), hex);
  }

  async #prepare(): Promise<void> {
    await mkdir(this.#temporary, { recursive: true });
    for (const name of await readdir(this.#temporary)) {
      const path = join(this.#temporary, name);
      if (await isAbandoned(path, name)) await rm(path, { force: true });
    }
  }

  async #makeFolders(folder: string): Promise<void> {
    const first = await mkdir(folder, { recursive: true });
    if (first === undefined) return;
    // A new folder is only safe once the one above it is on disk too.
    for (let above = dirname(folder); above.startsWith(this.#root); above = dirname(above))
      await synchronise(above);
  }
}

/**
 * Whether the process that was writing the file is gone. Of another machine's process only the file's age
 * tells, and of our own number too: a restarted container has the same one.
 */
export async function isAbandoned(path: string, name: string): Promise<boolean> {
  const [, host, pid] = /^(.*)\.(\d+)\.[0-9a-f]+$/.exec(name) ?? [];
  if (host === hostname() && Number(pid) !== process.pid) return !isProcess(Number(pid));
  const found = await stat(path).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > OBJECT_LIMITS.abandonedMs;
}

function isProcess(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

async function writeDurably(
  path: string,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<ObjectReference> {
  const hash = createHash('sha256');
  let bytes = 0;
  const file = await open(path, 'wx', 0o444);
  try {
    for await (const chunk of chunks) {
      hash.update(chunk);
      await writeAll(file, chunk);
      bytes += chunk.byteLength;
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return { digest: `sha256:${hash.digest('hex')}`, bytes };
}

/**
 * The first `size` bytes of a file, or all if it has fewer, and their hash. A piece is hashed while the next one is read, and other
 * work gets its turn in between.
 */
async function readAndHash(file: FileHandle, size: number): Promise<{ bytes: Uint8Array; hex: string }> {
  const bytes = Buffer.allocUnsafeSlow(size);
  const hash = createHash('sha256');
  let end = await readPiece(file, bytes, 0);
  for (let from = 0; from < end;) {
    const next = readPiece(file, bytes, end);
    hash.update(bytes.subarray(from, end));
    from = end;
    end = await next;
  }
  return { bytes: bytes.subarray(0, end), hex: hash.digest('hex') };
}

/** Reads the piece that begins at `from`; where it ends. One read may give only a part of it. */
async function readPiece(file: FileHandle, bytes: Buffer, from: number): Promise<number> {
  const end = Math.min(bytes.length, from + CHUNK_BYTES);
  let at = from;
  while (at < end) {
    const { bytesRead } = await file.read(bytes, at, end - at, at);
    if (bytesRead === 0) break;
    at += bytesRead;
  }
  return at;
}

/** One write may take only a part. */
async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.byteLength;) at += (await file.write(chunk, at)).bytesWritten;
}

async function synchronise(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function* chunksOf(bytes: Uint8Array): Iterable<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES);
}

function notFound(error: unknown, digest: string): never {
  if (codeOf(error) !== 'ENOENT') throw error;
  throw new PlatformError('OBJECT_NOT_FOUND', `No object ${digest} is stored`, { details: { digest } });
}

async function coded<TResult>(work: () => Promise<TResult>): Promise<TResult> {
  try {
    return await work();
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      throw new PlatformError('STORAGE_FULL', 'The disk with the objects is full', { cause: error });
    }
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
      throw new PlatformError('CONFIGURATION', `The folder of objects cannot be used: ${String(error)}`, {
        cause: error,
      });
    }
    throw error;
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}
