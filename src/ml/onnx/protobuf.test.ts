import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MalformedModel } from './errors.ts';
import { READ_LIMITS } from './limits.ts';
import { ProtobufReader } from './protobuf-reader.ts';
import { ProtobufWriter } from './protobuf-writer.ts';

function read(
  bytes: Uint8Array | readonly number[],
  limits: Partial<typeof READ_LIMITS> = {},
): ProtobufReader {
  return ProtobufReader.of(Uint8Array.from(bytes), { ...READ_LIMITS, ...limits });
}

/** Reads one field to its value. */
function valueOf<T>(bytes: Uint8Array | readonly number[], get: (reader: ProtobufReader) => T): T {
  const reader = read(bytes);
  expect(reader.next()).toBe(true);
  const value = get(reader);
  expect(reader.next()).toBe(false);
  return value;
}

describe('ProtobufWriter', () => {
  it('writes the bytes of the encoding guide', () => {
    expect([...new ProtobufWriter().integer(1, 150).finish()]).toEqual([0x08, 0x96, 0x01]);
    expect([...new ProtobufWriter().bytes(2, 'testing').finish()]).toEqual([
      0x12,
      7,
      ...Buffer.from('testing'),
    ]);
    expect([...new ProtobufWriter().integers(6, [3, 270, 86942]).finish()]).toEqual([
      0x32, 6, 0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05,
    ]);
    expect(() => new ProtobufWriter().integer(1, -1)).toThrow(RangeError);
  });
});

describe('ProtobufReader', () => {
  it('reads what the writer wrote', () => {
    fc.assert(
      fc.property(
        fc.maxSafeNat(),
        fc.string({ unit: 'binary' }),
        fc.array(fc.float()),
        fc.array(fc.maxSafeNat()),
        fc.uint8Array({ maxLength: 700 }),
        (integer, text, floats, integers, bytes) => {
          const written = new ProtobufWriter()
            .integer(1, integer)
            .bytes(2, text)
            .floats(3, floats)
            .integers(4000, integers)
            .float(5, 1.5)
            .bytes(6, new ProtobufWriter().bytes(1, bytes));
          const reader = read(written.finish());
          const found: unknown[] = [];
          const list: number[] = [];
          while (reader.next()) {
            if (reader.field === 1) found.push(reader.integer());
            else if (reader.field === 2) found.push(reader.text());
            else if (reader.field === 3) reader.floatsInto(list);
            else if (reader.field === 4000) reader.integersInto(list);
            else if (reader.field === 5) found.push(reader.float());
            else {
              const inner = reader.message();
              expect(inner.next()).toBe(true);
              found.push(inner.bytes());
            }
          }
          expect(found).toEqual([integer, Buffer.from(text).toString(), 1.5, bytes]);
          expect(list).toEqual([...floats, ...integers]);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('reads unpacked lists and negative numbers', () => {
    const list: number[] = [];
    const reader = read([0x08, 1, 0x08, 2, 0x15, 0, 0, 0x80, 0x3f]);
    while (reader.next()) {
      if (reader.field === 1) reader.integersInto(list);
      else reader.floatsInto(list);
    }
    expect(list).toEqual([1, 2, 1]);
    const minusOne = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    expect(valueOf(minusOne, (one) => one.integer())).toBe(-1);
  });

  it('refuses bytes that are cut off, of another type, or garbage', () => {
    expect(() => valueOf([0x08], (one) => one.integer())).toThrow(/1 bytes are announced but 0 are left/);
    expect(() => valueOf([0x12, 5, 1], (one) => one.bytes())).toThrow(/5 bytes are announced but 1 are left/);
    expect(() => valueOf([0x12, 0], (one) => one.integer())).toThrow(/wire type 0 was expected, not 2/);
    expect(() => valueOf([0x0b], (one) => one.skip())).toThrow(/wire type 3 is not in use/);
    expect(() => valueOf([0x12, 1, 0xff], (one) => one.text())).toThrow(/not UTF-8/);
    expect(() => valueOf([0x0a, 3, 0, 0, 0], (one) => one.floatsInto([]))).toThrow(
      /no list of 32-bit floats/,
    );
    expect(() => valueOf([0x0a, 1, 0x80, 1], (one) => one.integersInto([]))).toThrow(/runs over its end/);
    expect(() => valueOf([0x08, ...Array.from({ length: 11 }, () => 0x80)], (one) => one.integer())).toThrow(
      /ten bytes/,
    );
    expect(() =>
      valueOf([0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], (one) => one.integer()),
    ).toThrow(/2\^53/);
    expect(() => read([0x00]).next()).toThrow(/number 0/);
  });

  it('keeps its limits', () => {
    expect(() => read([0, 0, 0], { bytesMax: 2 })).toThrow(/3 bytes, the limit is 2/);
    const packed = new ProtobufWriter().integers(1, [1, 2, 3]).finish();
    const few = read(packed, { elementsMax: 3 });
    few.next();
    expect(() => few.integersInto([])).toThrow(/more fields and list elements/);
    let nested = new ProtobufWriter();
    for (let level = 0; level < 5; level += 1) nested = new ProtobufWriter().bytes(1, nested);
    const descend = (reader: ProtobufReader): void => {
      while (reader.next()) descend(reader.message());
    };
    expect(() => descend(read(nested.finish(), { depthMax: 6 }))).not.toThrow();
    expect(() => descend(read(nested.finish(), { depthMax: 5 }))).toThrow(MalformedModel);
  });
});
