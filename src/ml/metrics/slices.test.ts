import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../random.ts';
import type { Metric } from './bootstrap/evaluate.ts';
import { bootstrap } from './bootstrap/bootstrap.ts';
import { binOf, quantileEdges } from './quantile-bins.ts';
import { brier } from './probability.ts';
import { aucRoc } from './ranking.ts';
import { meanAbsoluteError } from './regression.ts';
import { membersOf } from './slice-members.ts';
import { metricBySlice } from './slices.ts';

const QUICK = { resamples: 200, seed: 1 };

/**
 * Four large sites, of which `south` ranks worse, one of 60 rows that is unlucky, one of 20 rows, and one
 * without positives.
 */
function sites(): { labels: number[]; scores: number[]; site: string[] } {
  const random = new SeededRandom(4);
  const sizes = { east: 400, north: 400, south: 400, west: 400, small: 20, clean: 100 };
  const site = Object.entries(sizes).flatMap(([name, size]) => Array<string>(size).fill(name));
  const labels = site.map((name, row) => (name !== 'clean' && row % 4 === 0 ? 1 : 0));
  const scores = labels.map((label, row) => label * (site[row] === 'south' ? 0.7 : 1.8) + random.normal());
  return { labels, scores, site };
}

describe('metricBySlice', () => {
  const { labels, scores, site } = sites();
  const columns = [{ name: 'site', kind: 'category', values: site }] as const;
  const report = metricBySlice(
    aucRoc,
    { labels, scores, columns },
    { higherIsBetter: true, bootstrap: QUICK },
  );

  it('measures every slice as its rows alone', () => {
    const south = report.slices.find(({ value }) => value.kind === 'category' && value.category === 'south');
    const rows = [...site.keys()].filter((row) => site[row] === 'south');
    const alone = bootstrap(
      aucRoc,
      { labels: rows.map((row) => labels[row] ?? NaN), scores: rows.map((row) => scores[row] ?? NaN) },
      QUICK,
    );
    expect(south).toMatchObject({ rows: 400, measured: true, interval: alone });
    expect(report.overall).toEqual(bootstrap(aucRoc, { labels, scores }, QUICK));
  });

  it('reports in order, and says what it did not measure and why', () => {
    expect(
      report.slices.map(({ value }) => (value.kind === 'category' ? value.category : value.kind)),
    ).toEqual(['clean', 'east', 'north', 'small', 'south', 'west']);
    expect(report.slices.filter(({ measured }) => !measured)).toEqual([
      {
        column: 'site',
        value: { kind: 'category', category: 'clean' },
        rows: 100,
        groups: undefined,
        measured: false,
        reason: 'FEW_OF_LABEL',
        explanation: '0 of 100 rows have label 1, at least 5 are needed',
      },
      {
        column: 'site',
        value: { kind: 'category', category: 'small' },
        rows: 20,
        groups: undefined,
        measured: false,
        reason: 'FEW_ROWS',
        explanation: '20 rows, at least 50 are needed',
      },
    ]);
  });

  it('names the slice that is proven to be worst', () => {
    expect(report.worst?.slice.value).toEqual({ kind: 'category', category: 'south' });
    expect(report.worst?.bound).toBe(report.worst?.slice.interval.upper);
    expect(report.worst?.worseThanAll).toBe(true);
  });

  it('does not name a small slice that was only unlucky', () => {
    // The mean label is the metric: 'few' has the lowest estimate, 'many' is worse beyond doubt.
    const mean: Metric = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const random = new SeededRandom(3);
    const group = [
      ...Array<string>(6).fill('few'),
      ...Array<string>(600).fill('many'),
      ...Array<string>(600).fill('other'),
    ];
    const few = [-4, -3, -1, 0.5, 2, 1.5];
    const values = group.map((name, row) => few[row] ?? (name === 'many' ? -0.5 : 0.5) + random.normal());
    const found = metricBySlice(
      mean,
      { labels: values, scores: values, columns: [{ name: 'group', kind: 'category', values: group }] },
      { higherIsBetter: true, rowsMin: 5, bootstrap: { ...QUICK, stratified: false } },
    );
    const estimates = found.slices.map((slice) => (slice.measured ? slice.interval.estimate : NaN));
    expect(estimates[0]).toBeLessThan(estimates[1] ?? NaN);
    expect(found.worst?.slice.value).toEqual({ kind: 'category', category: 'many' });
  });

  it('seldom claims a difference where there is none, however many slices it picks from', () => {
    let claims = 0;
    let boundsBeyond = 0;
    for (let run = 0; run < 40; run += 1) {
      const random = new SeededRandom(run);
      const predicted = Array.from({ length: 720 }, () => random.uniform());
      const outcomes = predicted.map((score) => (random.uniform() < score ? 1 : 0));
      const found = metricBySlice(
        brier,
        {
          labels: outcomes,
          scores: predicted,
          columns: [{ name: 'part', kind: 'category', values: predicted.map((_, row) => row % 12) }],
        },
        { higherIsBetter: false, bootstrap: { resamples: 100, level: 0.9, method: 'percentile' } },
      );
      claims += found.worst?.worseThanAll === true ? 1 : 0;
      boundsBeyond += (found.worst?.bound ?? NaN) > found.overall.estimate ? 1 : 0;
    }
    // One slice in 20 ends beyond all rows by chance, so one of 12 does in every second report.
    expect(boundsBeyond).toBeGreaterThan(12);
    expect(claims).toBeLessThan(5);
  });

  it('takes the other side of the interval for a loss', () => {
    const given = { labels: [0, 0, 0, 1, 1, 1], scores: [0.1, 0.2, 0.15, 0.2, 0.3, 0.1] };
    const found = metricBySlice(
      brier,
      { ...given, columns: [{ name: 'label', kind: 'number', values: given.labels, bins: 2 }] },
      { higherIsBetter: false, rowsMin: 3, rowsOfLabelMin: 0, bootstrap: QUICK },
    );
    expect(found.slices.map(({ measured }) => measured)).toEqual([true, true]);
    expect(found.worst?.slice.value).toEqual({ kind: 'range', from: 1, to: 1, last: true });
    expect(found.worst?.bound).toBe(found.worst?.slice.interval.lower);
    expect(found.worst?.worseThanAll).toBe(true);
  });

  it('reports a slice that the metric cannot measure, with groups, and has then no worst', () => {
    const given = { labels: [0, 1, 0, 1], scores: [1, 2, 3, 4], groups: ['a', 'a', 'b', 'b'] };
    const found = metricBySlice(
      aucRoc,
      { ...given, columns: [{ name: 'group', kind: 'category', values: given.groups }] },
      { higherIsBetter: true, rowsMin: 0, rowsOfLabelMin: 1, bootstrap: QUICK },
    );
    expect(found.slices).toMatchObject([
      { measured: false, groups: 1, reason: 'UNDEFINED' },
      { measured: false, groups: 1, reason: 'UNDEFINED' },
    ]);
    expect(found.worst).toBeUndefined();
  });

  it('measures regressions without classes, by weights', () => {
    const random = new SeededRandom(2);
    const targets = Array.from({ length: 300 }, () => random.normal());
    const predictions = targets.map((target, row) => target + random.normal() * (row < 100 ? 3 : 1));
    const found = metricBySlice(
      meanAbsoluteError,
      {
        labels: targets,
        scores: predictions,
        weights: targets.map((_, row) => 1 + (row % 2)),
        columns: [{ name: 'row', kind: 'number', values: targets.map((_, row) => row), bins: 3 }],
      },
      { higherIsBetter: false, bootstrap: { ...QUICK, stratified: false } },
    );
    expect(found.slices.map(({ rows }) => rows)).toEqual([100, 100, 100]);
    expect(found.worst?.slice.value).toMatchObject({ from: 0, to: 100 });
  });

  it('refuses unsound input', () => {
    const rows = { labels: [0, 0, 1, 1], scores: [1, 2, 3, 4] };
    const withColumn = (values: string[], name = 'a'): Parameters<typeof metricBySlice>[1] => ({
      ...rows,
      columns: [
        { name, kind: 'category', values },
        { name: 'a', kind: 'category', values },
      ],
    });
    const options = { higherIsBetter: true, bootstrap: QUICK };
    expect(() => metricBySlice(aucRoc, withColumn(['x', 'y', 'z', 'x']), options)).toThrow(
      /'a' is there twice/,
    );
    expect(() => metricBySlice(aucRoc, withColumn(['x'], 'b'), options)).toThrow(
      /4 rows but the slicing column 'b' has 1/,
    );
    expect(() => metricBySlice(aucRoc, { ...rows, columns: [] }, { ...options, rowsMin: -1 })).toThrow(
      /rowsMin/,
    );
    const bins = [{ name: 'c', kind: 'number', values: rows.scores, bins: 101 }] as const;
    expect(() => metricBySlice(aucRoc, { ...rows, columns: bins }, options)).toThrow(
      /from 1 to 100, not 101/,
    );
    const many = Array.from({ length: 1001 }, (_, row) => `v${row}`);
    expect(() => membersOf([{ name: 'id', kind: 'category', values: many }], 1001)).toThrow(
      /1001 slices, 1000 at most/,
    );
  });
});

describe('the slices of columns', () => {
  it('hold every row once for each column, missing values last', () => {
    const cell = fc.oneof(fc.constantFrom('b', 'a', 2, 10, true, null), fc.constant(NaN));
    const number = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constant(NaN));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(cell, number), { minLength: 1, maxLength: 50 }),
        fc.integer({ min: 1, max: 6 }),
        (rows, bins) => {
          const categories = rows.map(([value]) => value);
          const numbers = rows.map(([, value]) => value);
          const slices = membersOf(
            [
              { name: 'c', kind: 'category', values: categories },
              { name: 'n', kind: 'number', values: numbers, bins },
            ],
            rows.length,
          );
          for (const name of ['c', 'n']) {
            const own = slices.filter(({ column }) => column === name);
            expect(own.flatMap((slice) => slice.rows).sort((a, b) => a - b)).toEqual([...rows.keys()]);
            expect(own.slice(0, -1).some(({ value }) => value.kind === 'missing')).toBe(false);
          }
          for (const { value, rows: held } of slices) {
            if (value.kind !== 'range') continue;
            for (const row of held) {
              const given = numbers[row] ?? NaN;
              expect(given >= value.from && (value.last ? given <= value.to : given < value.to)).toBe(true);
            }
          }
        },
      ),
    );
  });

  it('sorts truth values, numbers by value and strings', () => {
    const values = ['b', 10, 'a', 2, true, false, null];
    const slices = membersOf([{ name: 'c', kind: 'category', values }], values.length);
    expect(slices.map(({ rows }) => values[rows[0] ?? 0])).toEqual([false, true, 2, 10, 'a', 'b', null]);
  });
});

describe('quantile bins', () => {
  it('hold equally many when all values differ, and never part equal ones', () => {
    expect([...quantileEdges([5, 3, 8, 1, 7, 2, 6, 4], 4)]).toEqual([1, 3, 5, 7]);
    expect([...quantileEdges([1, 1, 1, 1], 4)]).toEqual([1]);
    expect([...quantileEdges([0, 0, 0, 1], 2)]).toEqual([0]);
    expect([...quantileEdges([0, 1, 1, 1], 2)]).toEqual([0, 1]);
    expect(binOf(Float64Array.of(1, 3, 5), 4.9)).toBe(1);
    expect(binOf(Float64Array.of(1, 3, 5), 5)).toBe(2);
    expect(binOf(Float64Array.of(1), 9)).toBe(0);
  });
});
