import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { isAbandoned } from './directory.ts';
import { hashFile, hexOf, verify } from './digest.ts';

/** A file in the cache. */
interface Cached {
  readonly path: string;
  readonly bytes: number;
  readonly usedAt: number;
  /** Whether some process was given the file's path. */
  readonly isHeld: boolean;
}

/**
 * Verified copies of objects on the local disk, shared by the processes of a machine. Each process is given paths in a
 * folder of its own, where they stay valid until it ends, as hard links to the shared copies: one process may then let
 * go of a copy that another one still reads. Copies that nobody holds go, the longest unused first, when all together
 * are larger than the limit.
 */
export class FileCache {
  readonly #folder: string;
  readonly #bytesMax: number;
  readonly #own: string;
  readonly #held = new Map<string, Promise<string>>();
  #prepared: Promise<void> | undefined;

  constructor(folder: string, bytesMax: number) {
    this.#folder = folder;
    this.#bytesMax = bytesMax;
    this.#own = join(
      folder,
      'held',
      `${hostname()}.${String(process.pid)}.${randomBytes(8).toString('hex')}`,
    );
  }

  /**
   * Path of the object's file, which `download` writes when it is not here yet. Rejects with what `download` rejects
   * with, and with INTERNAL when it wrote other bytes.
   */
  async path(digest: string, download: (path: string) => Promise<void>): Promise<string> {
    const hex = hexOf(digest);
    const known = this.#held.get(hex);
    if (known !== undefined) return known;
    const held = this.#hold(digest, hex, download);
    this.#held.set(hex, held);
    held.catch(() => this.#held.delete(hex));
    return held;
  }

  /** Forgets the shared copy; paths that were given stay valid. */
  async forget(digest: string): Promise<void> {
    await rm(this.#shared(hexOf(digest)), { force: true });
  }

  async #hold(digest: string, hex: string, download: (path: string) => Promise<void>): Promise<string> {
    await (this.#prepared ??= this.#prepare());
    const shared = this.#shared(hex);
    const own = join(this.#own, hex);
    if (await this.#take(digest, shared, own)) return own;
    const temporary = `${own}.new`;
    try {
      await download(temporary);
      verify(digest, await hashFile(temporary), 'in the object store');
      const file = await open(temporary, 'r+');
      await file.chmod(0o444);
      await file.sync();
      await file.close();
      await mkdir(dirname(shared), { recursive: true });
      await link(temporary, own);
      // Over the copy that another process may have made meanwhile: it has the same bytes.
      await rename(temporary, shared);
    } finally {
      await rm(temporary, { force: true });
    }
    await this.#trim();
    return own;
  }

  /** Takes the shared copy if there is one and it is whole. */
  async #take(digest: string, shared: string, own: string): Promise<boolean> {
    try {
      await link(shared, own);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
    try {
      verify(digest, await hashFile(own), 'in the cache');
    } catch {
      // Damaged on this disk: fetched anew.
      await rm(own, { force: true });
      await rm(shared, { force: true });
      return false;
    }
    const now = new Date();
    await utimes(own, now, now);
    return true;
  }

  #shared(hex: string): string {
    return join(this.#folder, 'shared', hex.slice(0, 2), hex);
  }

  async #prepare(): Promise<void> {
    await mkdir(this.#own, { recursive: true, mode: 0o700 });
    const held = join(this.#folder, 'held');
    for (const name of await readdir(held)) {
      const path = join(held, name);
      if (path !== this.#own && (await isAbandoned(path, name)))
        await rm(path, { recursive: true, force: true });
    }
  }

  async #trim(): Promise<void> {
    const files = await this.#list();
    let bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    const free = files.filter(({ isHeld }) => !isHeld).sort((left, right) => left.usedAt - right.usedAt);
    for (const file of free) {
      if (bytes <= this.#bytesMax) return;
      await rm(file.path, { force: true });
      bytes -= file.bytes;
    }
  }

  async #list(): Promise<Cached[]> {
    const root = join(this.#folder, 'shared');
    const found: Cached[] = [];
    for (const part of await readdir(root).catch(() => [])) {
      for (const name of await readdir(join(root, part)).catch(() => [])) {
        const path = join(root, part, name);
        const file = await stat(path).catch(() => undefined);
        if (file === undefined) continue;
        found.push({ path, bytes: file.size, usedAt: file.mtimeMs, isHeld: file.nlink > 1 });
      }
    }
    return found;
  }
}
