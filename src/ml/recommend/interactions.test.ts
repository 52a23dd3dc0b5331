import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IdTable } from './id-table.ts';
import type { InteractionColumns, Interactions } from './interactions.ts';
import { extendInteractions, interactionsOf, itemsOfUser, userItemsOf } from './interactions.ts';

interface Row {
  readonly user: string;
  readonly item: number;
  readonly weight: number;
  readonly time: number;
}

/** Rows of few users and items, so that repetitions are frequent. */
const triples = fc.array(
  fc.record({
    user: fc.constantFrom('a', 'b', 'c', 'd'),
    item: fc.integer({ min: 0, max: 5 }),
    weight: fc.double({ min: 0.001, max: 10, noNaN: true }),
    time: fc.integer({ min: 0, max: 5 }),
  }),
  { maxLength: 40 },
);

function columnsOf(rows: readonly Row[]): InteractionColumns {
  return {
    users: rows.map(({ user }) => user),
    items: rows.map(({ item }) => item),
    weights: rows.map(({ weight }) => weight),
    times: rows.map(({ time }) => time),
  };
}

/** The interactions as a list, by user and item. */
function listed(interactions: Interactions): unknown[] {
  const { byUser, users, items } = interactions;
  return users.ids.flatMap((user, row) =>
    Array.from({ length: (byUser.starts[row + 1] ?? 0) - (byUser.starts[row] ?? 0) }, (_, offset) => {
      const entry = (byUser.starts[row] ?? 0) + offset;
      return [user, items.ids[byUser.columns[entry] ?? -1], byUser.weights[entry], byUser.times?.[entry]];
    }),
  );
}

describe('interactionsOf', () => {
  it('gives ids dense indices by appearance, known ones first', () => {
    const columns: InteractionColumns = { users: ['bob', 'ann', 'bob'], items: [9, '9', 7] };
    const interactions = interactionsOf(columns, { items: [7, 8] });
    expect(interactions.users.ids).toEqual(['bob', 'ann']);
    expect(interactions.items.ids).toEqual([7, 8, 9, '9']);
    expect(interactions.items.indexOf('9')).toBe(3);
    expect(interactions.items.indexOf('7')).toBe(undefined);
    expect(listed(interactions)).toEqual([
      ['bob', 7, 1, undefined],
      ['bob', 9, 1, undefined],
      ['ann', '9', 1, undefined],
    ]);
    expect([...interactions.byItem.starts]).toEqual([0, 1, 1, 2, 3]);
    expect([...interactions.byItem.columns]).toEqual([0, 0, 1]);
    expect(itemsOfUser(interactions, 0)).toEqual({
      items: Int32Array.of(0, 2),
      weights: Float64Array.of(1, 1),
    });
    expect(userItemsOf(interactions.items, [9, 7, 'x', 9, 'x'])).toEqual({
      items: Int32Array.of(0, 2),
      unknown: 1,
    });
  });

  it('merges by the rule, and keeps the latest time', () => {
    const columns = { users: ['a', 'a', 'a'], items: ['x', 'x', 'x'], weights: [2, 3, 1], times: [5, 9, 7] };
    const merged = (merge: 'max' | 'sum' | 'latest'): unknown => listed(interactionsOf(columns, { merge }));
    expect(merged('max')).toEqual([['a', 'x', 3, 9]]);
    expect(merged('sum')).toEqual([['a', 'x', 6, 9]]);
    expect(merged('latest')).toEqual([['a', 'x', 3, 9]]);
    const untimed = { users: ['a', 'a'], items: ['x', 'x'], weights: [2, 1] };
    expect(listed(interactionsOf(untimed, { merge: 'latest' }))).toEqual([['a', 'x', 1, undefined]]);
    expect(listed(interactionsOf(untimed))).toEqual([['a', 'x', 2, undefined]]);
  });

  it('is the same bytes whether the rows come at once or in parts', () => {
    fc.assert(
      fc.property(
        triples,
        fc.constantFrom('max', 'sum', 'latest'),
        fc.nat({ max: 40 }),
        (rows, merge, cut) => {
          let grown = interactionsOf(columnsOf([]), { merge });
          for (const slice of [rows.slice(0, cut), rows.slice(cut, cut + 3), rows.slice(cut + 3)]) {
            const change = extendInteractions(grown, columnsOf(slice));
            expect(change.before).toBe(grown);
            const idsOf = (indices: Int32Array, side: 'users' | 'items'): unknown =>
              new Set([...indices].map((index) => change.after[side].ids[index]));
            expect(idsOf(change.users, 'users')).toEqual(new Set(slice.map((row) => row.user)));
            expect(idsOf(change.items, 'items')).toEqual(new Set(slice.map((row) => row.item)));
            grown = change.after;
          }
          const whole = interactionsOf(columnsOf(rows), { merge });
          if (rows.length === 0) return;
          expect(grown.byUser).toEqual(whole.byUser);
          expect(grown.byItem).toEqual(whole.byItem);
          expect(grown.users.ids).toEqual(whole.users.ids);
          expect(grown.items.ids).toEqual(whole.items.ids);
        },
      ),
    );
  });

  it('refuses unsound rows by name', () => {
    const built = (columns: InteractionColumns) => () => interactionsOf(columns);
    expect(built({ users: ['a'], items: [] })).toThrow(/1 users but 0 items/);
    expect(built({ users: ['a'], items: [1], weights: [] })).toThrow(/1 users but 0 weights/);
    expect(built({ users: ['a', 'b'], items: [1, 1], weights: [1, 0] })).toThrow(/Weight 1 must be from/);
    expect(built({ users: ['a'], items: [1], weights: [Number.NaN] })).toThrow(/Weight 0/);
    expect(built({ users: ['a'], items: [1], times: [Number.NaN] })).toThrow(/Time 0 must be a finite/);
    expect(built({ users: [''], items: [1] })).toThrow(/Id 0 .* not a string of 0/);
    expect(built({ users: ['a'], items: [1.5] })).toThrow(/Id 0 must be a safe integer .* not 1.5/);
    const timed = interactionsOf({ users: ['a'], items: [1], times: [1] });
    expect(() => extendInteractions(timed, { users: ['a'], items: [2] })).toThrow(/the ones before only/);
    expect(() => itemsOfUser(timed, 1)).toThrow(/There are 1 users/);
    const table = IdTable.of(['a', 'b', 'a']);
    expect([table.size, table.with(['b']) === table, table.with(['c']).ids]).toEqual([
      2,
      true,
      ['a', 'b', 'c'],
    ]);
  });
});
