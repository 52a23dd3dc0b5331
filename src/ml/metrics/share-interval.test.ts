import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../random.ts';
import { shareInterval } from './share-interval.ts';

describe('shareInterval', () => {
  it('gives the intervals of Newcombe (1998), table I, method 3', () => {
    const cases = [
      [81, 263, 0.2553, 0.3662],
      [15, 148, 0.0624, 0.1605],
      [0, 20, 0, 0.1611],
      [1, 29, 0.0061, 0.1718],
    ] as const;
    for (const [hits, rows, lower, upper] of cases) {
      const found = shareInterval(hits, rows);
      expect(found.lower).toBeCloseTo(lower, 4);
      expect(found.upper).toBeCloseTo(upper, 4);
    }
  });

  it('holds the share, lies in [0, 1], turns round with the hits, and shrinks with the rows', () => {
    fc.assert(
      fc.property(fc.nat(500), fc.integer({ min: 1, max: 500 }), (given, rows) => {
        const hits = Math.min(given, rows);
        const { lower, upper } = shareInterval(hits, rows);
        expect(lower).toBeGreaterThanOrEqual(0);
        expect(upper).toBeLessThanOrEqual(1);
        expect(lower).toBeLessThanOrEqual(hits / rows);
        expect(upper).toBeGreaterThanOrEqual(hits / rows);
        const turned = shareInterval(rows - hits, rows);
        expect(turned.lower).toBeCloseTo(1 - upper, 12);
        const more = shareInterval(hits * 4, rows * 4);
        expect(more.upper - more.lower).toBeLessThan(upper - lower);
      }),
    );
  });

  it('holds the truth about as often as it says', () => {
    const random = new SeededRandom(5);
    let held = 0;
    const times = 4_000;
    for (let time = 0; time < times; time += 1) {
      let hits = 0;
      for (let row = 0; row < 40; row += 1) if (random.uniform() < 0.95) hits += 1;
      const { lower, upper } = shareInterval(hits, 40);
      if (lower <= 0.95 && upper >= 0.95) held += 1;
    }
    expect(held / times).toBeGreaterThan(0.93);
    expect(held / times).toBeLessThan(0.99);
  });

  it('refuses what is no share', () => {
    for (const [hits, rows, level] of [
      [1, 0, 0.95],
      [2, 1, 0.95],
      [-1, 1, 0.95],
      [Number.NaN, 1, 0.95],
      [1, 2, 1],
    ] as const) {
      expect(() => shareInterval(hits, rows, level)).toThrow(RangeError);
    }
  });
});
