import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import { PlatformError } from '../contract/index.ts';

/** Forms of a file of records. */
export type RecordFormat = 'ndjson' | 'csv';

/** Bytes of records that are sent together. */
const BATCH_BYTES = 1_048_576;
/** A record that is not over after this many bytes will not be: the file has another form. */
const RECORD_BYTES_MAX = 8 * 1_048_576;

const NEWLINE = 0x0a;
const QUOTE = 0x22;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** Records that are sent together; a batch of CSV begins with the file's first line. */
export interface RecordBatch {
  readonly bytes: Uint8Array;
  /** Records in it, as far as they can be counted without reading them. */
  readonly records: number;
}

/** A file of records that is being read. */
export interface RecordFile {
  readonly format: RecordFormat;
  /** Size on disk in bytes; `undefined` for standard input. */
  readonly size: number | undefined;
  /** Bytes read from disk so far. */
  readonly read: number;
  readonly batches: AsyncIterable<RecordBatch>;
}

/**
 * Opens a file of NDJSON or CSV, compressed with gzip or not; `-` is standard input. Rejects with
 * CONFIGURATION when there is no such file or its form cannot be told from its name.
 */
export async function openRecords(path: string, format: RecordFormat | undefined): Promise<RecordFile> {
  const form = format ?? formOf(path);
  const size = path === '-' ? undefined : await sizeOf(path);
  let read = 0;
  async function* source(): AsyncGenerator<Buffer, void, undefined> {
    const stream = path === '-' ? process.stdin : createReadStream(path, { highWaterMark: 262_144 });
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      read += chunk.length;
      yield chunk;
    }
  }
  return {
    format: form,
    size,
    get read() {
      return read;
    },
    batches: cutBatches(unpacked(source(), path), form),
  };
}

function formOf(path: string): RecordFormat {
  const name = path.toLowerCase().replace(/\.gz$/, '');
  if (/\.(ndjson|jsonl|json)$/.test(name)) return 'ndjson';
  if (name.endsWith('.csv')) return 'csv';
  throw new PlatformError(
    'CONFIGURATION',
    `${path}: expected a name that ends in .ndjson, .jsonl or .csv (.gz too); say which form it has with --format`,
  );
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

/** Unpacks what begins like gzip, whatever its name says. */
async function* unpacked(
  source: AsyncGenerator<Buffer, void, undefined>,
  path: string,
): AsyncGenerator<Buffer, void, undefined> {
  const first = await source.next();
  if (first.done === true) return;
  if (first.value[0] !== 0x1f || first.value[1] !== 0x8b) {
    yield first.value;
    yield* source;
    return;
  }
  const gunzip = createGunzip();
  const feeding = (async () => {
    gunzip.write(first.value);
    for await (const chunk of source) {
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
  }
}

/** Cuts the bytes into batches that end where a record does. */
async function* cutBatches(
  source: AsyncIterable<Buffer>,
  format: RecordFormat,
): AsyncGenerator<RecordBatch, void, undefined> {
  const isCsv = format === 'csv';
  let head: Buffer | undefined;
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  let records = 0;
  // A line break within quotes is part of a CSV value. A doubled quote leaves and enters again, which comes
  // to the same.
  let isQuoted = false;
  let isFirst = true;
  const take = (bytes: Buffer): void => {
    pending.push(bytes);
    pendingBytes += bytes.length;
  };
  const batch = (): RecordBatch => {
    const bytes = Buffer.concat(head === undefined ? pending : [head, ...pending]);
    const made = { bytes, records };
    [pending, pendingBytes, records] = [[], 0, 0];
    return made;
  };
  for await (const chunk of source) {
    const bytes =
      isFirst && BYTE_ORDER_MARK.every((byte, index) => chunk[index] === byte) ? chunk.subarray(3) : chunk;
    isFirst = false;
    let start = 0;
    for (let index = 0; index < bytes.length; index += 1) {
      const byte = bytes[index];
      if (isCsv && byte === QUOTE) isQuoted = !isQuoted;
      if (byte !== NEWLINE || isQuoted) continue;
      if (isCsv && head === undefined) {
        take(bytes.subarray(start, index + 1));
        head = Buffer.concat(pending);
        [pending, pendingBytes, start] = [[], 0, index + 1];
        continue;
      }
      records += 1;
      if (pendingBytes + index + 1 - start < BATCH_BYTES) continue;
      take(bytes.subarray(start, index + 1));
      start = index + 1;
      yield batch();
    }
    if (start < bytes.length) take(bytes.subarray(start));
    if (pendingBytes > BATCH_BYTES + RECORD_BYTES_MAX) throw endless(format);
  }
  if (pendingBytes === 0) return;
  if (pending.at(-1)?.at(-1) !== NEWLINE) records += 1;
  yield batch();
}

function endless(format: RecordFormat): PlatformError {
  const form = format === 'csv' ? 'CSV (is a quote left open?)' : 'NDJSON: one JSON object a line';
  return new PlatformError(
    'BAD_REQUEST',
    `A record is longer than ${String(RECORD_BYTES_MAX)} bytes; expected ${form}`,
  );
}
