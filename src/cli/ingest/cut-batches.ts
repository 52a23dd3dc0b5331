import { PlatformError } from '../../contract/index.ts';

/** Forms of text that records come in. */
export type TextFormat = 'ndjson' | 'csv';

/** A place between two records of a file. */
export interface RecordPlace {
  /** Bytes of the file's unpacked text before it; of Parquet, rows. */
  readonly offset: number;
  /** Records before it, as far as they can be counted without reading them. */
  readonly records: number;
}

export const BEGINNING: RecordPlace = { offset: 0, records: 0 };

/** Records that are sent together; a batch of CSV begins with the file's first line. */
export interface RecordBatch {
  readonly bytes: Uint8Array;
  readonly records: number;
  /** The place behind its last record. */
  readonly end: RecordPlace;
}

/** Bytes of records that are sent together. */
export const BATCH_BYTES = 1_048_576;
/** A record that is not over after this many bytes will not be: the file has another form. */
const RECORD_BYTES_MAX = 8 * 1_048_576;

const NEWLINE = 0x0a;
const QUOTE = 0x22;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

export interface CutOptions {
  readonly format: TextFormat;
  /** Where the bytes begin. */
  readonly from: RecordPlace;
  /** First line of a CSV file, when the bytes begin behind it. */
  readonly head?: Buffer | undefined;
}

/** Cuts bytes into batches that end where a record does. */
export async function* cutBatches(
  source: AsyncIterable<Buffer>,
  { format, from, head: given }: CutOptions,
): AsyncGenerator<RecordBatch, void, undefined> {
  const isCsv = format === 'csv';
  let head = given;
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  let records = 0;
  let before = from.records;
  // Where the chunk begins in the file.
  let chunkAt = from.offset;
  // A line break within quotes is part of a CSV value. A doubled quote leaves and enters again, which comes
  // to the same.
  let isQuoted = false;
  // Where the line that is not over yet begins in the file.
  let lineAt = from.offset;
  const take = (bytes: Buffer): void => {
    pending.push(bytes);
    pendingBytes += bytes.length;
  };
  const batch = (endAt: number): RecordBatch => {
    const bytes = Buffer.concat(head === undefined ? pending : [head, ...pending]);
    before += records;
    const made = { bytes, records, end: { offset: endAt, records: before } };
    [pending, pendingBytes, records] = [[], 0, 0];
    return made;
  };
  for await (const bytes of source) {
    let start = chunkAt === 0 ? afterMark(bytes) : 0;
    for (let index = start; index < bytes.length; index += 1) {
      const byte = bytes[index];
      if (isCsv && byte === QUOTE) isQuoted = !isQuoted;
      if (byte !== NEWLINE || isQuoted) continue;
      lineAt = chunkAt + index + 1;
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
      yield batch(chunkAt + start);
    }
    if (start < bytes.length) take(bytes.subarray(start));
    chunkAt += bytes.length;
    if (pendingBytes > BATCH_BYTES + RECORD_BYTES_MAX) throw endless(format);
  }
  if (pendingBytes === 0) return;
  const isOver = lineAt === chunkAt;
  if (!isOver) records += 1;
  const last = batch(lineAt);
  // A line without an end is sent, but it may grow: then it is sent again.
  yield isOver ? last : { ...last, end: { offset: lineAt, records: last.end.records - 1 } };
}

/** The first line of CSV, with its end. `undefined` when there is none. */
export async function readHead(source: AsyncIterable<Buffer>): Promise<Buffer | undefined> {
  let text = Buffer.alloc(0);
  let isQuoted = false;
  for await (const bytes of source) {
    const from = text.length;
    text = Buffer.concat([text, bytes]);
    for (let index = from; index < text.length; index += 1) {
      if (text[index] === QUOTE) isQuoted = !isQuoted;
      if (text[index] === NEWLINE && !isQuoted) return text.subarray(afterMark(text), index + 1);
    }
    if (text.length > RECORD_BYTES_MAX) throw endless('csv');
  }
  return undefined;
}

function afterMark(bytes: Buffer): number {
  return BYTE_ORDER_MARK.every((byte, index) => bytes[index] === byte) ? BYTE_ORDER_MARK.length : 0;
}

function endless(format: TextFormat): PlatformError {
  const form = format === 'csv' ? 'CSV (is a quote left open?)' : 'NDJSON: one JSON object a line';
  return new PlatformError(
    'BAD_REQUEST',
    `A record is longer than ${String(RECORD_BYTES_MAX)} bytes; expected ${form}`,
  );
}
