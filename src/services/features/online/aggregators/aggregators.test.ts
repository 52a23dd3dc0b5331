import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AggregateParameters, Feature } from '../../../../define/index.ts';
import type { FeaturePlan } from '../../plan.ts';
import { SectionReader, SectionWriter } from '../sections.ts';
import { hashNumber, hashText } from './hash.ts';
import { type Aggregator, aggregatorOf } from './index.ts';

function planOf(kind: Feature['kind'], parameters: AggregateParameters = {}, rank = 0): FeaturePlan {
  const feature: Feature = {
    name: 'f',
    kind,
    inputType: 'number',
    decimals: 0,
    windowMs: 1,
    hopMs: 1,
    parameters,
    rank,
  };
  return { feature, place: 0, input: 0, unit: 1, whole: false };
}

/** The value over events at the times 0, 1, 2 ... */
function valueOf(plan: FeaturePlan, values: readonly number[]): number | null {
  const aggregator = aggregatorOf(plan.feature);
  const state = new Float64Array(aggregator.columns);
  aggregator.open(state, 0);
  for (const [index, value] of values.entries()) aggregator.add(state, 0, value, index, index);
  return aggregator.finish(state, 0, plan);
}

/** The same by parts that are merged: each event goes to a tile of its choice, events and tiles in any order. */
function mergedValueOf(
  plan: FeaturePlan,
  values: readonly { readonly value: number; readonly tile: number; readonly turn: number }[],
): number | null {
  const aggregator: Aggregator = aggregatorOf(plan.feature);
  const tiles = Array.from({ length: 4 }, () => {
    const tile = new Float64Array(aggregator.columns);
    aggregator.open(tile, 0);
    return tile;
  });
  const events = values.map((item, index) => ({ ...item, index })).sort((a, b) => a.turn - b.turn);
  for (const { value, tile, index } of events)
    aggregator.add(tiles[tile] ?? new Float64Array(0), 0, value, index, index);
  const state = new Float64Array(aggregator.columns);
  aggregator.open(state, 0);
  for (const tile of tiles.reverse()) aggregator.merge(state, 0, tile, 0);
  return aggregator.finish(state, 0, plan);
}

const PLANS: readonly (readonly [string, FeaturePlan])[] = [
  ['variance', planOf('variance')],
  ['std', planOf('std')],
  ['first', planOf('first')],
  ['firstK', planOf('firstK', { size: 3 }, 1)],
  ['lastK', planOf('lastK', { size: 3 }, 2)],
  ['histogram', planOf('histogram', { bounds: [-5, 0, 7] }, 2)],
  ['distinct, exact', planOf('distinct', { limit: 256 })],
  ['distinct, estimated', planOf('distinct', { limit: 4 })],
  ['topK', planOf('topK', { limit: 1_000, of: 'values' }, 1)],
  ['topK over its limit', planOf('topK', { limit: 6, of: 'counts' })],
  ['percentile', planOf('percentile', { quantile: 0.7, accuracy: 0.01 })],
];

describe('aggregates', () => {
  it.each(PLANS)('%s is the same in any order and grouping (rule 8)', (_, plan) => {
    const event = fc.record({
      value: fc.integer({ min: -20, max: 20 }),
      tile: fc.integer({ min: 0, max: 3 }),
      turn: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(event, { minLength: 1, maxLength: 60 }), (events) => {
        const values = events.map(({ value }) => value);
        expect(mergedValueOf(plan, events)).toBe(valueOf(plan, values));
      }),
      { numRuns: 200, seed: 7 },
    );
  });

  it('variance keeps its digits where values lie far from 0 (rule 8)', () => {
    const values = Array.from({ length: 1_000 }, (_, index) => 1e9 + (index % 2));
    expect(valueOf(planOf('variance'), values)).toBe(0.25);
    expect(valueOf(planOf('std'), values)).toBe(0.5);
    const fine = values.map((value) => value + 0.125);
    expect(valueOf(planOf('variance'), fine)).toBe(0.25);
  });

  it('variance of one value is 0, and of values without a square null', () => {
    expect(valueOf(planOf('variance'), [3.7])).toBe(0);
    expect(valueOf(planOf('variance'), [1e200, 1])).toBeNull();
    expect(valueOf(planOf('std'), [1.1, 1.1, 1.1])).toBe(0);
  });

  it('distinct is exact up to its limit and within five standard errors beyond it (rule 8)', () => {
    for (const count of [1, 255, 256]) {
      const values = Array.from({ length: count * 3 }, (_, index) => index % count);
      expect(valueOf(planOf('distinct', { limit: 256 }), values)).toBe(count);
    }
    for (const count of [257, 1_000, 10_000, 100_000]) {
      for (const offset of [0, 1e7, 0.5]) {
        const values = Array.from({ length: count }, (_, index) => index + offset);
        const estimated = valueOf(planOf('distinct', { limit: 256 }), values) ?? 0;
        expect(Math.abs(estimated - count) / count).toBeLessThan(5 * 0.01625);
      }
    }
  });

  it('distinct estimates without bias', () => {
    const count = 5_000;
    const errors = Array.from({ length: 40 }, (_, round) => {
      const values = Array.from({ length: count }, (__, index) =>
        hashText(`${String(round)}/${String(index)}`),
      );
      return (valueOf(planOf('distinct', { limit: 256 }), values) ?? 0) / count - 1;
    });
    const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
    const spread = Math.sqrt(errors.reduce((sum, error) => sum + error * error, 0) / errors.length);
    expect(Math.abs(mean)).toBeLessThan(0.01);
    expect(spread).toBeLessThan(0.025);
  });

  it('percentile is within its accuracy of the value of that rank (rule 8)', () => {
    const value = fc.oneof(
      fc.double({ noNaN: true, min: 1e-9, max: 1e16 }),
      fc.double({ noNaN: true, min: -1e16, max: -1e-9 }),
      fc.integer({ min: -100, max: 100 }),
    );
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 1, maxLength: 200 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.constantFrom(0.001, 0.01, 0.1),
        (values, quantile, accuracy) => {
          const sorted = [...values].sort((a, b) => a - b);
          const exact = sorted[Math.floor(quantile * (sorted.length - 1))] ?? 0;
          const found = valueOf(planOf('percentile', { quantile, accuracy }), values) ?? Number.NaN;
          expect(Math.abs(found - exact)).toBeLessThanOrEqual(Math.abs(exact) * accuracy * (1 + 1e-9));
        },
      ),
      { numRuns: 300, seed: 7 },
    );
  });

  it('topK counts exactly, breaks ties by value, and has no answer over its limit (rule 7)', () => {
    const values = [5, 3, 3, 9, 9, 1];
    const ranked = [0, 1, 2, 3, 4].map((rank) =>
      valueOf(planOf('topK', { of: 'values', limit: 4 }, rank), values),
    );
    expect(ranked).toEqual([3, 9, 1, 5, null]);
    const counts = [0, 1, 2].map((rank) => valueOf(planOf('topK', { of: 'counts', limit: 4 }, rank), values));
    expect(counts).toEqual([2, 2, 1]);
    expect(valueOf(planOf('topK', { of: 'counts', limit: 3 }), values)).toBeNull();
  });

  it('give what they hold back, so that memory does not grow with what is dropped', () => {
    for (const kind of ['distinct', 'topK', 'percentile'] as const) {
      const aggregator = aggregatorOf(planOf(kind, { limit: 50 }).feature);
      const state = new Float64Array(aggregator.columns);
      let bytes = 0;
      for (let round = 0; round < 20; round += 1) {
        aggregator.open(state, 0);
        for (let value = 1; value < 200; value += 1) aggregator.add(state, 0, value * round, 0, 0);
        aggregator.release?.(state, 0);
        if (round === 2) bytes = aggregator.arena?.byteLength ?? 0;
      }
      expect(aggregator.arena?.byteLength).toBe(bytes);
    }
  });

  it.each(['distinct', 'topK', 'percentile'] as const)('%s goes on after it was saved and loaded', (kind) => {
    const plan = planOf(kind, { limit: 150, quantile: 0.5 });
    const saved = aggregatorOf(plan.feature);
    const tiles = new Float64Array(saved.columns * 2);
    for (const tile of [0, saved.columns]) {
      saved.open(tiles, tile);
      for (let value = 0; value < 100; value += 1) saved.add(tiles, tile, value * (tile + 1), 0, 0);
    }
    saved.release?.(tiles, 0);
    saved.open(tiles, 0);
    const writer = new SectionWriter();
    saved.arena?.save(writer);
    const loaded = aggregatorOf(plan.feature);
    loaded.arena?.load(new SectionReader(writer.finish()));
    for (const aggregator of [saved, loaded]) {
      const state = tiles.slice();
      for (let value = 0; value < 60; value += 1) {
        aggregator.add(state, 0, value, 0, 0);
        aggregator.add(state, aggregator.columns, 1_000 + value, 0, 0);
      }
      aggregator.merge(state, 0, state, aggregator.columns);
      const all = aggregatorOf(plan.feature);
      const expected = new Float64Array(all.columns);
      all.open(expected, 0);
      for (let value = 0; value < 100; value += 1) all.add(expected, 0, value * (all.columns + 1), 0, 0);
      for (let value = 0; value < 60; value += 1) {
        all.add(expected, 0, value, 0, 0);
        all.add(expected, 0, 1_000 + value, 0, 0);
      }
      expect(aggregator.finish(state, 0, plan)).toBe(all.finish(expected, 0, plan));
    }
  });
});

describe('hashes', () => {
  it('are whole numbers of 53 bits that tell texts and numbers apart', () => {
    const seen = new Set<number>();
    for (let index = 0; index < 200_000; index += 1) {
      seen.add(hashText(`customer-${String(index)}`));
      seen.add(hashNumber(index));
      seen.add(hashNumber(index + 0.5));
    }
    expect(seen.size).toBe(600_000);
    expect([...seen].every((hash) => Number.isSafeInteger(hash) && hash >= 0)).toBe(true);
  });

  it('of texts spread evenly over their bits', () => {
    const bits = new Float64Array(53);
    const count = 20_000;
    for (let index = 0; index < count; index += 1) {
      const hash = hashText(String(index));
      for (let bit = 0; bit < 53; bit += 1) bits[bit] = (bits[bit] ?? 0) + (Math.floor(hash / 2 ** bit) % 2);
    }
    // Five standard deviations of a fair coin.
    for (const set of bits) expect(Math.abs(set - count / 2)).toBeLessThan((5 * Math.sqrt(count)) / 2);
  });

  it('take 0 and -0 for one value', () => {
    expect(hashNumber(-0)).toBe(hashNumber(0));
  });
});
