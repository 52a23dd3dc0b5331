import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { placeOf } from '../place.ts';
import { PlaceIndex } from './place-index.ts';

describe('PlaceIndex', () => {
  it('finds what was put in last at each place, and nothing else', () => {
    const place = fc
      .tuple(fc.integer({ min: 0, max: 511 }), fc.integer({ min: 0, max: 5_000 }))
      .map(([partition, offset]) => placeOf(partition, offset));
    const property = fc.property(
      fc.array(fc.tuple(place, fc.nat()), { maxLength: 600 }),
      fc.array(place, { maxLength: 50 }),
      (entries, others) => {
        const index = new PlaceIndex();
        const known = new Map<number, number>();
        for (const [at, slot] of entries) {
          index.set(at, slot);
          known.set(at, slot);
        }
        expect(index.size).toBe(known.size);
        for (const at of [...known.keys(), ...others]) expect(index.get(at)).toBe(known.get(at) ?? -1);
      },
    );
    fc.assert(property, { numRuns: 100, seed: 3 });
  });
});
