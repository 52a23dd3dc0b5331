import { describe, expect, it } from 'vitest';
import { matrixOf } from '../matrix.ts';
import type { Explanation } from './explanation.ts';
import { topReasons } from './reasons.ts';

const features = matrixOf([
  [1, 2, 3, 4],
  [5, null, 7, 8],
]);
const explanation: Explanation = {
  rows: 2,
  columns: 4,
  outputs: 1,
  values: Float64Array.of(0, 0, 0, 0, 0.5, -2, 0, 0.5),
  expected: Float64Array.of(-1),
};
const names = ['amount', 'age', 'country', 'hour'];

describe('topReasons', () => {
  it('lists the largest contributions; what is not listed is the rest', () => {
    const told = topReasons(explanation, features, { row: 1, names, count: 2 });
    expect(told).toEqual({
      expected: -1,
      margin: -2,
      reasons: [
        { name: 'age', column: 1, value: null, contribution: -2, direction: 'down' },
        { name: 'amount', column: 0, value: 5, contribution: 0.5, direction: 'up' },
      ],
      rest: 0.5,
    });
  });

  it('lists one direction only, and no zeros', () => {
    const up = topReasons(explanation, features, { row: 1, names, direction: 'up' });
    expect(up.reasons.map((reason) => reason.name)).toEqual(['amount', 'hour']);
    expect(up.rest).toBe(-2);
    expect(topReasons(explanation, features, { row: 0, names }).reasons).toEqual([]);
  });

  it('refuses what does not fit', () => {
    expect(() => topReasons(explanation, features, { row: 2, names })).toThrow(
      /row must be .* 0 to 1, not 2/,
    );
    expect(() => topReasons(explanation, features, { row: 0, names, output: 1 })).toThrow(/output must be/);
    expect(() => topReasons(explanation, features, { row: 0, names: ['a'] })).toThrow('4 inputs but 1 names');
    expect(() => topReasons(explanation, matrixOf([[1]]), { row: 0, names })).toThrow('not of 1 x 1');
  });
});
