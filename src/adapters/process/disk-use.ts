import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const BLOCK_BYTES = 512;
/** What a file takes at least, in the count: many empty ones fill a disk as well. */
const FILE_BYTES_MIN = 512;

/** Bytes that a folder takes on disk; it is not counted further than beyond `enough`. Links are not followed. */
export function diskBytes(folder: string, enough: number): number {
  let bytes = 0;
  const folders = [folder];
  for (let next = folders.pop(); next !== undefined && bytes <= enough; next = folders.pop()) {
    for (const entry of entriesOf(next)) {
      const path = join(next, entry.name);
      if (entry.isDirectory()) folders.push(path);
      bytes += FILE_BYTES_MIN + sizeOf(path);
      if (bytes > enough) break;
    }
  }
  return bytes;
}

/** What is gone meanwhile takes nothing. */
function sizeOf(path: string): number {
  return (lstatSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * BLOCK_BYTES;
}

function entriesOf(folder: string): { readonly name: string; isDirectory(): boolean }[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}
