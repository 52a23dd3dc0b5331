import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeFrame, joinRecords, packFrame } from './frame.ts';

function total(records: readonly Uint8Array[]): number {
  return records.reduce((sum, record) => sum + record.byteLength, 0);
}

function encode(records: readonly Uint8Array[]): Buffer {
  return packFrame(joinRecords(records, total(records)));
}

describe('frame', () => {
  it('gives back the records, whatever they are', () => {
    const records = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(records, (list) => {
        const frame = decodeFrame(encode(list));
        expect(frame.count).toBe(list.length);
        list.forEach((record, index) => expect(Buffer.compare(frame.record(index), record)).toBe(0));
      }),
    );
  });

  it('compresses what shrinks, and stays as large as the records otherwise', () => {
    const text = Array.from({ length: 500 }, (_, index) =>
      Buffer.from(`{"id":${index},"currency":"EUR","channel":"online"}`),
    );
    expect(encode(text).length).toBeLessThan(total(text) / 3);
    const noise = [crypto.getRandomValues(new Uint8Array(50_000))];
    expect(encode(noise).length).toBe(50_000 + 16);
    expect(Buffer.compare(decodeFrame(encode(noise)).record(0), noise[0] ?? new Uint8Array())).toBe(0);
  });

  it('shares no memory with what it was read from', () => {
    const stored = encode([Buffer.from('abc')]);
    const frame = decodeFrame(stored);
    stored.fill(0);
    expect(Buffer.from(frame.record(0)).toString()).toBe('abc');
  });

  it('refuses bytes that are no frame, and indexes that are none', () => {
    const stored = encode([Buffer.from('abc'), Buffer.from('de')]);
    expect(() => decodeFrame(stored.subarray(0, 6))).toThrow('too short');
    expect(() => decodeFrame(stored.subarray(0, stored.length - 1))).toThrow('were expected');
    const unknown = Buffer.from(stored);
    unknown[0] = 9;
    expect(() => decodeFrame(unknown)).toThrow('newer version');
    const lengths = Buffer.from(stored);
    lengths.writeUInt32LE(2, 12);
    expect(() => decodeFrame(lengths)).toThrow('do not add up');
    const count = Buffer.from(stored);
    count.writeUInt32LE(1_000_000, 8);
    expect(() => decodeFrame(count)).toThrow('too short for them');
    for (const index of [-1, 2, 0.5]) expect(() => decodeFrame(stored).record(index)).toThrow(RangeError);
  });
});
