import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sortByMargin } from './sort-by-margin.ts';

describe('sortByMargin', () => {
  it('has the largest margin first and equal ones by row, from any order, and again', () => {
    const margin = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.double({ noNaN: true }));
    fc.assert(
      fc.property(fc.array(margin, { maxLength: 200 }), fc.infiniteStream(fc.nat()), (drawn, shuffle) => {
        const margins = Float64Array.from(drawn);
        const count = drawn.length;
        const rows = Int32Array.from(drawn.keys());
        for (let at = count - 1; at > 0; at -= 1) {
          const other = (shuffle.next().value ?? 0) % (at + 1);
          [rows[at], rows[other]] = [rows[other] ?? 0, rows[at] ?? 0];
        }
        const keys = new Float64Array(count);
        const room = { rows: new Int32Array(count), keys: new Float64Array(count) };
        const expected = [...drawn.keys()].sort((a, b) =>
          margins[a] === margins[b] ? a - b : (margins[b] ?? 0) > (margins[a] ?? 0) ? 1 : -1,
        );
        sortByMargin(rows, keys, { margins, room });
        expect([...rows]).toEqual(expected);
        expect([...keys]).toEqual(expected.map((row) => margins[row]));
        sortByMargin(rows, keys, { margins, room });
        expect([...rows]).toEqual(expected);
      }),
    );
  });

  it('ends where a margin is no number', () => {
    const margins = Float64Array.from({ length: 100 }, (_, row) => (row % 3 === 0 ? Number.NaN : row));
    const rows = Int32Array.from(margins.keys());
    sortByMargin(rows, new Float64Array(100), {
      margins,
      room: { rows: new Int32Array(100), keys: new Float64Array(100) },
    });
    expect(new Set(rows).size).toBe(100);
  });
});
