import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeededRandom, xoshiro128 } from './random.ts';

describe('xoshiro128', () => {
  it('gives the numbers of the reference implementation', () => {
    const small = xoshiro128([1, 2, 3, 4]);
    expect(Array.from({ length: 5 }, small)).toEqual([11520, 0, 5927040, 70819200, 2031721883]);
    const large = xoshiro128([0x964d4a0c, 0xd40ab895, 0xad7fdecb, 0x3006f0f0]);
    expect(Array.from({ length: 4 }, large)).toEqual([0xf1391922, 0x6fe53806, 0xa5be2840, 0xf510ee70]);
  });
});

describe('SeededRandom', () => {
  it('repeats itself for the same seed and differs for neighbouring seeds', () => {
    const draw = (seed: number): number[] => {
      const random = new SeededRandom(seed);
      return Array.from({ length: 20 }, () => random.uniform());
    };
    expect(draw(7)).toEqual(draw(7));
    const firsts = new Set([-1, 0, 1, 2, 2 ** 32, 2 ** 32 + 1, -(2 ** 40)].map((seed) => draw(seed)[0]));
    expect(firsts.size).toBe(7);
  });

  it('keeps its numbers: a change would change every sampled model', () => {
    const random = new SeededRandom(42);
    expect([random.bits(), random.bits(), random.bits()]).toMatchInlineSnapshot(`
      [
        3627471707,
        2887105633,
        57900952,
      ]
    `);
  });

  it('draws uniform and normal numbers with the right moments', () => {
    const random = new SeededRandom(1);
    const moments = (draw: () => number): [number, number] => {
      const drawn = Array.from({ length: 20_000 }, draw);
      const mean = drawn.reduce((sum, value) => sum + value, 0) / drawn.length;
      return [mean, drawn.reduce((sum, value) => sum + (value - mean) ** 2, 0) / drawn.length];
    };
    const [uniformMean, uniformVariance] = moments(() => random.uniform());
    expect(uniformMean).toBeCloseTo(0.5, 2);
    expect(uniformVariance).toBeCloseTo(1 / 12, 2);
    const [normalMean, normalVariance] = moments(() => random.normal());
    expect(Math.abs(normalMean)).toBeLessThan(0.03);
    expect(Math.abs(normalVariance - 1)).toBeLessThan(0.04);
  });

  it('draws every whole number below the bound equally often', () => {
    const random = new SeededRandom(3);
    const counts = Array.from({ length: 7 }, () => 0);
    for (let draw = 0; draw < 14_000; draw += 1) {
      const drawn = random.integer(7);
      counts[drawn] = (counts[drawn] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(200);
    // Three quarters of all words: folding the last one over the first would double the chance of small numbers.
    const bound = 3 * 2 ** 30;
    const small = Array.from({ length: 3000 }, () => random.integer(bound)).filter(
      (drawn) => drawn < bound / 3,
    );
    expect(Math.abs(small.length - 1000)).toBeLessThan(120);
    expect(random.integer(1)).toBe(0);
    expect(random.integer(2 ** 32)).toBeLessThan(2 ** 32);
    expect(() => random.integer(0)).toThrow(RangeError);
    expect(() => new SeededRandom(0.5)).toThrow(RangeError);
  });

  it('shuffles without losing anything', () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), fc.maxSafeInteger(), (items, seed) => {
        const shuffled = new SeededRandom(seed).shuffle([...items]);
        expect(shuffled.toSorted((a, b) => a - b)).toEqual(items.toSorted((a, b) => a - b));
      }),
    );
  });

  it('samples different numbers in ascending order', () => {
    fc.assert(
      fc.property(fc.nat({ max: 50 }), fc.nat({ max: 50 }), fc.maxSafeInteger(), (count, more, seed) => {
        const drawn = [...new SeededRandom(seed).sample(count + more, count)];
        expect(drawn).toHaveLength(count);
        expect(drawn.every((value, index) => value < count + more && value > (drawn[index - 1] ?? -1))).toBe(
          true,
        );
      }),
    );
    expect(() => new SeededRandom(1).sample(3, 4)).toThrow(RangeError);
  });
});
