/** Items of one ranking, and candidates of a re-rank. */
export const RANKING_ITEMS_MAX = 10_000;

/** An item with its score. */
export interface RankedItem {
  /** Index of the item. */
  readonly item: number;
  readonly score: number;
}

/** Some of the items: one byte for each item, 0 if it is not among them; or a question to be asked. */
export type ItemSet = Uint8Array | ((item: number) => boolean);

/** What the business wants of a ranking. */
export interface RankingRules {
  /** Items never ranked: those that the user has, mostly. Indices in any order. */
  readonly seen?: ArrayLike<number>;
  /** Only these are ranked. Default all. */
  readonly allow?: ItemSet;
  /** None of these is ranked, even if allowed. Default none. */
  readonly deny?: ItemSet;
  /**
   * Item to what is added to its score, in the units of the scores, finite. Not a factor: that would push down
   * what has a negative score.
   */
  readonly boosts?: ReadonlyMap<number, number>;
}

/**
 * The `k` items with the highest scores by falling score; of equal scores the item with the smaller index comes
 * first. Fewer than `k`, when the rules leave fewer. Takes memory for `k` items and O(items * log k) time.
 *
 * @param scores one for each item, any numbers but NaN.
 * @param k 1 to {@link RANKING_ITEMS_MAX}
 * @throws RangeError on a score that is NaN, or rules that do not fit the scores.
 */
export function topItems(scores: ArrayLike<number>, k: number, rules: RankingRules = {}): RankedItem[] {
  if (!Number.isSafeInteger(k) || k < 1 || k > RANKING_ITEMS_MAX)
    throw new RangeError(`k must be a whole number from 1 to ${RANKING_ITEMS_MAX}, not ${k}`);
  const allowed = candidateTest(scores.length, rules);
  const heap: RankedItem[] = [];
  for (let item = 0; item < scores.length; item += 1) {
    const plain = scores[item] as number;
    if (Number.isNaN(plain)) throw new RangeError(`The score of item ${item} is NaN`);
    const score = plain + (rules.boosts?.get(item) ?? 0);
    const worst = heap[0];
    // An item of equal score with a larger index never displaces one: no need to look at the rules.
    if (heap.length === k && worst !== undefined && score <= worst.score) continue;
    if (!allowed(item)) continue;
    if (heap.length === k) sink(heap, { item, score });
    else rise(heap, { item, score });
  }
  return heap.sort((a, b) => (comesBefore(a, b) ? -1 : 1));
}

/**
 * @internal Which items a ranking may contain.
 *
 * @throws RangeError when a rule does not fit the number of items.
 */
export function candidateTest(itemCount: number, rules: RankingRules): (item: number) => boolean {
  const { seen = [], allow, deny, boosts } = rules;
  const hidden = new Uint8Array(itemCount);
  for (let position = 0; position < seen.length; position += 1) {
    const item = seen[position] as number;
    checkItem(item, itemCount, 'A seen item');
    hidden[item] = 1;
  }
  for (const [item, amount] of boosts ?? []) {
    checkItem(item, itemCount, 'A boosted item');
    if (!Number.isFinite(amount))
      throw new RangeError(`The boost of item ${item} must be a finite number, not ${amount}`);
  }
  const isAllowed = memberTest(allow, itemCount, 'allowed');
  const isDenied = memberTest(deny, itemCount, 'denied');
  return (item) =>
    hidden[item] === 0 && (isAllowed === undefined || isAllowed(item)) && isDenied?.(item) !== true;
}

/**
 * @internal A set of items as a question, undefined where there is none.
 *
 * @throws RangeError when the set has another number of items.
 */
export function memberTest(
  set: ItemSet | undefined,
  itemCount: number,
  what: string,
): ((item: number) => boolean) | undefined {
  if (set === undefined || typeof set === 'function') return set;
  if (set.length !== itemCount)
    throw new RangeError(`The set of ${what} items must have ${itemCount} bytes, not ${set.length}`);
  return (item) => set[item] !== 0;
}

function checkItem(item: number, itemCount: number, what: string): void {
  if (!Number.isSafeInteger(item) || item < 0 || item >= itemCount)
    throw new RangeError(`${what} must be an index below ${itemCount}, not ${item}`);
}

function comesBefore(a: RankedItem, b: RankedItem): boolean {
  return a.score === b.score ? a.item < b.item : a.score > b.score;
}

/** Adds to a heap whose root comes last of all. */
function rise(heap: RankedItem[], added: RankedItem): void {
  let place = heap.length;
  heap.push(added);
  while (place > 0) {
    const parent = (place - 1) >> 1;
    if (!comesBefore(heap[parent] as RankedItem, added)) break;
    heap[place] = heap[parent] as RankedItem;
    place = parent;
  }
  heap[place] = added;
}

/** Puts an item in the place of the heap's root. */
function sink(heap: RankedItem[], added: RankedItem): void {
  let place = 0;
  for (;;) {
    let child = 2 * place + 1;
    const [left, right] = [heap[child], heap[child + 1]];
    if (left === undefined) break;
    if (right !== undefined && comesBefore(left, right)) child += 1;
    const last = heap[child] as RankedItem;
    if (!comesBefore(added, last)) break;
    heap[place] = last;
    place = child;
  }
  heap[place] = added;
}
