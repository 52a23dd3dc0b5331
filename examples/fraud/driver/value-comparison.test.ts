import { describe, expect, it } from 'vitest';
import { EXPECTED_FEATURES } from '../expected-features.ts';
import { ExpectedTable } from '../expected-table.ts';
import { isClose, ValueComparison } from './value-comparison.ts';

const names = ['amount', ...EXPECTED_FEATURES.map(({ name }) => name)];
const places = ValueComparison.places(names);
const row = (first: number): number[] => EXPECTED_FEATURES.map((_, index) => first + index);

function table(ties: number[] = []): ExpectedTable {
  const expected = new ExpectedTable(new Set(ties));
  for (let id = 10; id < 4_000; id += 2) expected.add(id, row(id));
  expected.tellCents(expected.rowOf(12), 1_999);
  return expected;
}

describe('ExpectedTable', () => {
  it('finds what was added', () => {
    const expected = table();
    expect(expected.rows).toBe(1_995);
    expect([8, 10, 11, 2_000, 3_998, 4_000].map((id) => expected.rowOf(id))).toEqual([
      -1, 0, -1, 995, 1_994, -1,
    ]);
    expect(expected.valueAt(expected.rowOf(2_000), 3)).toBe(2_003);
    expect(expected.idAt(995)).toBe(2_000);
    expect(() => expected.add(3_998, row(0))).toThrow(/ordered by id/);
    expect(() => expected.add(5_000, [1])).toThrow(/Expected 14 values; got 1/);
  });
});

describe('ValueComparison', () => {
  it('counts values, rows and mismatches', () => {
    const comparison = new ValueComparison(table());
    comparison.compare(12, [19.99, ...row(12)], places);
    comparison.compare(14, [5, ...row(14)], places);
    comparison.compare(14, [5, ...row(14)], places);
    expect(comparison).toMatchObject({ rows: 2, values: 42, mismatches: 0 });
    comparison.compare(16, [5, 17, ...row(16).slice(1)], places);
    comparison.compare(12, [20, ...row(12)], places);
    comparison.compare(18, [5, null, Number.NaN, ...row(18).slice(2)], places);
    expect(comparison).toMatchObject({ rows: 4, values: 84, mismatches: 4 });
    expect(comparison.differences).toEqual([
      'transaction 16: weekend is 17, expected 16',
      'transaction 12: amount is 20, expected 19.99',
      'transaction 18: weekend is null, expected 18',
      'transaction 18: night is NaN, expected 19',
    ]);
  });

  it('does not count what differs in a tie, and refuses a row that is not expected', () => {
    const comparison = new ValueComparison(table([20]));
    comparison.compare(20, [5, ...row(99)], places);
    expect(comparison).toMatchObject({ rows: 1, values: 14, mismatches: 0 });
    expect(() => comparison.compare(21, row(1), places)).toThrow(RangeError);
    expect(() => ValueComparison.places(['amount'])).toThrow(/no value 'weekend'/);
  });

  it('takes values as equal to one part in a million', () => {
    expect(isClose(1e6 + 0.9, 1e6)).toBe(true);
    expect(isClose(1e6 + 1.1, 1e6)).toBe(false);
    expect(isClose(1 / 3, 0.333333333)).toBe(true);
    expect(isClose(0.001001, 0.001)).toBe(false);
    expect(isClose(0, 0)).toBe(true);
    expect(isClose(1e-8, 0)).toBe(false);
  });
});
