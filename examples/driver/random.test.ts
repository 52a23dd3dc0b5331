import { describe, expect, it } from 'vitest';
import { RandomStream } from './random.ts';

function draw(count: number, next: () => number): { mean: number; variance: number } {
  const values = Array.from({ length: count }, next);
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  return { mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / count };
}

describe('RandomStream', () => {
  it('gives the same numbers for the same parts and others for other parts', () => {
    const numbers = (...parts: number[]): number[] => {
      const random = new RandomStream(...parts);
      return Array.from({ length: 8 }, () => random.uniform());
    };
    expect(numbers(1, 2)).toEqual(numbers(1, 2));
    const different = [
      numbers(1, 2),
      numbers(2, 1),
      numbers(1),
      numbers(1, 2, 0),
      numbers(0),
      numbers(2 ** 32),
    ];
    expect(new Set(different.map(([first]) => first)).size).toBe(different.length);
  });

  it('refuses parts that are not whole numbers', () => {
    expect(() => new RandomStream(0.5)).toThrow(RangeError);
  });

  it('has the moments of each distribution', () => {
    const random = new RandomStream(7);
    const uniform = draw(40_000, () => random.uniform());
    expect(uniform.mean).toBeCloseTo(0.5, 2);
    expect(uniform.variance).toBeCloseTo(1 / 12, 2);
    const normal = draw(40_000, () => random.normal(10, 2));
    expect(Math.abs(normal.mean - 10)).toBeLessThan(0.05);
    expect(Math.abs(normal.variance - 4)).toBeLessThan(0.15);
    const poisson = draw(40_000, () => random.poisson(3));
    expect(Math.abs(poisson.mean - 3)).toBeLessThan(0.05);
    expect(Math.abs(poisson.variance - 3)).toBeLessThan(0.15);
    expect(random.poisson(0)).toBe(0);
  });

  it('looks independent from one stream to the next', () => {
    // First numbers of neighbouring streams, as the simulator uses them.
    const firsts = draw(
      20_000,
      (() => {
        let day = 0;
        return () => new RandomStream(0, 3, 17, day++).uniform();
      })(),
    );
    expect(Math.abs(firsts.mean - 0.5)).toBeLessThan(0.01);
    expect(Math.abs(firsts.variance - 1 / 12)).toBeLessThan(0.003);
  });

  it('samples different numbers, each as likely as the others', () => {
    const counts = Array.from({ length: 10 }, () => 0);
    for (let round = 0; round < 10_000; round += 1) {
      const drawn = new RandomStream(round).sample(10, 3);
      expect(new Set(drawn).size).toBe(3);
      for (const index of drawn) counts[index] = (counts[index] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 3_000)).toBeLessThan(250);
    expect(new RandomStream(1).sample(4, 4).sort((a, b) => a - b)).toEqual([0, 1, 2, 3]);
    expect(() => new RandomStream(1).sample(2, 3)).toThrow(RangeError);
  });
});
