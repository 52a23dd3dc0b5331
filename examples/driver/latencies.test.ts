import { describe, expect, it } from 'vitest';
import { Latencies } from './latencies.ts';

describe('Latencies', () => {
  it('gives quantiles by nearest rank', () => {
    const latencies = new Latencies();
    expect(latencies.quantile(0.5)).toBe(null);
    for (let ms = 2_000; ms >= 1; ms -= 1) latencies.add(ms);
    expect([0, 0.5, 0.99, 1].map((share) => latencies.quantile(share))).toEqual([1, 1_000, 1_980, 2_000]);
  });
});
