import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HashCells } from './hash-cells.ts';

/** Few hashes, some of them neighbours at the end of a segment, so that rows share and pass each other's places. */
const hashes = fc.constantFrom(0, 1, 2, 7, 8, 15, -1, -2, 0x7fff_ffff, 5 << 29, (5 << 29) + 1);

function rowsOf(cells: HashCells, hash: number): Set<number> {
  const rows = new Set<number>();
  for (let row = cells.first(hash); row >= 0; row = cells.next(hash)) rows.add(row);
  return rows;
}

describe('HashCells', () => {
  it('finds the rows of a hash, whatever came and went', () => {
    const step = fc.record({ hash: hashes, isAdded: fc.boolean(), pick: fc.nat() });
    const property = fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const cells = new HashCells();
      const known: { hash: number; row: number }[] = [];
      for (const [row, { hash, isAdded, pick }] of steps.entries()) {
        if (isAdded || known.length === 0) {
          cells.add(hash, row);
          known.push({ hash, row });
          continue;
        }
        const [gone] = known.splice(pick % known.length, 1);
        if (gone === undefined) continue;
        expect(cells.remove(gone.hash, gone.row)).toBe(true);
        expect(cells.remove(gone.hash, gone.row)).toBe(false);
      }
      expect(cells.size).toBe(known.length);
      for (const { hash } of steps)
        expect(rowsOf(cells, hash)).toEqual(
          new Set(known.filter((item) => item.hash === hash).map(({ row }) => row)),
        );
    });
    fc.assert(property, { numRuns: 300, seed: 3 });
  });

  it('gives memory back when most rows have gone', () => {
    const cells = new HashCells();
    const hash = (row: number): number => Math.imul(row, 0x9e3779b1) | 0;
    for (let row = 0; row < 50_000; row += 1) cells.add(hash(row), row);
    const full = cells.bytes;
    for (let row = 0; row < 49_000; row += 1) cells.remove(hash(row), row);
    expect(cells.bytes).toBeLessThan(full / 8);
    for (let row = 49_000; row < 50_000; row += 1) expect(rowsOf(cells, hash(row))).toEqual(new Set([row]));
  });

  it('adds many as it adds one after another, to what is there', () => {
    const property = fc.property(fc.array(hashes, { maxLength: 300 }), fc.nat(), (made, nat) => {
      const cells = new HashCells();
      const alone = nat % (made.length + 1);
      for (const [row, hash] of made.slice(0, alone).entries()) cells.add(hash, row);
      const many = made.slice(alone);
      cells.addAll(Int32Array.from(many.flatMap((hash, index) => [hash, alone + index])));
      expect(cells.size).toBe(made.length);
      for (const hash of made)
        expect(rowsOf(cells, hash)).toEqual(
          new Set([...made.entries()].filter(([, item]) => item === hash).map(([row]) => row)),
        );
    });
    fc.assert(property, { numRuns: 300, seed: 4 });
  });
});
