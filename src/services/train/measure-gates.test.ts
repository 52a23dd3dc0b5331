import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { atLeast, atMost, betterThanBaseline, type Gate, type GateMeasure } from '../../define/index.ts';
import { SeededRandom } from '../../ml/index.ts';
import { judge } from './gate-step.ts';
import { measureGate, type Measurement } from './measure-gates.ts';
import { reportOf, rowsOf } from './measure-report.ts';
import { thresholdsOf } from './measure-thresholds.ts';
import { createPart, type Part } from './part-file.ts';

interface Row {
  readonly label: 0 | 1;
  readonly score: number;
  readonly ward: number;
  readonly entity?: number;
}

function rowsAsPart(rows: readonly Row[]): { part: Part; scores: Float64Array } {
  const entities = rows.some(({ entity }) => entity !== undefined);
  const { part } = createPart({ names: ['ward'], categories: {}, rows: rows.length, days: false, entities });
  rows.forEach(({ label, ward, entity = 0 }, row) => {
    part.labels[row] = label;
    part.values[row] = ward;
    if (part.entities !== undefined) part.entities[row] = entity;
  });
  return { part, scores: Float64Array.from(rows, ({ score }) => score) };
}

function measure({ bound: _bound, ...asked }: Gate, rows: readonly Row[], baseline = 0.5): Measurement {
  const { part, scores } = rowsAsPart(rows);
  return measureGate(asked satisfies GateMeasure, {
    test: part,
    rows: rowsOf(part, scores),
    baseline,
    seed: 0,
  });
}

/** So many rows of a ward, of which so many are found at 0.5. */
function ward(number: number, { positives = 0, found = 0, negatives = 0 }): Row[] {
  return [
    ...Array.from({ length: positives }, (_, row): Row => ({
      label: 1,
      score: row < found ? 0.9 : 0.1,
      ward: number,
    })),
    ...Array.from({ length: negatives }, (): Row => ({ label: 0, score: 0.2, ward: number })),
  ];
}

describe('a gate on the worst slice', () => {
  const rows = [
    ...ward(1, { positives: 40, found: 40, negatives: 40 }),
    ...ward(2, { positives: 20, found: 16, negatives: 20 }),
    ...ward(3, { positives: 10, found: 2, negatives: 5 }),
    ...ward(4, { positives: 4, found: 0, negatives: 60 }),
    ...ward(5, { positives: 40, found: 36 }),
  ];

  it('names the slice that does worst among those with rows enough', () => {
    // Ward 3 has 15 rows and ward 4 four positives: neither says anything. Ward 5 has no negatives, and needs none.
    expect(measure(atLeast('recall', 0.8, { slice: 'worst' }), rows)).toMatchObject({
      value: 0.8,
      where: { input: 'ward', values: '2', rows: 40 },
    });
    expect(measure(atLeast('recall', 0.8, { slice: 'worst', rowsMin: 15 }), rows)).toMatchObject({
      value: 0.2,
      where: { values: '3', rows: 15 },
    });
    expect(measure(atLeast('recall', 0.8, { slice: 'worst', rowsMin: 41 }), rows).where?.values).toBe('1');
  });

  it('passes exactly if every slice that counts passes', () => {
    const slice = fc.record({
      positives: fc.integer({ min: 5, max: 30 }),
      found: fc.nat(30),
      negatives: fc.nat(30),
    });
    fc.assert(
      fc.property(
        fc.array(slice, { minLength: 2, maxLength: 6 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (wards, bound) => {
          const all = wards.flatMap((one, index) =>
            ward(index, { ...one, found: Math.min(one.found, one.positives) }),
          );
          const gate = atLeast('recall', bound, { slice: 'worst', rowsMin: 20 });
          const counted = wards.filter(({ positives, negatives }) => positives + negatives >= 20);
          const each = counted.every(
            ({ positives, found }) => Math.min(found, positives) / positives >= bound,
          );
          const [verdict] = judge([gate], { metrics: {}, measured: [measure(gate, all)] });
          expect(verdict?.passed).toBe(counted.length > 0 && each);
        },
      ),
    );
  });

  it('fails, and says why, where no slice counts', () => {
    const gate = atLeast('recall', 0, { slice: 'worst', rowsMin: 500 });
    const [verdict] = judge([gate], { metrics: {}, measured: [measure(gate, rows)] });
    expect(verdict).toMatchObject({
      passed: false,
      value: 0,
      unmeasured: 'no slice has 500 rows and 5 that count',
    });
  });

  it('holds the end of the interval, which a small slice reaches less easily', () => {
    const even = [...ward(1, { positives: 200, found: 180 }), ...ward(2, { positives: 30, found: 27 })];
    const value = measure(atLeast('recall', 0.8, { slice: 'worst' }), even);
    const lower = measure(atLeast('recall', 0.8, { slice: 'worst', bound: 'lower' }), even);
    expect(value.value).toBeCloseTo(0.9, 12);
    expect(lower).toMatchObject({ where: { values: '2' } });
    expect(lower.value).toBeLessThan(0.75);
  });
});

describe('a gate at a threshold', () => {
  it('counts rows with at least the threshold as alarms', () => {
    const rows: Row[] = [
      { label: 1, score: 0.3, ward: 1 },
      { label: 1, score: 0.2999, ward: 1 },
      { label: 0, score: 0.3, ward: 1 },
      { label: 0, score: 0.1, ward: 1 },
      { label: 0, score: 0, ward: 1 },
    ];
    const value = (metric: 'recall' | 'precision' | 'specificity'): number =>
      measure(atLeast(metric, 0, { at: 0.3 }), rows).value;
    expect([value('recall'), value('precision'), value('specificity')]).toEqual([1 / 2, 1 / 2, 2 / 3]);
    expect(measure(atLeast('precision', 0, { at: 0.9 }), rows).unmeasured).toBe(
      'no row has a probability of 0.9 or more',
    );
    expect(measure(atMost('precision', 1, { at: 0.9 }), rows).value).toBe(Number.MAX_VALUE);
  });

  it('is not sure of 40 hits in 40 rows, and less so of 40 rows of four patients', () => {
    const rows = ward(1, { positives: 40, found: 40 });
    const gate = atLeast('recall', 0.95, { bound: 'lower' });
    expect(measure(gate, rows).value).toBeCloseTo(0.9124, 4);
    const missed = rows.map((row, index): Row => ({
      ...row,
      score: index < 10 ? 0.1 : 0.9,
      entity: Math.floor(index / 10),
    }));
    const single = missed.map(({ entity: _entity, ...row }) => row);
    // All misses are one patient's.
    expect(measure(gate, missed).value).toBeLessThan(measure(gate, single).value - 0.1);
  });

  it('is told with its interval for every threshold that a gate names', () => {
    const { part, scores } = rowsAsPart(ward(1, { positives: 20, found: 15, negatives: 80 }));
    const asked = [atLeast('recall', 0, { at: 0.05 }), atLeast('precision', 0, { at: 0.95 })];
    const list = thresholdsOf(rowsOf(part, scores), { asked, seed: 0 });
    expect(list.map(({ at, alarms }) => [at, alarms])).toEqual([
      [0.05, 100],
      [0.5, 15],
      [0.95, 0],
    ]);
    expect(list[1]).toMatchObject({ recall: { value: 0.75, rows: 20 }, specificity: { value: 1, rows: 80 } });
    expect(list[2]?.precision).toBeNull();
  });
});

describe('a gate against the baseline', () => {
  const random = new SeededRandom(4);
  const rows = Array.from({ length: 400 }, (): Row => {
    const chance = random.uniform();
    return { label: random.uniform() < chance ? 1 : 0, score: chance, ward: 1 };
  });

  it('measures the lead, positive where it is better, also of a loss', () => {
    for (const metric of ['aucRoc', 'logLoss', 'brier', 'averagePrecision'] as const) {
      const gate = betterThanBaseline(metric);
      const lower = betterThanBaseline(metric, { bound: 'lower' });
      const [value, end] = [measure(gate, rows), measure(lower, rows)];
      expect(value.value).toBeGreaterThan(0.05);
      expect(end.value).toBeGreaterThan(0);
      expect(end.value).toBeLessThan(value.value);
      const { part, scores } = rowsAsPart(rows);
      const report = reportOf({ train: part, test: part, scores, seed: 0, scorer: () => undefined });
      const without = report.baseline.metrics[metric] ?? 0;
      const exact = measure(gate, rows, report.baseline.probability);
      expect(exact.baseline).toBeCloseTo(without, 12);
      expect(Math.abs(exact.value)).toBeCloseTo(Math.abs((report.metrics[metric] ?? 0) - without), 12);
    }
  });

  it('is not met by a model that knows as little', () => {
    const blind = rows.map((row): Row => ({ ...row, score: 0.5 }));
    const gate = betterThanBaseline('aucRoc');
    const [verdict] = judge([gate], { metrics: {}, measured: [measure(gate, blind)] });
    expect(verdict).toMatchObject({ value: 0, baseline: 0.5, passed: false });
  });
});

describe('judge', () => {
  it('fails a gate on something that was not measured', () => {
    const gates = [atLeast('aucRoc', -1), atMost('logLoss', 1), atLeast('recall', 0)];
    const verdicts = judge(gates, { metrics: { logLoss: Number.NaN }, measured: [] });
    expect(verdicts.map(({ passed, unmeasured }) => [passed, unmeasured])).toEqual(
      Array(3).fill([false, 'it is not among the metrics of the run']),
    );
  });
});
