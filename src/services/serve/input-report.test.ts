import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { REFERENCE_SHARES } from '../../contract/reference-shares.ts';
import { type InputReport, readInputs, referenceOf } from './input-report.ts';

/** As the step `evaluate` notes them. */
function reportOf(values: readonly number[], missing = 0): InputReport {
  const sorted = Float32Array.from(values).sort();
  const last = sorted.length - 1;
  return {
    name: 'x',
    missing,
    quantiles: REFERENCE_SHARES.map((share) => sorted[Math.round(share * last)] as number),
  };
}

describe('where a value stands', () => {
  const hundred = reportOf(
    Array.from({ length: 101 }, (_, index) => index),
    0.125,
  );

  it.each([
    [97, 'higher than in 95 % of training rows'],
    [3, 'lower than in 95 % of training rows'],
    [60, 'higher than in 50 % of training rows'],
    [-1, 'lower than in every training row'],
    [101, 'higher than in every training row'],
    [null, 'missing, as in 12.5 % of training rows'],
  ])('%s: %s', (value, text) => {
    expect(referenceOf(hundred, value).text).toBe(text);
  });

  it.each([
    [reportOf([0, 0, 0, 0]), 0, 'as in most training rows'],
    [reportOf([1], 0), null, 'missing, as in no training row'],
    [{ name: 'x', missing: 1, quantiles: [] }, 3, 'no training row had a value'],
    [
      { name: 'x', missing: 0, quantiles: [], shares: [{ share: 0.25 }, { share: 0 }] },
      0,
      'as in 25 % of training rows',
    ],
    [
      { name: 'x', missing: 0, quantiles: [], shares: [{ share: 0.25 }, { share: 0 }] },
      1,
      'as in no training row',
    ],
  ])('of %j, %s: %s', (report, value, text) => {
    expect(referenceOf(report, value).text).toBe(text);
  });

  it('is true of the rows: so many are lower, and so many higher, up to a rank', () => {
    const values = fc.array(fc.integer({ min: -20, max: 20 }), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(values, fc.integer({ min: -25, max: 25 }), (rows, value) => {
        const { above, below } = referenceOf(reportOf(rows), value);
        const share = (count: number): number => (count + 1) / rows.length;
        expect(above).toBeLessThanOrEqual(share(rows.filter((row) => row < value).length));
        expect(below).toBeLessThanOrEqual(share(rows.filter((row) => row > value).length));
      }),
    );
  });
});

describe('the inputs of a report', () => {
  it('are those that are understood, of a report of any build', () => {
    const known = { name: 'a', missing: 0, quantiles: [1] };
    const text = JSON.stringify({ form: 9, inputs: [known, { name: 'b' }, 3] });
    expect(readInputs(text)).toEqual([known]);
    for (const other of ['{}', 'no JSON', '[]', 'null']) expect(readInputs(other)).toEqual([]);
  });
});
