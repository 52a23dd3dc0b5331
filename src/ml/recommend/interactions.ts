import type { Id } from './id-table.ts';
import { IdTable } from './id-table.ts';
import type { Entries, MergeRule, SparseRows } from './sparse.ts';
import { rowsOfEntries, sparseOf, transposed } from './sparse.ts';

/** Distinct pairs of user and item, and rows of one batch: 50 million take 2 GB. */
export const INTERACTIONS_MAX = 50_000_000;
/** Smallest weight: products of weights stay far from what is rounded to 0. */
export const INTERACTION_WEIGHT_MIN = 1e-6;
/** Largest weight: sums of squares stay far from where whole numbers are rounded. */
export const INTERACTION_WEIGHT_MAX = 1e6;

/** Implicit feedback: who had to do with what. Rows are users, columns are items. */
export interface Interactions {
  readonly users: IdTable;
  readonly items: IdTable;
  readonly merge: MergeRule;
  /** One row for each user, columns are items. */
  readonly byUser: SparseRows;
  /** The same transposed: one row for each item, columns are users. */
  readonly byItem: SparseRows;
}

/** Interactions as they come, one after the other: (user, item, weight?, time?) in parallel columns. */
export interface InteractionColumns {
  readonly users: ArrayLike<Id>;
  readonly items: ArrayLike<Id>;
  /** From {@link INTERACTION_WEIGHT_MIN} to {@link INTERACTION_WEIGHT_MAX}. Default all 1. */
  readonly weights?: ArrayLike<number>;
  /** Any unit, the same everywhere. Either all interactions have a time or none. */
  readonly times?: ArrayLike<number>;
}

export interface InteractionsOptions {
  /**
   * Several interactions of one user with one item become one, with the latest of their times and
   * - `max`: the largest weight, so that an event delivered twice changes nothing;
   * - `sum`: the sum of the weights in the order they came;
   * - `latest`: the weight at the latest time; of equal times, or without times, the one that came last.
   *
   * Default `max`.
   */
  readonly merge?: MergeRule;
  /** Users that get the first indices, in this order. Others follow in the order of their appearance. */
  readonly users?: ArrayLike<Id>;
  /** As `users`, for items: the catalogue, for instance. Equal scores are ranked by index. */
  readonly items?: ArrayLike<Id>;
}

/** Interactions before and after new ones came, and whom they concern. */
export interface InteractionsChange {
  readonly before: Interactions;
  readonly after: Interactions;
  /** Indices of the users of the new interactions, ascending. */
  readonly users: Int32Array;
  /** Indices of the items of the new interactions, ascending. */
  readonly items: Int32Array;
}

/** The items of one user: what a model scores from. */
export interface UserItems {
  /** Indices of items, ascending, each once. */
  readonly items: ArrayLike<number>;
  /** One for each item, in the range of all weights. Default all 1. */
  readonly weights?: ArrayLike<number>;
}

/**
 * Builds interactions out of columns.
 *
 * @example `interactionsOf({ users: ['ann', 'bob', 'ann'], items: [7, 7, 9] })`
 * @throws RangeError on columns of different lengths, unsound ids, weights or times (naming the row), or more
 *   than {@link INTERACTIONS_MAX} rows.
 */
export function interactionsOf(columns: InteractionColumns, options: InteractionsOptions = {}): Interactions {
  const { merge = 'max', users = [], items = [] } = options;
  checkColumns(columns);
  const tables = {
    users: IdTable.of(users).with(columns.users),
    items: IdTable.of(items).with(columns.items),
  };
  return assembled(entriesOf(columns, tables), { ...tables, merge });
}

/**
 * Adds new interactions; the given ones stay as they are. The result is the same, to the byte, as that of all
 * columns built at once. Indices do not change; new users and items get the next ones.
 *
 * @throws RangeError as {@link interactionsOf}, and when times are given only before or only now.
 */
export function extendInteractions(before: Interactions, columns: InteractionColumns): InteractionsChange {
  checkColumns(columns);
  const held = before.byUser;
  const count = held.columns.length;
  if (count > 0 && columns.users.length > 0 && (held.times === undefined) !== (columns.times === undefined)) {
    const which = held.times === undefined ? 'the new ones only' : 'the ones before only';
    throw new RangeError(`Either all interactions must have a time or none, here ${which} have`);
  }
  const users = before.users.with(columns.users);
  const items = before.items.with(columns.items);
  const came = entriesOf(columns, { users, items });
  const rows = joined(rowsOfEntries(held), came.rows);
  const timed = count > 0 ? held.times !== undefined : columns.times !== undefined;
  const none = new Float64Array(0);
  const entries: Entries = {
    rows,
    columns: joined(held.columns, came.columns),
    weights: joinedNumbers(held.weights, came.weights),
    times: timed ? joinedNumbers(held.times ?? none, came.times ?? none) : undefined,
  };
  return {
    before,
    after: assembled(entries, { users, items, merge: before.merge }),
    users: Int32Array.from(new Set(came.rows)).sort(),
    items: Int32Array.from(new Set(came.columns)).sort(),
  };
}

/**
 * The items of one user.
 *
 * @param user index
 * @throws RangeError when there is no such user.
 */
export function itemsOfUser(interactions: Interactions, user: number): UserItems {
  const { starts, columns, weights } = interactions.byUser;
  if (!Number.isSafeInteger(user) || user < 0 || user >= interactions.users.size)
    throw new RangeError(`There are ${interactions.users.size} users, so none has the index ${user}`);
  const [from, to] = [starts[user], starts[user + 1]];
  return { items: columns.subarray(from, to), weights: weights.subarray(from, to) };
}

/** Items of a user who need not be known, and how many of the given ids are not in the table. */
export interface ReadUserItems extends UserItems {
  readonly unknown: number;
}

/** Ids of items as {@link UserItems}: known ones only, sorted, each once. */
export function userItemsOf(items: IdTable, ids: Iterable<Id>): ReadUserItems {
  const found = new Set<number>();
  const missing = new Set<Id>();
  for (const id of ids) {
    const index = items.indexOf(id);
    if (index === undefined) missing.add(id);
    else found.add(index);
  }
  return { items: Int32Array.from(found).sort(), unknown: missing.size };
}

/**
 * @internal Checks the items of a user.
 *
 * @throws RangeError on an item that does not exist or is not above the one before it, or on an unsound
 *   weight.
 */
export function checkUserItems(given: UserItems, itemCount: number): void {
  const { items, weights } = given;
  if (weights !== undefined && weights.length !== items.length)
    throw new RangeError(`The user has ${items.length} items but ${weights.length} weights`);
  for (let position = 0; position < items.length; position += 1) {
    const item = items[position] as number;
    if (!Number.isSafeInteger(item) || item < 0 || item >= itemCount)
      throw new RangeError(`Item ${position} of the user must be an index below ${itemCount}, not ${item}`);
    if (position > 0 && item <= (items[position - 1] as number))
      throw new RangeError(`The items of a user must ascend, but item ${position} (${item}) does not`);
    if (weights !== undefined) checkWeight(weights[position] as number, position);
  }
}

function assembled(
  entries: Entries,
  parts: { readonly users: IdTable; readonly items: IdTable; readonly merge: MergeRule },
): Interactions {
  const shape = { rows: parts.users.size, columns: parts.items.size };
  const byUser = sparseOf(entries, shape, parts.merge);
  if (byUser.columns.length > INTERACTIONS_MAX)
    throw new RangeError(
      `There are ${byUser.columns.length} interactions, ${INTERACTIONS_MAX} at most are taken`,
    );
  return { ...parts, byUser, byItem: transposed(byUser, shape.columns) };
}

function entriesOf(
  columns: InteractionColumns,
  tables: { readonly users: IdTable; readonly items: IdTable },
): Entries {
  const { length } = columns.users;
  const { weights, times } = columns;
  return {
    rows: Int32Array.from({ length }, (_, row) => tables.users.indexOf(columns.users[row] as Id) as number),
    columns: Int32Array.from(
      { length },
      (_, row) => tables.items.indexOf(columns.items[row] as Id) as number,
    ),
    weights: weights === undefined ? new Float64Array(length).fill(1) : Float64Array.from(weights),
    times: times === undefined ? undefined : Float64Array.from(times),
  };
}

function checkColumns(columns: InteractionColumns): void {
  const { length } = columns.users;
  if (length > INTERACTIONS_MAX)
    throw new RangeError(`${INTERACTIONS_MAX} rows at most are taken at once, not ${length}`);
  for (const name of ['items', 'weights', 'times'] as const) {
    const came = columns[name]?.length;
    if (came !== undefined && came !== length)
      throw new RangeError(`The interactions have ${length} users but ${came} ${name}`);
  }
  const { weights, times } = columns;
  for (let row = 0; row < length; row += 1) {
    if (weights !== undefined) checkWeight(weights[row] as number, row);
    if (times !== undefined && !Number.isFinite(times[row]))
      throw new RangeError(`Time ${row} must be a finite number, not ${times[row]}`);
  }
}

function checkWeight(weight: number, row: number): void {
  if (!(weight >= INTERACTION_WEIGHT_MIN && weight <= INTERACTION_WEIGHT_MAX))
    throw new RangeError(
      `Weight ${row} must be from ${INTERACTION_WEIGHT_MIN} to ${INTERACTION_WEIGHT_MAX}, not ${weight}`,
    );
}

function joined(first: Int32Array, second: Int32Array): Int32Array {
  const both = new Int32Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

function joinedNumbers(first: Float64Array, second: Float64Array): Float64Array {
  const both = new Float64Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
