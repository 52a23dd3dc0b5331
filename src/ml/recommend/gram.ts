import { mirrorLower } from '../algebra/symmetric.ts';
import type { Interactions, InteractionsChange } from './interactions.ts';

/** @internal A sparse vector over the items: one row of the interactions. */
export interface ItemVector {
  readonly items: Int32Array;
  readonly weights: Float64Array;
}

/** @internal The rows of users that new interactions changed: what they were, without new users, and are. */
export interface ChangedRows {
  readonly removed: readonly ItemVector[];
  readonly added: readonly ItemVector[];
}

/** @internal The Gram matrix of the items: products of two items' weights, summed over the users. */
export function gramOf(interactions: Interactions): Float64Array {
  const n = interactions.items.size;
  const gram = new Float64Array(n * n);
  for (let user = 0; user < interactions.users.size; user += 1)
    addOuter(gram, n, { vector: rowOf(interactions, user), sign: 1 });
  mirrorLower(gram, n);
  return gram;
}

/** @internal Puts the new rows of changed users in the place of the old ones. */
export function changeGram(gram: Float64Array, n: number, rows: ChangedRows): void {
  for (const vector of rows.added) addOuter(gram, n, { vector, sign: 1 });
  for (const vector of rows.removed) addOuter(gram, n, { vector, sign: -1 });
  mirrorLower(gram, n);
}

/** @internal The users whose rows differ. */
export function changedRows(change: InteractionsChange): ChangedRows {
  const removed: ItemVector[] = [];
  const added: ItemVector[] = [];
  for (const user of change.users) {
    const now = rowOf(change.after, user);
    const then = user < change.before.users.size ? rowOf(change.before, user) : undefined;
    if (then !== undefined && sameVector(then, now)) continue;
    added.push(now);
    if (then !== undefined && then.items.length > 0) removed.push(then);
  }
  return { removed, added };
}

/** @internal A square matrix with more rows and columns, the new ones all zero. */
export function grown(matrix: Float64Array, from: number, to: number): Float64Array {
  if (from === to) return matrix.slice();
  const larger = new Float64Array(to * to);
  for (let row = 0; row < from; row += 1) larger.set(matrix.subarray(row * from, (row + 1) * from), row * to);
  return larger;
}

function rowOf(interactions: Interactions, user: number): ItemVector {
  const { starts, columns, weights } = interactions.byUser;
  const [from, to] = [starts[user], starts[user + 1]];
  return { items: columns.subarray(from, to), weights: weights.subarray(from, to) };
}

function sameVector(first: ItemVector, second: ItemVector): boolean {
  return (
    first.items.length === second.items.length &&
    first.items.every((item, position) => item === second.items[position]) &&
    first.weights.every((weight, position) => weight === second.weights[position])
  );
}

/** Adds, or takes away, a vector's products with itself in the lower triangle. */
function addOuter(
  gram: Float64Array,
  n: number,
  what: { readonly vector: ItemVector; readonly sign: 1 | -1 },
): void {
  const { items, weights } = what.vector;
  for (let a = 0; a < items.length; a += 1) {
    const at = (items[a] as number) * n;
    const weight = what.sign * (weights[a] as number);
    for (let b = 0; b <= a; b += 1) {
      const place = at + (items[b] as number);
      gram[place] = (gram[place] as number) + weight * (weights[b] as number);
    }
  }
}
