import { describe, expect, it } from 'vitest';
import { laterPositions } from './platform.ts';

describe('laterPositions', () => {
  it('includes both', () => {
    expect(laterPositions({ a: [1, 5] }, { a: [2, 4], b: [3] })).toEqual({ a: [2, 5], b: [3] });
  });
});
