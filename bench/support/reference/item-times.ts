import type { History } from './histories.ts';

/** When each item was taken, by all users. */
export class ItemTimes {
  /** Of each item, ascending. */
  readonly #times: readonly Float64Array[];
  readonly #all: Float64Array;

  constructor(known: readonly History[], itemCount: number) {
    const times = Array.from({ length: itemCount }, (): number[] => []);
    for (const history of known) {
      history.items.forEach((item, position) => times[item]?.push(history.times[position] as number));
    }
    this.#times = times.map((of) => Float64Array.from(of).sort());
    this.#all = Float64Array.from(times.flat()).sort();
  }

  count(item: number): number {
    return this.#of(item).length;
  }

  /** The item's share of all that was taken in (from, to], in thousandths. */
  share(item: number, from: number, to: number): number {
    const all = upTo(this.#all, to) - upTo(this.#all, from);
    const own = upTo(this.#of(item), to) - upTo(this.#of(item), from);
    return (1000 * own) / Math.max(1, all);
  }

  /** When it was first taken; NaN for an item that never was. */
  first(item: number): number {
    return this.#of(item)[0] ?? Number.NaN;
  }

  median(item: number): number {
    const times = this.#of(item);
    return times[times.length >> 1] ?? Number.NaN;
  }

  /** When it was last taken up to a time; NaN when it was not. */
  latestBefore(item: number, time: number): number {
    const times = this.#of(item);
    return times[upTo(times, time) - 1] ?? Number.NaN;
  }

  /** Share of the item's users that took it up to a time. */
  shareBefore(item: number, time: number): number {
    const times = this.#of(item);
    return times.length === 0 ? Number.NaN : upTo(times, time) / times.length;
  }

  #of(item: number): Float64Array {
    return this.#times[item] as Float64Array;
  }
}

/** How many of the ascending times are not after `time`. */
function upTo(times: Float64Array, time: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] as number) <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}
