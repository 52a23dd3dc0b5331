import type { Interactions, InteractionsChange, UserItems } from './interactions.ts';

/** Neighbours kept of an item. */
export const NEIGHBOURS_MAX = 1000;
/** Places for neighbours over all items: 100 million take 1.2 GB. */
export const NEIGHBOUR_PLACES_MAX = 100_000_000;

/** Item-based nearest neighbours (Sarwar and others, "Item-based collaborative filtering", 2001). */
export interface ItemKnnModel {
  readonly kind: 'item-knn';
  readonly itemCount: number;
  readonly k: number;
  readonly shrinkage: number;
  /** `k` places for each item: its neighbours by falling similarity, -1 where there are no more. */
  readonly neighbours: Int32Array;
  /** The similarity of each neighbour, 0 where there is none. */
  readonly similarities: Float64Array;
}

export interface ItemKnnOptions {
  /** Neighbours kept of each item, 1 to {@link NEIGHBOURS_MAX}. Default 20. */
  readonly k?: number;
  /**
   * Added to the denominator of the cosine, at least 0: similarities that few users support become smaller.
   * Default 0.
   */
  readonly shrinkage?: number;
}

/**
 * Finds for each item the `k` others with the largest cosine between their columns of weights: the products of
 * two items' weights summed over their users, divided by (the product of both lengths + shrinkage). Of equal
 * similarities the item with the smaller index is the nearer one. Items without a common user are no
 * neighbours. No matrix of all pairs is made: memory grows with items times `k`.
 *
 * @throws RangeError on options out of range.
 */
export function fitItemKnn(interactions: Interactions, options: ItemKnnOptions = {}): ItemKnnModel {
  const { k = 20, shrinkage = 0 } = options;
  const itemCount = interactions.items.size;
  if (!Number.isSafeInteger(k) || k < 1 || k > NEIGHBOURS_MAX)
    throw new RangeError(`k must be a whole number from 1 to ${NEIGHBOURS_MAX}, not ${k}`);
  if (!(shrinkage >= 0 && shrinkage < Number.POSITIVE_INFINITY))
    throw new RangeError(`The shrinkage must be a finite number of at least 0, not ${shrinkage}`);
  const model = emptyModel({ itemCount, k, shrinkage });
  const items = Int32Array.from({ length: itemCount }, (_, item) => item);
  fillNeighbours(model, interactions, items);
  return model;
}

/**
 * The model after new interactions: the same bytes as a fit on all of them. Neighbours are sought again for
 * the items of the new ones, whose lengths and common users changed, and for all items that share a user with
 * them.
 */
export function updateItemKnn(model: ItemKnnModel, change: InteractionsChange): ItemKnnModel {
  const { after } = change;
  const updated = emptyModel({ ...model, itemCount: after.items.size });
  updated.neighbours.set(model.neighbours);
  updated.similarities.set(model.similarities);
  const concerned = new Set<number>(change.items);
  for (const item of change.items) {
    const { starts, columns } = after.byItem;
    for (const user of columns.subarray(starts[item], starts[item + 1])) {
      const rows = after.byUser;
      for (const other of rows.columns.subarray(rows.starts[user], rows.starts[user + 1]))
        concerned.add(other);
    }
  }
  fillNeighbours(updated, after, Int32Array.from(concerned).sort());
  return updated;
}

/** @internal The score of an item: the similarities of those of its neighbours that the user has, summed. */
export function scoreItemKnn(model: ItemKnnModel, given: UserItems): Float64Array {
  const { itemCount, k, neighbours, similarities } = model;
  const held = new Float64Array(itemCount);
  for (let position = 0; position < given.items.length; position += 1)
    held[given.items[position] as number] = given.weights?.[position] ?? 1;
  const scores = new Float64Array(itemCount);
  for (let item = 0; item < itemCount; item += 1) {
    let score = 0;
    for (let place = item * k; place < (item + 1) * k; place += 1) {
      const neighbour = neighbours[place] as number;
      if (neighbour < 0) break;
      score += (held[neighbour] as number) * (similarities[place] as number);
    }
    scores[item] = score;
  }
  return scores;
}

function emptyModel(parts: Pick<ItemKnnModel, 'itemCount' | 'k' | 'shrinkage'>): ItemKnnModel {
  const { itemCount, k, shrinkage } = parts;
  const places = itemCount * k;
  if (places > NEIGHBOUR_PLACES_MAX)
    throw new RangeError(
      `${itemCount} items with ${k} neighbours are ${places} places, ${NEIGHBOUR_PLACES_MAX} at most are kept`,
    );
  const neighbours = new Int32Array(places).fill(-1);
  return { kind: 'item-knn', itemCount, k, shrinkage, neighbours, similarities: new Float64Array(places) };
}

function fillNeighbours(model: ItemKnnModel, interactions: Interactions, items: Int32Array): void {
  const { itemCount, k, shrinkage, neighbours, similarities } = model;
  const lengths = lengthsOf(interactions);
  const products = new Float64Array(itemCount);
  for (const item of items) {
    const others = coOccurrences(interactions, item, products);
    for (const other of others) {
      const length = (lengths[item] as number) * (lengths[other] as number);
      products[other] = (products[other] as number) / (length + shrinkage);
    }
    others.sort((a, b) => (products[b] as number) - (products[a] as number) || a - b);
    const start = item * k;
    neighbours.fill(-1, start, start + k);
    similarities.fill(0, start, start + k);
    others.slice(0, k).forEach((other, place) => {
      neighbours[start + place] = other;
      similarities[start + place] = products[other] as number;
    });
    for (const other of others) products[other] = 0;
  }
}

/**
 * The items that share a user with this one; `products`, all zero before, gets the products of weights summed
 * over common users, in the order of the users.
 */
function coOccurrences(interactions: Interactions, item: number, products: Float64Array): number[] {
  const { byItem, byUser } = interactions;
  const others: number[] = [];
  const end = byItem.starts[item + 1] as number;
  for (let entry = byItem.starts[item] as number; entry < end; entry += 1) {
    const user = byItem.columns[entry] as number;
    const weight = byItem.weights[entry] as number;
    const last = byUser.starts[user + 1] as number;
    for (let place = byUser.starts[user] as number; place < last; place += 1) {
      const other = byUser.columns[place] as number;
      if (other === item) continue;
      // Products of weights are above 0, so a sum of 0 means that the item was not met before.
      if (products[other] === 0) others.push(other);
      products[other] = (products[other] as number) + weight * (byUser.weights[place] as number);
    }
  }
  return others;
}

/** The Euclidean length of each item's column. */
function lengthsOf(interactions: Interactions): Float64Array {
  const { starts, weights } = interactions.byItem;
  return Float64Array.from({ length: interactions.items.size }, (_, item) => {
    let squares = 0;
    for (let entry = starts[item] as number; entry < (starts[item + 1] as number); entry += 1)
      squares += (weights[entry] as number) ** 2;
    return Math.sqrt(squares);
  });
}

/**
 * A similarity of items for a re-rank by diversity: the cosine of their columns, 0 where one has no users.
 */
export function itemCosine(interactions: Interactions): (a: number, b: number) => number {
  const lengths = lengthsOf(interactions);
  const { starts, columns, weights } = interactions.byItem;
  return (a, b) => {
    let [first, second] = [starts[a] as number, starts[b] as number];
    const [firstEnd, secondEnd] = [starts[a + 1] as number, starts[b + 1] as number];
    let sum = 0;
    while (first < firstEnd && second < secondEnd) {
      const difference = (columns[first] as number) - (columns[second] as number);
      if (difference === 0) sum += (weights[first] as number) * (weights[second] as number);
      if (difference <= 0) first += 1;
      if (difference >= 0) second += 1;
    }
    return sum === 0 ? 0 : sum / ((lengths[a] as number) * (lengths[b] as number));
  };
}
