import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { PlatformError } from '../../contract/errors.ts';

/** Sizes that all stores of objects share, in bytes. */
export const OBJECT_BYTES = {
  /** Largest object that `get` reads into memory; larger ones are read from `path`. */
  getMax: 2 ** 30,
  /** Files are read in pieces of this size. */
  chunk: 4 * 2 ** 20,
} as const;

/** The hexadecimal digits of a digest: nothing else becomes part of a path. Throws BAD_REQUEST. */
export function hexOf(digest: string): string {
  if (!/^sha256:[0-9a-f]{64}$/.test(digest)) {
    throw new PlatformError(
      'BAD_REQUEST',
      `A digest is sha256: and 64 hexadecimal digits, not ${JSON.stringify(digest)}`,
    );
  }
  return digest.slice('sha256:'.length);
}

/** Throws INTERNAL when bytes are not those of their digest; `where` says where they lay. */
export function verify(digest: string, hex: string, where: string): void {
  if (digest === `sha256:${hex}`) return;
  throw new PlatformError(
    'INTERNAL',
    `Object ${digest} is damaged ${where}: its bytes are sha256:${hex}. Store it again.`,
    { details: { digest } },
  );
}

/** Throws UNPROCESSABLE when an object is too large for memory. */
export function refuseLarge(digest: string, bytes: number): void {
  if (bytes <= OBJECT_BYTES.getMax) return;
  throw new PlatformError(
    'UNPROCESSABLE',
    `Object ${digest} has ${String(bytes)} bytes, too many for memory: use its path`,
  );
}

/** Size of a file that is to be stored. Rejects with BAD_REQUEST when there is none. */
export async function readableFile(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile() !== true) throw new PlatformError('BAD_REQUEST', `There is no file ${path} to store`);
  return found.size;
}

/** SHA-256 of a file in hexadecimal digits. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: OBJECT_BYTES.chunk }))
    hash.update(chunk as Buffer);
  return hash.digest('hex');
}
