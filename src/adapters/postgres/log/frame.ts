import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { RecordBody } from '../../../runtime/ports/index.ts';

/*
 * The stored form of a record batch, all numbers little-endian:
 *
 *   byte 0       how the body is stored: 0 as it is, 1 compressed by zstd
 *   bytes 1-3    zero
 *   bytes 4-7    length of the body before compression
 *   bytes 8-     the body: number of records (4 bytes), length of each (4 bytes), then the records one after another
 */

const RAW = 0;
const ZSTD = 1;
const HEADER_BYTES = 8;
/**
 * Smaller bodies stay as they are: setting up the compressor takes about 40 us, as long as compressing 20
 * KiB, and a row of this size costs the server the same either way.
 */
const COMPRESS_BYTES_MIN = 4_096;

/** Records of one stored batch. */
export interface Frame {
  readonly count: number;
  readonly body: RecordBody;
  record(index: number): Uint8Array;
}

/** Bytes that the records take in a frame before compression. */
function frameBytes(count: number, recordBytes: number): number {
  return HEADER_BYTES + 4 + 4 * count + recordBytes;
}

/** Puts records into one frame, as it is before compression. `recordBytes` is the sum of their lengths. */
export function joinRecords(records: readonly Uint8Array[], recordBytes: number): Buffer {
  const frame = Buffer.allocUnsafe(frameBytes(records.length, recordBytes));
  frame.writeUInt32LE(RAW, 0);
  frame.writeUInt32LE(frame.length - HEADER_BYTES, 4);
  frame.writeUInt32LE(records.length, HEADER_BYTES);
  let lengthAt = HEADER_BYTES + 4;
  let at = lengthAt + 4 * records.length;
  for (const record of records) {
    frame.writeUInt32LE(record.byteLength, lengthAt);
    lengthAt += 4;
    frame.set(record, at);
    at += record.byteLength;
  }
  return frame;
}

/** The frame as it is stored: compressed where that pays. */
export function packFrame(frame: Buffer): Buffer {
  return frame.length - HEADER_BYTES < COMPRESS_BYTES_MIN ? frame : compress(frame);
}

/** The records of a frame that was not packed, which share its memory. */
export function framedRecords(frame: Buffer): Frame {
  return new StoredRecords(frame.subarray(HEADER_BYTES));
}

function compress(frame: Buffer): Buffer {
  const body = frame.subarray(HEADER_BYTES);
  const packed = zstdCompressSync(body, {
    params: { [constants.ZSTD_c_compressionLevel]: 1 },
    // One piece of output instead of many small ones that are joined afterwards.
    chunkSize: (body.length >> 1) + 1_024,
  });
  if (packed.length + HEADER_BYTES >= frame.length) return frame;
  const result = Buffer.allocUnsafe(HEADER_BYTES + packed.length);
  result.writeUInt32LE(ZSTD, 0);
  result.writeUInt32LE(body.length, 4);
  result.set(packed, HEADER_BYTES);
  return result;
}

/** Opens a frame. The result shares no memory with `stored`. Throws when the bytes are no frame. */
export function decodeFrame(stored: Buffer): Frame {
  if (stored.length < HEADER_BYTES + 4) throw new Error('A stored record batch is too short');
  const length = stored.readUInt32LE(4);
  const packed = stored.subarray(HEADER_BYTES);
  const format = stored.readUInt32LE(0);
  let body: Buffer;
  if (format === RAW) body = Buffer.from(packed);
  // One byte more than needed, or the decompressor would ask for a second, empty piece of output.
  else if (format === ZSTD)
    body = zstdDecompressSync(packed, { chunkSize: length + 1, maxOutputLength: length + 1 });
  else
    throw new Error(
      `A stored record batch has the unknown format ${format}: it was written by a newer version`,
    );
  if (body.length !== length)
    throw new Error(`A stored record batch has ${body.length} bytes, ${length} were expected`);
  return new StoredRecords(body);
}

class StoredRecords implements Frame {
  readonly count: number;
  readonly body: RecordBody;

  constructor(bytes: Buffer) {
    const count = bytes.readUInt32LE(0);
    const starts = new Uint32Array(count + 1);
    let start = 4 + 4 * count;
    if (start > bytes.length)
      throw new Error(`A stored record batch names ${count} records but is too short for them`);
    for (let index = 0; index < count; index += 1) {
      starts[index] = start;
      start += bytes.readUInt32LE(4 + 4 * index);
    }
    starts[count] = start;
    if (start !== bytes.length) throw new Error('The lengths in a stored record batch do not add up');
    this.count = count;
    this.body = { bytes, starts };
  }

  record(index: number): Uint8Array {
    const { bytes, starts } = this.body;
    const start = starts[index];
    const end = starts[index + 1];
    if (start === undefined || end === undefined)
      throw new RangeError(`The batch has ${this.count} records, there is no record ${index}`);
    return bytes.subarray(start, end);
  }
}
