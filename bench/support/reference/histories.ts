import type { Interactions } from '../../../src/ml/index.ts';
import { interactionsOf } from '../../../src/ml/index.ts';
import { linesOf } from './data-folder.ts';

export const TRAIN_FILE = 'movielens-small-2016/train.tsv';
export const TEST_FILE = 'movielens-small-2016/test.tsv';

/** The items of one user in the order of their time; equal times in the order of the items' numbers. */
export interface History {
  readonly user: number;
  /** Indices into the catalogue. */
  readonly items: Int32Array;
  /** Seconds. */
  readonly times: Float64Array;
}

/** What is known, and what each user took next. */
export interface Occasion {
  readonly known: readonly History[];
  /** Numbers of the films that each user took next, also those that are not in the catalogue. */
  readonly wanted: readonly (readonly number[])[];
}

export interface MovieLens {
  /** Numbers of the films in the training set, ascending. */
  readonly catalogue: readonly number[];
  /** The published split: everything of the training set, and the test set. */
  readonly final: Occasion;
}

export function readMovieLens(): MovieLens {
  const rows = rowsOf(TRAIN_FILE);
  const catalogue = [...new Set(rows.map(([, item = 0]) => item))].sort((a, b) => a - b);
  const indexOf = new Map(catalogue.map((item, index) => [item, index]));
  const byUser = grouped(rows);
  const wanted = grouped(rowsOf(TEST_FILE));
  const users = [...byUser.keys()].sort((a, b) => a - b);
  return {
    catalogue,
    final: {
      known: users.map((user) => {
        const own = (byUser.get(user) ?? []).toSorted(
          ([, item = 0, time = 0], [, otherItem = 0, otherTime = 0]) => time - otherTime || item - otherItem,
        );
        return {
          user,
          items: Int32Array.from(own, ([, item = 0]) => indexOf.get(item) ?? -1),
          times: Float64Array.from(own, ([, , time = 0]) => time),
        };
      }),
      wanted: users.map((user) => (wanted.get(user) ?? []).map(([, item = 0]) => item)),
    },
  };
}

/** An earlier occasion: of what was known then, the last fifth of each user is what comes next. */
export function earlier(occasion: Occasion, catalogue: readonly number[]): Occasion {
  const cut = occasion.known.map(({ items }) => items.length - Math.ceil(items.length / 5));
  return {
    known: occasion.known.map(({ user, items, times }, index) => ({
      user,
      items: items.slice(0, cut[index]),
      times: times.slice(0, cut[index]),
    })),
    wanted: occasion.known.map(({ items }, index) =>
      Array.from(items.subarray(cut[index]), (item) => catalogue[item] as number),
    ),
  };
}

/** Interactions whose indices of users and items are those of the histories and the catalogue. */
export function interactionsOfHistories(
  known: readonly History[],
  catalogue: readonly number[],
): Interactions {
  return interactionsOf(
    {
      users: known.flatMap(({ user, items }) => Array.from(items, () => user)),
      items: known.flatMap(({ items }) => Array.from(items, (item) => catalogue[item] as number)),
      times: known.flatMap(({ times }) => Array.from(times)),
    },
    { users: known.map(({ user }) => user), items: catalogue },
  );
}

function rowsOf(name: string): number[][] {
  return linesOf(name).map((line) => line.split('\t').map(Number));
}

function grouped(rows: readonly number[][]): Map<number, number[][]> {
  const byUser = new Map<number, number[][]>();
  for (const row of rows) {
    const [user = 0] = row;
    const own = byUser.get(user);
    if (own === undefined) byUser.set(user, [row]);
    else own.push(row);
  }
  return byUser;
}
