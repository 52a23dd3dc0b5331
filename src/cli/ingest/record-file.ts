import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import { PlatformError } from '../../contract/index.ts';
import { BEGINNING, cutBatches, readHead } from './cut-batches.ts';
import { openParquetFile, type ParquetTools } from './parquet-file.ts';
import type { RecordFile, RecordFormat } from './records.ts';

/** Names that a file of records ends in. */
const NAMES = '.ndjson, .jsonl, .csv or .parquet (text also with .gz)';
const CHUNK_BYTES = 262_144;

/** The form that a file has by its name; `undefined` when it cannot be told. */
export function formatOf(path: string): RecordFormat | undefined {
  const lower = path.toLowerCase();
  if (lower.endsWith('.parquet')) return 'parquet';
  const name = lower.replace(/\.gz$/, '');
  if (/\.(ndjson|jsonl|json)$/.test(name)) return 'ndjson';
  return name.endsWith('.csv') ? 'csv' : undefined;
}

/**
 * Opens a file of NDJSON, CSV, compressed with gzip or not, or Parquet; `-` is standard input. Rejects with
 * CONFIGURATION when there is no such file or its form cannot be told from its name.
 */
export async function openRecords(
  path: string,
  format: RecordFormat | undefined,
  parquet?: ParquetTools,
): Promise<RecordFile> {
  const form = format ?? formatOf(path);
  if (form === undefined) {
    throw new PlatformError(
      'CONFIGURATION',
      `${path}: expected a name that ends in ${NAMES}; say which form it has with --format`,
    );
  }
  if (form === 'parquet') {
    if (path === '-' || parquet === undefined)
      throw new PlatformError('CONFIGURATION', 'Parquet cannot be read from standard input: name a file');
    await sizeOf(path);
    return openParquetFile(path, parquet);
  }
  const size = path === '-' ? undefined : await sizeOf(path);
  const isPacked = path !== '-' && (await beginsPacked(path));
  let read = 0;
  async function* source(start = 0): AsyncGenerator<Buffer, void, undefined> {
    read = start;
    const stream =
      path === '-' ? process.stdin : createReadStream(path, { highWaterMark: CHUNK_BYTES, start });
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      read += chunk.length;
      yield chunk;
    }
  }
  return {
    format: form,
    size,
    canGrow: !isPacked,
    get read() {
      return read;
    },
    async *batches(from = BEGINNING) {
      if (from.offset === 0) {
        yield* cutBatches(unpacked(source(), path), { format: form, from });
        return;
      }
      // The first line of CSV says what the cells are; what is behind it was sent.
      const head = form === 'csv' ? await readHead(unpacked(source(), path)) : undefined;
      const rest = isPacked ? skip(unpacked(source(), path), from.offset) : source(from.offset);
      yield* cutBatches(rest, { format: form, from, head });
    },
  };
}

async function sizeOf(path: string): Promise<number> {
  try {
    const found = await stat(path);
    if (found.isFile()) return found.size;
  } catch (error) {
    throw new PlatformError('CONFIGURATION', `There is no file ${path} that can be read`, { cause: error });
  }
  throw new PlatformError('CONFIGURATION', `${path} is not a file`);
}

const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

async function beginsPacked(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0);
    return bytesRead === 2 && isGzip(buffer);
  } finally {
    await file.close();
  }
}

/** Leaves out the first bytes: of a packed file there is no other way to a place in it. */
async function* skip(source: AsyncIterable<Buffer>, bytes: number): AsyncGenerator<Buffer, void, undefined> {
  let left = bytes;
  for await (const chunk of source) {
    if (left < chunk.length) yield left === 0 ? chunk : chunk.subarray(left);
    left = Math.max(0, left - chunk.length);
  }
}

/** Unpacks what begins like gzip, whatever its name says. */
async function* unpacked(
  source: AsyncGenerator<Buffer, void, undefined>,
  path: string,
): AsyncGenerator<Buffer, void, undefined> {
  const first = await source.next();
  if (first.done === true) return;
  if (!isGzip(first.value)) {
    yield first.value;
    yield* source;
    return;
  }
  const gunzip = createGunzip();
  const feeding = (async () => {
    gunzip.write(first.value);
    for await (const chunk of source) {
      if (gunzip.destroyed) return;
      if (!gunzip.write(chunk))
        await new Promise((resolve) => gunzip.once('drain', resolve).once('close', resolve));
    }
    gunzip.end();
  })().catch((error: unknown) => void gunzip.destroy(error as Error));
  try {
    for await (const chunk of gunzip as AsyncIterable<Buffer>) yield chunk;
    await feeding;
  } catch (error) {
    throw new PlatformError('BAD_REQUEST', `${path}: the gzip stream is damaged or ends early`, {
      cause: error,
    });
  } finally {
    gunzip.destroy();
  }
}
