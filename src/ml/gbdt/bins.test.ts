import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matrix } from '../matrix.ts';
import { SeededRandom } from '../random.ts';
import { CUTS_MAX, binMatrix, cutsOf } from './bins.ts';
import { MISSING_BIN } from './kernel.ts';

function column(values: readonly number[]): ReturnType<typeof matrix> {
  return matrix(values.length, 1, Float32Array.from(values));
}

describe('cutsOf', () => {
  it('cuts every gap between few values, halfway', () => {
    expect([...cutsOf(column([3, 1, 1, Number.NaN, 2, 2]), 0)]).toEqual([1.5, 2.5]);
    expect([...cutsOf(column([5, 5, 5]), 0)]).toEqual([]);
    expect([...cutsOf(column([Number.NaN]), 0)]).toEqual([]);
    expect([...cutsOf(column(Array.from({ length: 255 }, (_, value) => value)), 0)]).toHaveLength(254);
  });

  it('separates infinities and neighbouring numbers', () => {
    const next = 1 + 2 ** -23;
    const cuts = cutsOf(column([Number.NEGATIVE_INFINITY, 1, next, Number.POSITIVE_INFINITY]), 0);
    expect([...cuts]).toEqual([Number.NEGATIVE_INFINITY, 1, next]);
  });

  it('spaces cuts evenly by rank and refines both tails', () => {
    const random = new SeededRandom(1);
    const values = random.shuffle(Array.from({ length: 40_000 }, (_, rank) => rank));
    const cuts = cutsOf(column(values), 0);
    expect(cuts.length).toBeLessThanOrEqual(CUTS_MAX);
    expect(cuts.length).toBeGreaterThan(CUTS_MAX - 10);
    expect([...cuts.subarray(0, 5)]).toEqual([0.5, 1.5, 2.5, 3.5, 5.5]);
    expect([...cuts.subarray(-3)]).toEqual([39_996.5, 39_997.5, 39_998.5]);
    const widest = cuts.reduce((most, cut, index) => Math.max(most, cut - (cuts[index - 1] ?? 0)), 0);
    expect(widest).toBeLessThan(40_000 / 200);
  });
});

describe('binMatrix', () => {
  it('puts a value between the two cuts around it', () => {
    fc.assert(
      fc.property(fc.array(fc.float(), { minLength: 1, maxLength: 600 }), (values) => {
        const binned = binMatrix(column(values));
        const cuts = binned.cuts[0];
        if (cuts === undefined) {
          const different = new Set(values.map((value) => value + 0));
          expect(different.size).toBe(1);
          return;
        }
        values.forEach((value, row) => {
          const bin = binned.byColumn[0]?.[row] ?? -1;
          expect(binned.byRow[row]).toBe(bin);
          if (Number.isNaN(value)) {
            expect(bin).toBe(MISSING_BIN);
          } else {
            expect(bin === 0 || (cuts[bin - 1] ?? Number.NaN) < value).toBe(true);
            expect(bin === cuts.length || value <= (cuts[bin] ?? Number.NaN)).toBe(true);
          }
        });
      }),
    );
  });

  it('leaves out columns that cannot split and keeps the others in both orders', () => {
    const binned = binMatrix(
      matrix(2, 4, Float32Array.of(7, 1, Number.NaN, Number.NaN, 7, 2, Number.NaN, 3)),
    );
    expect([...binned.features]).toEqual([1, 3]);
    expect([...binned.byRow]).toEqual([0, MISSING_BIN, 1, 0]);
    expect(binned.byColumn.map((bins) => [...bins])).toEqual([
      [0, 1],
      [MISSING_BIN, 0],
    ]);
  });
});
