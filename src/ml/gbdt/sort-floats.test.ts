import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../random.ts';
import { sortFloats } from './sort-floats.ts';

describe('sortFloats', () => {
  it('sorts as the language does, signs of zero and infinities included', () => {
    const special = [0, -0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e-45, -1e-45, 3.4e38];
    const lengths = fc.constantFrom(0, 1, 50, 4_096, 5_001);
    fc.assert(
      fc.property(lengths, fc.nat(), fc.integer({ min: -38, max: 38 }), (length, seed, exponent) => {
        const random = new SeededRandom(seed);
        const values = Float32Array.from({ length }, () =>
          random.uniform() < 0.1
            ? (special[random.integer(special.length)] ?? 0)
            : random.normal() * 10 ** exponent,
        );
        const expected = values.slice().sort();
        const sorted = sortFloats(values.slice());
        expect(new Uint8Array(sorted.buffer)).toEqual(new Uint8Array(expected.buffer));
      }),
      { numRuns: 30 },
    );
  });

  it('sorts a part of a longer array', () => {
    const values = Float32Array.from({ length: 10_000 }, (_, index) => -index);
    sortFloats(values.subarray(10, 5_010));
    expect([...values.subarray(8, 12)]).toEqual([-8, -9, -5009, -5008]);
    expect([...values.subarray(5_008, 5_012)]).toEqual([-11, -10, -5010, -5011]);
  });
});
