import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plainKernel } from '../kernel.ts';
import type { TreesObjective, TreesOptions } from '../options.ts';
import { resolveTreesOptions } from '../options.ts';
import { makeTarget } from './make-target.ts';
import { weightedQuantile } from './quantile.ts';
import type { Target } from './target.ts';

const kernel = plainKernel();

function targetOf(
  options: TreesOptions & { readonly objective: TreesObjective },
  labels: readonly number[],
  weights: readonly number[] = labels.map(() => 1),
): Target {
  return makeTarget(
    {
      rows: labels.length,
      labels,
      weights: Float64Array.from(weights),
      groups: options.groups,
      what: 'training',
    },
    resolveTreesOptions(options, 1),
  );
}

/** First and second derivatives of output 0, row after row. */
function derivativesOf(target: Target, margins: Float64Array, output: number = 0): Float64Array {
  const rows = target.labels.length;
  const derivatives = new Float64Array(rows * 2);
  target.beginRound?.(margins);
  target.differentiate({
    output,
    margins: margins.subarray(output * rows, (output + 1) * rows),
    derivatives,
    kernel,
  });
  return derivatives;
}

/** What the sum of losses changes by when the margin at a place moves by a little, per unit. */
function slopeOf(target: Target, margins: Float64Array, at: number): number {
  const step = 1e-5;
  const total = target.weights.reduce((sum, weight) => sum + weight, 0);
  const moved = (by: number): number => {
    const copy = margins.slice();
    copy[at] = (copy[at] ?? 0) + by;
    return target.loss(copy) * total;
  };
  return (moved(step) - moved(-step)) / (2 * step);
}

interface Smooth {
  readonly options: TreesOptions & { readonly objective: TreesObjective };
  readonly labels: readonly number[];
  /** Derivative of the loss that is reported over that which is followed. */
  readonly factor: number;
}

const SMOOTH: readonly Smooth[] = [
  { options: { objective: 'binary' }, labels: [0, 1, 1, 0], factor: 1 },
  { options: { objective: 'binary', classWeights: [1, 3] }, labels: [0, 1, 1, 0], factor: 1 },
  { options: { objective: 'multiclass' }, labels: [0, 2, 1, 2], factor: 1 },
  { options: { objective: 'squaredError' }, labels: [-1.5, 0, 7, 2], factor: 2 },
  { options: { objective: 'quantile', quantile: 0.8 }, labels: [-1.5, 0.1, 7, 2], factor: 1 },
  { options: { objective: 'poisson' }, labels: [0, 1, 4, 0.5], factor: 2 },
];

describe('the first derivative', () => {
  it.each(SMOOTH)('is that of the loss: $options', ({ options, labels, factor }) => {
    const weights = [1, 2, 0.5, 0];
    const target = targetOf(options, labels, weights);
    const margin = fc.double({ min: -2, max: 2, noNaN: true });
    const length = labels.length * target.outputs;
    fc.assert(
      fc.property(fc.array(margin, { minLength: length, maxLength: length }), (drawn) => {
        const margins = Float64Array.from(drawn);
        // The pinball loss has a kink at the label.
        fc.pre(
          options.objective !== 'quantile' ||
            drawn.every((m, row) => Math.abs(m - (labels[row] ?? 0)) > 1e-3),
        );
        for (let output = 0; output < target.outputs; output += 1) {
          const derivatives = derivativesOf(target, margins, output);
          labels.forEach((_, row) => {
            const slope = slopeOf(target, margins, output * labels.length + row);
            expect(factor * (derivatives[row * 2] ?? 0)).toBeCloseTo(slope, 5);
          });
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe('base scores', () => {
  it.each(SMOOTH)('are the best constant: $options', ({ options, labels }) => {
    const weights = [1, 2, 0.5, 1];
    const target = targetOf(options, labels, weights);
    const lossAt = (scores: Float64Array): number =>
      target.loss(
        Float64Array.from(
          { length: labels.length * target.outputs },
          (_, at) => scores[Math.floor(at / labels.length)] ?? 0,
        ),
      );
    const best = target.baseScores();
    for (let output = 0; output < target.outputs; output += 1) {
      for (const step of [-0.01, 0.01]) {
        const moved = best.map((score, at) => score + (at === output ? step : 0));
        expect(lossAt(moved)).toBeGreaterThanOrEqual(lossAt(best));
      }
    }
  });

  it('are what they are by hand', () => {
    expect(targetOf({ objective: 'squaredError' }, [1, 2, 6], [1, 1, 2]).baseScores()).toEqual(
      Float64Array.of(3.75),
    );
    expect(targetOf({ objective: 'poisson' }, [0, 1, 5]).baseScores()).toEqual(Float64Array.of(Math.log(2)));
    expect(targetOf({ objective: 'binary', classWeights: 'balanced' }, [0, 0, 0, 1]).baseScores()[0]).toBe(0);
    expect(targetOf({ objective: 'multiclass' }, [0, 1, 1, 2]).baseScores()).toEqual(
      Float64Array.of(Math.log(0.25), Math.log(0.5), Math.log(0.25)),
    );
  });
});

describe('second derivatives', () => {
  it('are what they are by hand', () => {
    const second = (target: Target, margins: number[]): number | undefined =>
      derivativesOf(target, Float64Array.from(margins))[1];
    expect(second(targetOf({ objective: 'squaredError' }, [3], [2]), [1])).toBe(2);
    expect(second(targetOf({ objective: 'binary' }, [1], [2]), [0])).toBe(0.5);
    // Three equal classes: p(1 - p) K / (K - 1) = 2/9 * 3/2.
    expect(second(targetOf({ objective: 'multiclass' }, [2], [1]), [1, 1, 1])).toBeCloseTo(1 / 3, 12);
    expect(second(targetOf({ objective: 'poisson' }, [3], [2]), [0.3])).toBeCloseTo(2 * Math.E, 12);
  });
});

describe('weightedQuantile', () => {
  it('minimises the pinball loss and ignores values without weight', () => {
    const value = fc.integer({ min: -5, max: 5 });
    const weight = fc.integer({ min: 0, max: 3 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(value, weight), { minLength: 1, maxLength: 12 }),
        fc.constantFrom(0.1, 0.5, 0.75),
        (pairs, quantile) => {
          fc.pre(pairs.some(([, own]) => own > 0));
          const loss = (at: number): number =>
            pairs.reduce(
              (sum, [own, factor]) =>
                sum + factor * (own > at ? quantile * (own - at) : (1 - quantile) * (at - own)),
              0,
            );
          const found = weightedQuantile(
            Float64Array.from(pairs, ([own]) => own),
            Float64Array.from(pairs, ([, own]) => own),
            quantile,
          );
          const least = Math.min(...pairs.filter(([, own]) => own > 0).map(([own]) => loss(own)));
          expect(loss(found)).toBeCloseTo(least, 9);
        },
      ),
    );
    expect(weightedQuantile(Float64Array.of(9, 1, 5), Float64Array.of(1, 1, 1), 0.5)).toBe(5);
    expect(weightedQuantile(Float64Array.of(9, 1, 5), Float64Array.of(1, 1, 1), 0.7)).toBe(9);
  });
});

describe('lambdaRank', () => {
  it('has the derivatives of two rows by hand', () => {
    const target = targetOf({ objective: 'lambdaRank', groups: [2] }, [1, 0]);
    // Changing places costs 1 - 1 / log2(3) of an NDCG of at most 1; with equal margins half a push each.
    const change = 1 - 1 / Math.log2(3);
    const derivatives = derivativesOf(target, Float64Array.of(0, 0));
    const expected = [-change / 2, change / 4, change / 2, change / 4];
    expected.forEach((value, at) => expect(derivatives[at]).toBeCloseTo(value, 12));
    expect(target.loss(Float64Array.of(1, 0))).toBe(0);
    expect(target.loss(Float64Array.of(0, 1))).toBeCloseTo(change, 12);
  });

  it('has NDCG by hand, cut off, with groups weighted and those without anything relevant left out', () => {
    const labels = [3, 0, 1, 0, 0, 2, 0];
    const options = { objective: 'lambdaRank', groups: [3, 2, 2], truncation: 2 } as const;
    const target = targetOf(options, labels, [1, 1, 1, 5, 5, 3, 3]);
    // Group 1: the places have gains 0, 7, then 1 beyond the second; best is 7, 1. Group 3, of weight 3, is in
    // the best order.
    const second = 1 / Math.log2(3);
    const first = (7 * second) / (7 + second);
    expect(target.loss(Float64Array.of(2, 3, 1, 0, 0, 1, 0))).toBeCloseTo((1 - first) / 4, 12);
  });

  it('pushes nothing on the whole, and never the worse one up', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat({ max: 4 }), fc.double({ min: -3, max: 3, noNaN: true })), {
          minLength: 2,
          maxLength: 15,
        }),
        (rows) => {
          const labels = rows.map(([label]) => label);
          fc.pre(new Set(labels).size > 1);
          const options = { objective: 'lambdaRank', groups: [rows.length], truncation: 5 } as const;
          const target = targetOf(options, labels);
          const derivatives = derivativesOf(
            target,
            Float64Array.from(rows, ([, margin]) => margin),
          );
          const firsts = derivatives.filter((_, at) => at % 2 === 0);
          expect(firsts.reduce((sum, value) => sum + value, 0)).toBeCloseTo(0, 10);
          const best = Math.max(...labels);
          labels.forEach((label, row) => {
            expect(derivatives[row * 2 + 1]).toBeGreaterThanOrEqual(0);
            if (label === best) expect(firsts[row]).toBeLessThanOrEqual(0);
            if (label === Math.min(...labels)) expect(firsts[row]).toBeGreaterThanOrEqual(0);
          });
        },
      ),
    );
  });

  it('is the same without rows that have no weight', () => {
    const options = { objective: 'lambdaRank' } as const;
    const with0 = targetOf({ ...options, groups: [4] }, [2, 1, 0, 1], [1, 0, 1, 1]);
    const without = targetOf({ ...options, groups: [3] }, [2, 0, 1]);
    const margins = Float64Array.of(0.5, 9, 1, -1);
    const kept = derivativesOf(with0, margins).filter((_, at) => at !== 2 && at !== 3);
    expect(kept).toEqual(derivativesOf(without, Float64Array.of(0.5, 1, -1)));
    expect(with0.loss(margins)).toBe(without.loss(Float64Array.of(0.5, 1, -1)));
  });
});

describe('labels', () => {
  it('are refused with their row', () => {
    const refused = (options: TreesOptions & { objective: TreesObjective }, labels: number[]): string => {
      try {
        targetOf(options, labels).baseScores();
      } catch (error) {
        if (error instanceof RangeError) return error.message;
        throw error;
      }
      return 'taken';
    };
    expect(refused({ objective: 'binary' }, [0, 1, 2])).toBe('Label 2 of the training must be 0 or 1, not 2');
    expect(refused({ objective: 'multiclass' }, [0, 1.5])).toMatch(/Label 1 .* whole number from 0 to 999/);
    expect(refused({ objective: 'multiclass' }, [0, 2])).toMatch(/every class with weight; class 1 has none/);
    expect(refused({ objective: 'multiclass' }, [0, 0])).toMatch(/class 0 alone/);
    expect(refused({ objective: 'multiclass', classWeights: [1, 1, 1] }, [0, 1])).toMatch(
      /2 classes but 3 classWeights/,
    );
    expect(refused({ objective: 'binary', classWeights: [1, -1] }, [0, 1])).toMatch(/class 1 .* not -1/);
    expect(refused({ objective: 'squaredError' }, [0, Number.POSITIVE_INFINITY])).toMatch(/Label 1/);
    expect(refused({ objective: 'quantile' }, [Number.NaN])).toMatch(/Label 0/);
    expect(refused({ objective: 'poisson' }, [1, -1])).toMatch(/Label 1/);
    expect(refused({ objective: 'poisson' }, [0, 0])).toMatch(/no rate/);
    expect(refused({ objective: 'lambdaRank', groups: [2] }, [0, 32])).toMatch(/Label 1/);
    expect(refused({ objective: 'lambdaRank', groups: [2] }, [0, 0])).toMatch(/no order/);
    expect(refused({ objective: 'lambdaRank', groups: [1] }, [0, 1])).toMatch(/groups .* have 1 rows, not 2/);
    expect(refused({ objective: 'lambdaRank', groups: [1, 2] }, [0, 1])).toMatch(
      /Group 1 .* begins at row 1/,
    );
    expect(refused({ objective: 'lambdaRank' }, [0, 1])).toMatch(/needs groups/);
  });
});
