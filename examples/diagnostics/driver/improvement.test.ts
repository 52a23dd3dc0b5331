import { RandomStream } from '@tandem-examples/driver';
import { describe, expect, it } from 'vitest';
import { improvementFaults, measureImprovement, type Pair } from './improvement.ts';

const gain = { low: -0.01, high: 0.03 };
const improved = { cases: 100, auc: 0.97, logLoss: 0.1, firstAuc: 0.95, firstLogLoss: 0.2, aucGain: gain };

/** Cases of two versions: the probability that each gives to the truth is drawn around these. */
function pairsOf(own: number, first: number): Pair[] {
  const chance = new RandomStream(5);
  const around = (mean: number, isPositive: boolean): number => {
    const probability = Math.min(0.99, Math.max(0.01, chance.normal(mean, 0.15)));
    return isPositive ? probability : 1 - probability;
  };
  return Array.from({ length: 200 }, (_, index) => {
    const isPositive = index % 3 === 0;
    return {
      version: 2 + (index % 2),
      score: around(own, isPositive),
      firstScore: around(first, isPositive),
      isPositive,
    };
  });
}

describe('improvement', () => {
  it('is seen where later versions order cases better, and not where they do so worse', () => {
    const better = measureImprovement(pairsOf(0.75, 0.55));
    expect(better.aucGain?.low).toBeGreaterThan(0);
    expect(improvementFaults(better)).toEqual([]);
    const worse = measureImprovement(pairsOf(0.55, 0.75));
    expect(worse.aucGain?.high).toBeLessThan(0);
    expect(improvementFaults(worse)).toEqual([expect.stringMatching(/did not improve: on 200 later cases/)]);
  });

  it('is a lower log loss and an area under the curve that is not surely lower', () => {
    expect(improvementFaults(improved)).toEqual([]);
    expect(improvementFaults({ ...improved, auc: 0.945 })).toEqual([]);
  });

  it.each([
    [{ aucGain: { low: -0.05, high: -0.01 } }, /did not improve/],
    [{ logLoss: 0.2 }, /did not improve/],
    [{ aucGain: null }, /nothing can be compared/],
    [{ cases: 0 }, /no version after the first decided/],
  ])('is missed: %j', (change, message) => {
    expect(improvementFaults({ ...improved, ...change })).toEqual([expect.stringMatching(message)]);
  });

  it('is not known without cases of both kinds', () => {
    const one = pairsOf(0.7, 0.6).filter(({ isPositive }) => isPositive);
    expect(measureImprovement(one)).toMatchObject({ auc: null, aucGain: null });
  });
});
