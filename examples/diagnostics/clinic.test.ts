import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BATCH_MS, caseRecord, findingRecord, MATURITY_MS, openClinic } from './clinic.ts';
import type { CaseFile } from './datasets/case-file.ts';

function fileOf(count: number, batchCases: number): CaseFile {
  return {
    name: 'x',
    title: 'x',
    vector: 'x',
    findings: { positive: 'ill', negative: 'well' },
    cases: Array.from({ length: count }, (_, index) => ({
      values: { number: index, missing: null },
      isPositive: index % 3 === 0,
    })),
    batchCases,
    aucReference: undefined,
  };
}

const clinics = fc.record({
  count: fc.integer({ min: 1, max: 300 }),
  batchCases: fc.integer({ min: 1, max: 60 }),
  seed: fc.nat(),
});

describe('a clinic', () => {
  it('sees every case once, and each has its finding before its label matures', () => {
    fc.assert(
      fc.property(clinics, ({ count, batchCases, seed }) => {
        const { cases, events } = openClinic(fileOf(count, batchCases), { seed });
        expect(new Set(cases.map(({ known }) => known.values['number'])).size).toBe(count);
        for (const kind of ['case', 'finding'] as const) {
          const seen = events.flatMap((event) => (event.kind === kind ? [event.case.id] : []));
          expect(seen.toSorted()).toEqual(cases.map(({ id }) => id).toSorted());
        }
        for (const { at, findingAt } of cases) {
          expect(findingAt).toBeGreaterThan(at);
          expect(findingAt).toBeLessThan(at + MATURITY_MS);
        }
      }),
    );
  });

  it('goes by time; every training knows what has matured, the last one all', () => {
    fc.assert(
      fc.property(clinics, ({ count, batchCases, seed }) => {
        const { cases, events } = openClinic(fileOf(count, batchCases), { seed });
        const times = events.map(({ sendAt }) => sendAt);
        expect(times).toEqual(times.toSorted((one, other) => one - other));
        const trainings = events.filter((event) => event.kind === 'training');
        for (const { sendAt, cases: known, batch } of trainings) {
          expect(cases.filter(({ at }) => at + MATURITY_MS <= sendAt)).toHaveLength(known);
          expect(known).toBe(Math.min(count, batch * batchCases));
        }
        expect(trainings.at(-1)?.cases).toBe(count);
      }),
    );
  });

  it('looks at every case of a day before the label matures and before a model learns from it', () => {
    const { cases, events } = openClinic(fileOf(200, 48), { seed: 1 });
    for (const { at } of cases) {
      const round = events.find(({ kind, sendAt }) => kind === 'round' && sendAt > at);
      expect((round?.sendAt ?? Infinity) - at).toBeLessThan(MATURITY_MS);
    }
    const boundary = events.filter(({ sendAt }) => (sendAt - (cases[0]?.at ?? 0)) % BATCH_MS === 0);
    expect(boundary.map(({ kind }) => kind)).toEqual(boundary.map(({ kind }) => kind).toSorted());
  });

  it('is the same for the same seed and another for another, and can be short', () => {
    const order = (seed: number): unknown[] =>
      openClinic(fileOf(100, 10), { seed }).cases.map(({ known }) => known.values['number']);
    expect(order(3)).toEqual(order(3));
    expect(order(3)).not.toEqual(order(4));
    const short = openClinic(fileOf(100, 10), { seed: 3, batches: 4 });
    expect(short.cases).toHaveLength(40);
    expect(short.cases.map(({ known }) => known.values['number'])).toEqual(order(3).slice(0, 40));
  });

  it('writes records without what was not measured', () => {
    const file = fileOf(1, 1);
    const [only] = openClinic(file, { seed: 0 }).cases;
    if (only === undefined) throw new Error('There is one case');
    expect(JSON.parse(caseRecord(only))).toEqual({
      caseId: 'c0001',
      patientId: 'p0001',
      at: only.at,
      number: 0,
    });
    expect(JSON.parse(findingRecord(only, file))).toEqual({
      findingId: 'f-c0001',
      caseId: 'c0001',
      at: only.findingAt,
      finding: 'ill',
    });
  });
});
