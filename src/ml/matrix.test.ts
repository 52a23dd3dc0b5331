import { describe, expect, it } from 'vitest';
import { matrix, matrixOf } from './matrix.ts';

describe('matrix', () => {
  it('keeps the values it is given', () => {
    const values = Float32Array.of(1, 2, 3, 4, 5, 6);
    expect(matrix(2, 3, values).values).toBe(values);
  });

  it('refuses sizes that do not agree', () => {
    expect(() => matrix(2, 2, new Float32Array(3))).toThrow(/2 x 2 must have 4 values, not 3/);
    expect(() => matrix(-1, 2, new Float32Array(0))).toThrow(RangeError);
    expect(() => matrix(1.5, 2, new Float32Array(3))).toThrow(RangeError);
  });

  it('reads null as missing', () => {
    expect(
      matrixOf([
        [1, null],
        [3, 4],
      ]),
    ).toEqual({ rows: 2, columns: 2, values: Float32Array.of(1, Number.NaN, 3, 4) });
    expect(matrixOf([])).toEqual({ rows: 0, columns: 0, values: new Float32Array(0) });
    expect(() => matrixOf([[1], [1, 2]])).toThrow(/Row 1 has 2 values/);
  });
});
