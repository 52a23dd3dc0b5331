import { createHash } from 'node:crypto';
import { mkdir, open, readFile, realpath, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { RecordPlace } from './cut-batches.ts';

/** Bytes at both ends of what was sent that tell one file from another. */
const END_BYTES = 65_536;

const state = z.object({
  version: z.literal(1),
  source: z.string(),
  /** Address of the server; that of a data directory's own server is `local`. */
  server: z.string(),
  path: z.string(),
  fingerprint: z.string(),
  /** Everything before it is durable. */
  offset: z.number().int().nonnegative(),
  records: z.number().int().nonnegative(),
  accepted: z.number().int().nonnegative(),
  quarantined: z.number().int().nonnegative(),
  isWhole: z.boolean(),
  /** Size of the file when {@link Resume.write} noted it, in bytes. */
  size: z.number().int().nonnegative(),
});

/** How far the sending of a file was. */
export type Sent = Pick<z.infer<typeof state>, 'offset' | 'records' | 'accepted' | 'quarantined' | 'isWhole'>;

export interface ResumeOptions {
  /** Folder of the data. */
  readonly dataDir: string;
  readonly server: string;
  readonly source: string;
  /** Whether the file may grow behind what was sent. */
  readonly canGrow: boolean;
}

/**
 * Remembers how far a file was sent to a source of a server, in a small file of the data directory. It is known again by
 * its content, not by its time: a file that was replaced begins anew, one to which lines were added goes on.
 */
export class Resume {
  readonly #file: string;
  readonly #path: string;
  readonly #options: ResumeOptions;

  private constructor(file: string, path: string, options: ResumeOptions) {
    this.#file = file;
    this.#path = path;
    this.#options = options;
  }

  static async open(path: string, options: ResumeOptions): Promise<Resume> {
    const folder = join(options.dataDir, 'ingest');
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const real = await realpath(path);
    const name = createHash('sha256').update(`${options.server}\n${options.source}\n${real}`).digest('hex');
    return new Resume(join(folder, `${name}.json`), real, options);
  }

  /** How far the file was sent, and whether there is more now; `undefined` when it was not, or is another one now. */
  async read(): Promise<(Sent & { readonly hasMore: boolean }) | undefined> {
    let found: z.infer<typeof state>;
    try {
      found = state.parse(JSON.parse(await readFile(this.#file, 'utf8')));
    } catch {
      // Missing, or half written by a machine that lost power: the file is sent again, which is safe.
      return undefined;
    }
    const { size } = await stat(this.#path);
    if (this.#options.canGrow && size < found.offset) return undefined;
    if ((await this.#fingerprint(found.offset)) !== found.fingerprint) return undefined;
    return { ...found, hasMore: !found.isWhole || size !== found.size };
  }

  /** Appears under its name all at once, so that a kill leaves the one before. */
  async write(sent: Sent): Promise<void> {
    const { server, source } = this.#options;
    const { size } = await stat(this.#path);
    const value: z.infer<typeof state> = {
      version: 1,
      server,
      source,
      path: this.#path,
      size,
      fingerprint: await this.#fingerprint(sent.offset),
      ...sent,
    };
    const draft = `${this.#file}.${String(process.pid)}`;
    await writeFile(draft, `${JSON.stringify(value)}\n`, { mode: 0o600 });
    await rename(draft, this.#file);
  }

  /** Digest of both ends of what was sent; of a file that cannot grow, of all of it and its size. */
  async #fingerprint(offset: number): Promise<string> {
    const file = await open(this.#path);
    try {
      const { size } = await file.stat();
      const end = this.#options.canGrow ? offset : size;
      const hash = createHash('sha256').update(this.#options.canGrow ? 'prefix' : String(size));
      for (const [from, to] of [
        [0, Math.min(END_BYTES, end)],
        [Math.max(0, end - END_BYTES), end],
      ] as const) {
        const { buffer, bytesRead } = await file.read(Buffer.alloc(to - from), 0, to - from, from);
        hash.update(buffer.subarray(0, bytesRead));
      }
      return hash.digest('hex');
    } finally {
      await file.close();
    }
  }
}

/** The place that sending goes on from. */
export function placeOf({ offset, records }: Sent): RecordPlace {
  return { offset, records };
}
