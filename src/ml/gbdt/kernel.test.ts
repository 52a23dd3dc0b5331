import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BINS, MISSING_BIN, fillHistogram, partitionRows, subtractHistogram } from './kernel.ts';
import { findSplit } from './split.ts';

const COLUMNS = 3;

/** Rows of bins with derivatives that are whole numbers, whose sums are exact in any order. */
const data = fc
  .array(
    fc.record({
      bins: fc.tuple(...Array.from({ length: COLUMNS }, () => fc.constantFrom(0, 1, 2, 5, 254, MISSING_BIN))),
      first: fc.integer({ min: -9, max: 9 }),
      second: fc.integer({ min: 1, max: 4 }),
    }),
    { minLength: 2, maxLength: 40 },
  )
  .map((rows) => ({
    count: rows.length,
    bins: Uint8Array.from(rows.flatMap((row) => row.bins)),
    column: (column: number) => Uint8Array.from(rows, (row) => row.bins[column] ?? 0),
    derivatives: Float64Array.from(rows.flatMap((row) => [row.first, row.second])),
    rows: Int32Array.from(rows.keys()),
  }));

function histogramOf(given: { bins: Uint8Array; derivatives: Float64Array }, rows: Int32Array): Float64Array {
  const histogram = new Float64Array(COLUMNS * BINS * 2).fill(Number.NaN);
  fillHistogram(histogram, given.bins, COLUMNS, given.derivatives, { rows, start: 0, end: rows.length });
  return histogram;
}

describe('fillHistogram', () => {
  it('sums the derivatives by bin', () => {
    fc.assert(
      fc.property(data, (given) => {
        const expected = new Float64Array(COLUMNS * BINS * 2);
        for (let row = 0; row < given.count; row += 1) {
          for (let column = 0; column < COLUMNS; column += 1) {
            const at = (column * BINS + (given.bins[row * COLUMNS + column] ?? 0)) * 2;
            expected[at] = (expected[at] ?? 0) + (given.derivatives[row * 2] ?? 0);
            expected[at + 1] = (expected[at + 1] ?? 0) + (given.derivatives[row * 2 + 1] ?? 0);
          }
        }
        expect(histogramOf(given, given.rows)).toEqual(expected);
      }),
    );
  });
});

describe('partitionRows and subtractHistogram', () => {
  it('moves rows stably, and the parent minus one child is the other', () => {
    fc.assert(
      fc.property(data, fc.constantFrom(0, 1, 3, 253), fc.boolean(), (given, bin, missingLeft) => {
        const column = given.column(0);
        const goesLeft = (row: number): boolean => {
          const own = column[row] ?? 0;
          return own === MISSING_BIN ? missingLeft : own <= bin;
        };
        const rows = given.rows.slice();
        const range = { rows, start: 1, end: rows.length };
        const border = partitionRows(column, range, bin, missingLeft, new Int32Array(rows.length));
        const inside = [...given.rows.subarray(1)];
        const expected = [...inside.filter(goesLeft), ...inside.filter((row) => !goesLeft(row))];
        expect([...rows]).toEqual([0, ...expected]);
        expect(border).toBe(1 + inside.filter(goesLeft).length);
        const parent = histogramOf(given, rows.subarray(1));
        subtractHistogram(parent, histogramOf(given, rows.subarray(1, border)), parent.length);
        expect(parent.map((sum) => sum + 0)).toEqual(histogramOf(given, rows.subarray(border)));
      }),
    );
  });
});

describe('findSplit', () => {
  it('finds the largest gain of all splits', () => {
    fc.assert(
      fc.property(
        data,
        fc.integer({ min: 0, max: 4 }),
        fc.integer({ min: 1, max: 6 }),
        (given, lambda, minHessian) => {
          const sums = (rows: readonly number[]): { gradient: number; hessian: number } => ({
            gradient: rows.reduce((sum, row) => sum + (given.derivatives[row * 2] ?? 0), 0),
            hessian: rows.reduce((sum, row) => sum + (given.derivatives[row * 2 + 1] ?? 0), 0),
          });
          const score = ({ gradient, hessian }: { gradient: number; hessian: number }): number =>
            gradient ** 2 / (hessian + lambda);
          const all = [...given.rows];
          let best = 0.5;
          for (let column = 0; column < COLUMNS; column += 1) {
            const bins = given.column(column);
            for (let bin = 0; bin < MISSING_BIN; bin += 1) {
              for (const missingLeft of [false, true]) {
                const goesLeft = (row: number): boolean =>
                  bins[row] === MISSING_BIN ? missingLeft : (bins[row] ?? 0) <= bin;
                const left = sums(all.filter(goesLeft));
                const right = sums(all.filter((row) => !goesLeft(row)));
                if (left.hessian < minHessian || right.hessian < minHessian) continue;
                best = Math.max(best, score(left) + score(right) - score(sums(all)));
              }
            }
          }
          const cutCounts = Int32Array.from({ length: COLUMNS }, () => 254);
          const limits = { lambda, minHessian, minGain: 0.5 };
          const found = findSplit(
            { histogram: histogramOf(given, given.rows), cutCounts },
            sums(all),
            limits,
          );
          expect(found?.gain ?? 0.5).toBeCloseTo(best, 9);
        },
      ),
      { numRuns: 40 },
    );
  });
});
