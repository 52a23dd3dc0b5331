import { describe, expect, it } from 'vitest';
import { normalProbability, normalQuantile } from './normal.ts';

describe('the standard normal distribution', () => {
  it('has the tabulated probabilities', () => {
    expect(normalProbability(0)).toBe(0.5);
    expect(normalProbability(1)).toBeCloseTo(0.8413447460685429, 14);
    expect(normalProbability(-1.959963984540054)).toBeCloseTo(0.025, 14);
    expect(normalProbability(-3)).toBeCloseTo(0.0013498980316300946, 14);
    expect([normalProbability(-40), normalProbability(40)]).toEqual([0, 1]);
  });

  it('has the tabulated quantiles', () => {
    expect(normalQuantile(0.5)).toBeCloseTo(0, 12);
    expect(normalQuantile(0.975)).toBeCloseTo(1.959963984540054, 12);
    expect(normalQuantile(0.001)).toBeCloseTo(-3.090232306167813, 11);
    expect(normalQuantile(1e-6)).toBeCloseTo(-4.753424308822899, 8);
  });

  it('has quantiles that undo its probabilities', () => {
    for (let x = -4; x <= 4; x += 0.37) expect(normalQuantile(normalProbability(x))).toBeCloseTo(x, 9);
  });
});
