import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPart, readPart, sealPart } from './part-file.ts';

const sides = fc.record({
  names: fc.array(fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 9 }),
  categories: fc.dictionary(fc.string(), fc.array(fc.string({ unit: 'binary' }), { minLength: 1 }), {
    noNullPrototype: true,
  }),
  rows: fc.integer({ min: 0, max: 33 }),
  days: fc.boolean(),
  entities: fc.boolean(),
});

describe('a part of a split', () => {
  it('is read as it was written, wherever its bytes lie', () => {
    fc.assert(
      fc.property(sides, fc.integer({ min: 0, max: 9 }), fc.gen(), (header, offset, gen) => {
        const { part, bytes } = createPart(header);
        part.values.forEach((_, index) => (part.values[index] = gen(fc.float)));
        part.labels.forEach((_, index) => (part.labels[index] = gen(fc.integer, { min: 0, max: 1 })));
        part.days?.forEach((_, index) => part.days?.fill(gen(fc.integer), index, index + 1));
        part.entities?.forEach((_, index) => part.entities?.fill(gen(fc.nat), index, index + 1));
        sealPart(part);
        const moved = new Uint8Array(bytes.length + offset);
        moved.set(bytes, offset);
        expect(readPart(moved.subarray(offset))).toEqual(part);
        expect(readPart(bytes)).toEqual(part);
      }),
    );
  });

  it('has the same bytes whenever it has the same rows', () => {
    const filled = (bits: number): Uint8Array => {
      const { part, bytes } = createPart({
        names: ['a', 'b'],
        categories: {},
        rows: 1,
        days: false,
        entities: false,
      });
      new Uint32Array(part.values.buffer, part.values.byteOffset, 2).set([bits, 0x3f80_0000]);
      sealPart(part);
      return bytes;
    };
    expect(filled(0xffc0_0001)).toEqual(filled(0x7f80_0001));
    expect(readPart(filled(0xffc0_0001)).values).toEqual(Float32Array.of(Number.NaN, 1));
  });

  it('keeps its form from version to version', () => {
    const { part, bytes } = createPart({ names: ['x'], categories: {}, rows: 2, days: true, entities: true });
    part.values.set([1, Number.NaN]);
    part.labels.set([0, 1]);
    part.days?.set([0, 6]);
    part.entities?.set([7, 8]);
    sealPart(part);
    expect(Buffer.from(bytes).toString('latin1')).toBe(
      'TNDMPART\x01\0\0\0\x38\0\0\0{"names":["x"],"rows":2,"days":true,"entities":true}    ' +
        '\0\0\x80\x3f\0\0\xc0\x7f' +
        '\0\x01\0\0\0\0\0\0' +
        '\0\0\0\0\x06\0\0\0' +
        '\x07\0\0\0\x08\0\0\0',
    );
  });

  it('is refused when it is something else', () => {
    const { bytes } = createPart({ names: ['x'], categories: {}, rows: 2, days: false, entities: false });
    expect(() => readPart(bytes.subarray(0, -1))).toThrow(/bytes instead of/);
    expect(() => readPart(new Uint8Array(3))).toThrow(/no part of a split/);
    bytes[8] = 2;
    expect(() => readPart(bytes)).toThrow(/of version 2, not 1/);
  });
});
