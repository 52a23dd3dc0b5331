import { describe, expect, it } from 'vitest';
import { positionSets, positionsOfRow, positionsOfRows } from './row-positions.ts';
import type { VectorRead } from './routes/features.ts';

const sets = [{ a: [1] }, { a: [2] }, { a: [3] }] as const;

function read(groups?: number[]): VectorRead {
  const [positions, ...others] = sets.map((set) => ({ a: [...set.a] }));
  const row = { asOf: 1, values: [], ...(groups === undefined ? {} : { groups }) };
  return { vector: 'v', hash: 'h', names: [], positions: positions ?? {}, others, rows: [row] };
}

describe('positionsOfRow', () => {
  it.each([
    ['one owner of all', undefined, { positions: { a: [1] } }],
    ['one owner that is not the first', [2, 2], { positions: { a: [3] } }],
    ['two of three owners', [2, 0, 2], { positions: { a: [1] }, others: [{ a: [3] }], groups: [1, 0, 1] }],
    ['all owners', [1, 2, 0], { positions: { a: [1] }, others: [{ a: [2] }, { a: [3] }], groups: [1, 2, 0] }],
  ])('keeps what a row needs: %s', (_, groups, kept) => {
    const whole = read(groups);
    const row = whole.rows[0] ?? { asOf: 0, values: [] };
    expect(positionsOfRow(whole, row)).toEqual(kept);
    const { sets: own, setOf } = positionSets(positionsOfRow(whole, row));
    for (const [group, set] of (groups ?? [0]).entries()) expect(own[setOf(group)]).toEqual(sets[set]);
  });
});

describe('positionsOfRows', () => {
  const rows = (...groups: (number[] | undefined)[]): { groups?: number[] }[] =>
    groups.map((of) => (of === undefined ? {} : { groups: of }));

  it.each([
    ['one owner of all', rows(undefined, undefined), { positions: { a: [1] } }],
    ['one owner that is not the first', rows([2, 2], [2, 2]), { positions: { a: [3] } }],
    [
      'two of three owners',
      rows([2, 0], undefined),
      {
        positions: { a: [1] },
        others: [{ a: [3] }],
        groups: [
          [1, 0],
          [0, 0],
        ],
      },
    ],
  ])('keeps what rows of one read need: %s', (_, given, kept) => {
    expect(positionsOfRows(read([0, 0]), given, 2)).toEqual(kept);
  });
});
