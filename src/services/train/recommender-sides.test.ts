import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createInteractions, readInteractions, SIDE } from './recommender-file.ts';
import { markSides } from './recommender-sides.ts';

type Pair = readonly [user: number, item: number];

/** Rows in the order of their time, marked. */
function marked(pairs: readonly Pair[], split: { readonly fraction: number; readonly core: number }) {
  const users = Math.max(0, ...pairs.map(([user]) => user)) + 1;
  const items = Math.max(0, ...pairs.map(([, item]) => item)) + 1;
  const { file, bytes } = createInteractions({
    items: Array.from({ length: items }, (_, item) => `item ${String(item)}`),
    users,
    rows: pairs.length,
  });
  pairs.forEach(([user, item], row) => {
    file.times[row] = row;
    file.userOf[row] = user;
    file.itemOf[row] = item;
    file.weights[row] = 1;
  });
  markSides(file, { kind: 'user', ...split });
  return { file, bytes };
}

const sidesOf = (pairs: readonly Pair[], fraction = 0.2, core = 1): string =>
  Array.from(marked(pairs, { fraction, core }).file.sides, (side) => 'NEL'[side]).join('');

describe('what is to be predicted', () => {
  it('are the last items of each user, rounded up, in the order in which they were first met', () => {
    expect(
      sidesOf([
        [0, 1],
        [1, 1],
        [0, 2],
        [0, 3],
        [1, 2],
      ]),
    ).toBe('EEELL');
    expect(
      sidesOf(
        [
          [0, 1],
          [0, 2],
          [0, 3],
          [0, 4],
        ],
        0.5,
      ),
    ).toBe('EELL');
    // Five items are one and not two, thirty-five are seven and not eight.
    for (const count of [5, 10, 15, 35]) {
      const sides = sidesOf(Array.from({ length: count }, (_, item): Pair => [0, item]));
      expect(sides).toBe('E'.repeat((count * 4) / 5) + 'L'.repeat(count / 5));
    }
  });

  it('is nothing of users with one item, who are learnt from', () => {
    expect(
      sidesOf([
        [0, 1],
        [0, 1],
        [1, 1],
        [1, 2],
      ]),
    ).toBe('EEEL');
  });

  it('leaves out repeated interactions from then on', () => {
    // The third item of user 0 is met first at row 2: what comes behind tells more than was known then.
    expect(
      sidesOf([
        [0, 1],
        [0, 2],
        [0, 3],
        [0, 1],
        [0, 3],
      ]),
    ).toBe('EELNN');
  });

  it('is of users and items with enough of each other', () => {
    const pairs: Pair[] = [
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
      [2, 0],
      [2, 2],
      [0, 3],
    ];
    // Items 2 and 3 have one user; without them user 2 has one item.
    expect(sidesOf(pairs, 0.2, 2)).toBe('ELELNNN');
    expect(sidesOf(pairs, 0.2, 3)).toBe('NNNNNNN');
  });

  it('comes after what it is predicted from, and is new to the user', () => {
    const rows = fc.array(fc.tuple(fc.nat({ max: 6 }), fc.nat({ max: 9 })), { minLength: 1, maxLength: 80 });
    const fractions = fc.double({ min: 0.05, max: 0.95, noNaN: true });
    fc.assert(
      fc.property(rows, fractions, fc.integer({ min: 1, max: 3 }), (pairs, fraction, core) => {
        const { file } = marked(pairs, { fraction, core });
        for (let user = 0; user < file.users; user += 1) {
          const own = pairs.flatMap(([who, item], row) =>
            who === user ? [{ item, row, side: file.sides[row] }] : [],
          );
          const later = own.filter(({ side }) => side === SIDE.later);
          const earlier = own.filter(({ side }) => side === SIDE.earlier);
          const known = new Set(earlier.map(({ item }) => item));
          expect(new Set(later.map(({ item }) => item)).size).toBe(later.length);
          expect(later.some(({ item }) => known.has(item))).toBe(false);
          expect(Math.max(-1, ...earlier.map(({ row }) => row))).toBeLessThan(
            Math.min(Number.POSITIVE_INFINITY, ...later.map(({ row }) => row)),
          );
          if (later.length > 0) expect(known.size).toBeGreaterThan(0);
          const all = known.size + later.length;
          if (all > 1) expect(later.length).toBe(Math.min(all - 1, Math.ceil(fraction * all - 1e-9)));
          if (all > 0) expect(all).toBeGreaterThanOrEqual(core);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('the file of interactions', () => {
  it('comes back as it was, aligned or not', () => {
    const { file, bytes } = marked(
      [
        [0, 1],
        [1, 1],
        [0, 2],
      ],
      { fraction: 0.2, core: 1 },
    );
    expect(readInteractions(bytes)).toEqual(file);
    const moved = new Uint8Array(bytes.length + 3);
    moved.set(bytes, 3);
    expect(readInteractions(moved.subarray(3))).toEqual(file);
  });

  it('is refused when it is another or cut', () => {
    const { bytes } = marked(
      [
        [0, 1],
        [1, 1],
      ],
      { fraction: 0.2, core: 1 },
    );
    for (const wrong of [
      bytes.subarray(1),
      bytes.subarray(0, 12),
      bytes.subarray(0, 30),
      bytes.subarray(0, -8),
    ]) {
      expect(() => readInteractions(wrong)).toThrow(/The artefact is/);
    }
    const newer = bytes.slice();
    newer[8] = 2;
    expect(() => readInteractions(newer)).toThrow('of version 2, not 1');
  });
});
