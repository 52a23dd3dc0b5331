import { randomUUID } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { translate } from './failures.ts';

/** Writes bytes into a new file of the folder, as they come, and gives its path. */
export async function receiveFile(folder: string, chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const path = join(folder, randomUUID());
  const file = await open(path, 'wx', 0o600);
  try {
    for await (const chunk of chunks) await writeAll(file, chunk);
  } catch (error) {
    throw translate(error, 'receiving a file');
  } finally {
    await file.close();
  }
  return path;
}

async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.byteLength;) at += (await file.write(chunk, at)).bytesWritten;
}
