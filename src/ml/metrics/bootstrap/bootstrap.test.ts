import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../random.ts';
import { brier, logLoss } from '../probability.ts';
import { aucRoc, averagePrecision } from '../ranking.ts';
import { meanAbsoluteError } from '../regression.ts';
import { accelerationOf } from './acceleration.ts';
import type { BootstrapRows } from './bootstrap.ts';
import { bootstrap } from './bootstrap.ts';
import type { Metric } from './evaluate.ts';
import { formUnits } from './units.ts';

/** Rows of both classes; scores in hundredths, so that some are equal. */
function sampleRows(
  rows: number,
  seed: number,
): { labels: number[]; scores: number[]; weights: number[]; groups: string[] } {
  const random = new SeededRandom(seed);
  const labels = Array.from({ length: rows }, (_, row) => (row < 2 ? row : random.integer(3) === 0 ? 1 : 0));
  return {
    labels,
    scores: labels.map((label) => Math.round(100 / (1 + Math.exp(-label - random.normal()))) / 100),
    weights: labels.map(() => random.integer(4) + 0.5),
    groups: labels.map(() => `group ${random.integer(Math.ceil(rows / 3))}`),
  };
}

const mean: Metric = (labels) => labels.reduce((sum, label) => sum + label, 0) / labels.length;

/** What a RangeError says, undefined when there is none. */
function refusalOf(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof RangeError) return error.message;
    throw error;
  }
}

describe('bootstrap', () => {
  it('is the same for the same seed and another for another', () => {
    const rows = sampleRows(60, 1);
    const found = bootstrap(aucRoc, rows, { resamples: 200, seed: 7 });
    expect(bootstrap(aucRoc, rows, { resamples: 200, seed: 7 })).toEqual(found);
    expect(bootstrap(aucRoc, rows, { resamples: 200, seed: 8 }).replicates).not.toEqual(found.replicates);
    expect(found.estimate).toBe(aucRoc(rows.labels, rows.scores, rows.weights));
    expect(found.lower).toBeLessThan(found.estimate);
    expect(found.upper).toBeGreaterThan(found.estimate);
    expect(found).toMatchObject({ resamples: 200, unmeasured: 0, level: 0.95, method: 'bca' });
  });

  it('measures a resample alike by counts and written out', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<Metric>(aucRoc, averagePrecision, logLoss, brier),
        fc.integer({ min: 4, max: 40 }),
        fc.nat(),
        fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()),
        (metric, count, seed, [weighted, grouped, stratified]) => {
          const { labels, scores, weights, groups } = sampleRows(count, seed);
          const rows: BootstrapRows = {
            labels,
            scores,
            ...(weighted ? { weights } : {}),
            ...(grouped ? { groups } : {}),
          };
          const options = { resamples: 40, seed, stratified };
          const writtenOut: Metric = (a, b, c) => metric(a, b, c);
          const refusal = refusalOf(() => bootstrap(writtenOut, rows, options));
          expect(refusalOf(() => bootstrap(metric, rows, options))).toBe(refusal);
          // One group of all rows, or too few resamples with both classes.
          fc.pre(refusal === undefined);
          const slow = bootstrap(writtenOut, rows, options);
          const fast = bootstrap(metric, rows, options);
          expect(fast.unmeasured).toBe(slow.unmeasured);
          fast.replicates.forEach((value, resample) => {
            if (Number.isNaN(value)) expect(slow.replicates[resample]).toBeNaN();
            else expect(value).toBeCloseTo(slow.replicates[resample] ?? NaN, 10);
          });
          expect(fast.method).toBe(slow.method);
          expect(fast.lower).toBeCloseTo(slow.lower, 9);
          expect(fast.upper).toBeCloseTo(slow.upper, 9);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('takes quantiles of the replicates as the percentile interval', () => {
    const { replicates, lower, upper } = bootstrap(mean, sampleRows(30, 3), {
      resamples: 101,
      level: 0.8,
      method: 'percentile',
      stratified: false,
    });
    const sorted = [...replicates].sort((a, b) => a - b);
    expect(lower).toBeCloseTo(sorted[10] ?? NaN, 12);
    expect(upper).toBeCloseTo(sorted[90] ?? NaN, 12);
  });

  it('has the standard error of a mean', () => {
    const random = new SeededRandom(5);
    const labels = Array.from({ length: 400 }, () => random.normal());
    const found = bootstrap(mean, { labels, scores: labels }, { stratified: false });
    const deviation = Math.sqrt(labels.reduce((sum, x) => sum + (x - found.estimate) ** 2, 0) / 400);
    expect(found.standardError / (deviation / 20)).toBeCloseTo(1, 1);
  });

  it('widens with the level', () => {
    const rows = sampleRows(80, 4);
    const [narrow, wide] = [0.5, 0.99].map((level) => bootstrap(averagePrecision, rows, { level }));
    expect(wide?.lower).toBeLessThan(narrow?.lower ?? NaN);
    expect(wide?.upper).toBeGreaterThan(narrow?.upper ?? NaN);
  });

  it('keeps every class in every resample when stratified, and counts what it cannot measure when not', () => {
    const labels = [1, 1, ...Array<number>(28).fill(0)];
    const scores = labels.map((_, row) => ((row * 7) % 30) / 30);
    expect(bootstrap(aucRoc, { labels, scores }).unmeasured).toBe(0);
    const loose = bootstrap(aucRoc, { labels, scores }, { stratified: false });
    // (28 / 30) ^ 30 = 0.126 of the resamples have no positive row.
    expect(loose.unmeasured / loose.resamples).toBeGreaterThan(0.09);
    expect(loose.unmeasured / loose.resamples).toBeLessThan(0.16);
    expect(loose.replicates.filter((value) => Number.isNaN(value)).length).toBe(loose.unmeasured);
    const written = bootstrap((a, b) => aucRoc(a, b), { labels, scores }, { stratified: false });
    expect(written.unmeasured).toBe(loose.unmeasured);
  });

  it('falls back to the percentile interval when the estimate is beyond all resamples', () => {
    let calls = 0;
    const rising: Metric = () => (calls += 1);
    const found = bootstrap(rising, sampleRows(10, 1), { resamples: 100 });
    expect(found.method).toBe('percentile');
  });

  it('of a metric that never varies is that value', () => {
    const found = bootstrap(aucRoc, { labels: [0, 0, 1, 1], scores: [1, 2, 3, 4] });
    expect(found).toMatchObject({ estimate: 1, lower: 1, upper: 1, method: 'bca', standardError: 0 });
  });

  it('pairs the replicates of two models', () => {
    const rows = sampleRows(50, 9);
    const first = bootstrap(aucRoc, rows, { seed: 3, resamples: 100 });
    const same = bootstrap(
      (a, b, c) => aucRoc(a, b, c),
      { ...rows, scores: rows.scores.map((x) => x / 2) },
      { seed: 3, resamples: 100 },
    );
    first.replicates.forEach((value, resample) => expect(same.replicates[resample]).toBeCloseTo(value, 12));
  });

  it('refuses unsound input', () => {
    const rows = sampleRows(20, 2);
    for (const level of [0, 1, NaN, -1]) expect(() => bootstrap(aucRoc, rows, { level })).toThrow(/level/);
    expect(() => bootstrap(aucRoc, rows, { resamples: 39 })).toThrow(/from 40 \(for level 0.95\)/);
    expect(() => bootstrap(aucRoc, rows, { resamples: 19, level: 0.9 })).toThrow(/from 20/);
    expect(bootstrap(aucRoc, rows, { resamples: 20, level: 0.9 }).resamples).toBe(20);
    expect(() => bootstrap(aucRoc, rows, { resamples: 1e6 })).toThrow(/to 100000/);
    expect(() => bootstrap(aucRoc, { labels: [], scores: [] })).toThrow(/at least one row/);
    expect(() => bootstrap(aucRoc, { labels: [0, 1], scores: [1] })).toThrow(/2 labels but 1 scores/);
    expect(() => bootstrap(aucRoc, { ...rows, groups: [1] })).toThrow(/20 labels but 1 groups/);
    expect(() => bootstrap(aucRoc, { labels: [0, 1], scores: [1, 2] })).toThrow(/all alike/);
    expect(() => bootstrap(aucRoc, { labels: [1, 1], scores: [1, 2] })).toThrow(/both classes/);
    expect(() => bootstrap(() => NaN, rows)).toThrow(/is NaN, not a finite number/);
    expect(() =>
      bootstrap(() => {
        throw new TypeError('broken');
      }, rows),
    ).toThrow(TypeError);
    const many = Array.from({ length: 1500 }, (_, row) => row);
    expect(() => bootstrap(meanAbsoluteError, { labels: many, scores: many })).toThrow(/stratified: false/);
    let calls = 0;
    const once: Metric = () => ((calls += 1) > 1 ? NaN : 1);
    expect(() => bootstrap(once, rows)).toThrow(/Only 0 of 2000 resamples/);
  });
});

describe('bootstrap of groups', () => {
  it('of doubled rows is that of the rows', () => {
    const { labels, scores } = sampleRows(40, 6);
    const twice = <TValue>(values: TValue[]): TValue[] => values.flatMap((value) => [value, value]);
    const single = bootstrap(averagePrecision, { labels, scores });
    const rows = { labels: twice(labels), scores: twice(scores), groups: twice(labels.map((_, row) => row)) };
    const grouped = bootstrap(averagePrecision, rows);
    single.replicates.forEach((value, resample) =>
      expect(grouped.replicates[resample]).toBeCloseTo(value, 12),
    );
    expect(grouped.lower).toBeCloseTo(single.lower, 9);
    // The doubled rows pretend to know more.
    const naive = bootstrap(averagePrecision, { labels: rows.labels, scores: rows.scores });
    expect(naive.standardError).toBeLessThan(0.85 * grouped.standardError);
  });

  it('draws whole groups and gives every copy a number of its own', () => {
    const rows = sampleRows(60, 8);
    const size = new Map<string, number>();
    for (const group of rows.groups) size.set(group, (size.get(group) ?? 0) + 1);
    const sizes = new Set(size.values());
    const groupsOf: Metric = (labels, _scores, _weights, groups) => {
      const copies = new Map<number, number>();
      for (const group of groups ?? []) copies.set(group, (copies.get(group) ?? 0) + 1);
      for (const count of copies.values()) expect(sizes.has(count)).toBe(true);
      expect(labels.length).toBe(groups?.length);
      return copies.size;
    };
    const found = bootstrap(groupsOf, rows, { resamples: 50 });
    expect([...new Set(found.replicates)]).toEqual([size.size]);
  });

  it('keeps every label when the groups are stratified by what they hold', () => {
    // One group of both labels is all there is of label 1.
    const labels = [0, 1, 0, 0, 0, 0, 0, 0];
    const groups = [1, 1, 2, 2, 3, 3, 4, 5];
    const { strata, count } = formUnits(Float64Array.from(labels), groups, true);
    expect(count).toBe(5);
    expect(strata.map((units) => [...units])).toEqual([[0], [1, 2, 3, 4]]);
    const scores = [5, 4, 3, 2, 6, 7, 8, 1];
    expect(bootstrap(aucRoc, { labels, scores, groups }).unmeasured).toBe(0);
  });

  it('puts groups with the same labels in one stratum, in whatever order they come', () => {
    const labels = Float64Array.of(0, 1, 1, 0, 1, 1, 0);
    const { strata } = formUnits(labels, ['a', 'a', 'b', 'b', 'c', 'c', 'd'], true);
    expect(strata.map((units) => [...units])).toEqual([[0, 1], [2], [3]]);
  });
});

describe('the acceleration', () => {
  it('of a mean is a sixth of the skewness over the root of the rows, also by blocks', () => {
    for (const [rows, digits] of [
      [150, 10],
      [4000, 2],
    ] as const) {
      const random = new SeededRandom(11);
      // Sorted, so that neighbours are alike.
      const values = Array.from({ length: rows }, () => Math.exp(random.normal())).sort((a, b) => a - b);
      const centre = values.reduce((sum, x) => sum + x, 0) / rows;
      const [squares, cubes] = [2, 3].map((power) =>
        values.reduce((sum, x) => sum + (x - centre) ** power, 0),
      );
      const expected = (cubes ?? NaN) / (6 * (squares ?? NaN) ** 1.5);
      const units = formUnits(Float64Array.from(values), undefined, false);
      const meanOf = (drawn: Int32Array): number => {
        const sum = values.reduce((total, x, row) => total + x * (drawn[row] ?? 0), 0);
        return sum / drawn.reduce((total, times) => total + times, 0);
      };
      expect(accelerationOf(meanOf, units, new SeededRandom(0))).toBeCloseTo(expected, digits);
      // The sign: negated values have the opposite skewness.
      expect(accelerationOf((drawn) => -meanOf(drawn), units, new SeededRandom(0))).toBeCloseTo(
        -expected,
        digits,
      );
    }
  });

  it('of a difference between strata of different sizes is that of the theory', () => {
    const random = new SeededRandom(12);
    const labels = Float64Array.from({ length: 55 }, (_, row) => (row < 5 ? 1 : 0));
    const values = labels.map(() => Math.exp(random.normal()));
    const meanOf = (label: number, drawn: Int32Array): number => {
      const times = drawn.map((count, row) => (labels[row] === label ? count : 0));
      const sum = times.reduce((total, count, row) => total + count * (values[row] ?? NaN), 0);
      return sum / times.reduce((total, count) => total + count, 0);
    };
    const all = new Int32Array(55).fill(1);
    // Davison and Hinkley's formula, with the influences +-(x - mean) of the two means.
    let squares = 0;
    let cubes = 0;
    values.forEach((value, row) => {
      const size = row < 5 ? 5 : -50;
      const part = (value - meanOf(labels[row] ?? NaN, all)) / size;
      squares += part ** 2;
      cubes += part ** 3;
    });
    const found = accelerationOf(
      (drawn) => meanOf(1, drawn) - meanOf(0, drawn),
      formUnits(labels, undefined, true),
      new SeededRandom(0),
    );
    expect(found).toBeCloseTo(cubes / (6 * squares ** 1.5), 10);
  });
});
