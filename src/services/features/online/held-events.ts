/** An event that is ahead of the clock. */
export interface HeldEvent {
  readonly key: string;
  readonly time: number;
  readonly sequence: number;
  /** NaN for null. */
  readonly inputs: readonly number[];
}

/** Events that wait for the clock: a heap by time. */
export class HeldEvents {
  readonly #heap: HeldEvent[] = [];

  get size(): number {
    return this.#heap.length;
  }

  /** Earliest time, Infinity when none is held. */
  get next(): number {
    return this.#heap[0]?.time ?? Number.POSITIVE_INFINITY;
  }

  push(held: HeldEvent): void {
    const heap = this.#heap;
    let index = heap.push(held) - 1;
    while (index > 0) {
      const parent = (index - 1) >>> 1;
      const above = heap[parent];
      if (above === undefined || above.time <= held.time) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = held;
  }

  /** Takes out the earliest, if its time is before the clock. */
  pop(clock: number): HeldEvent | undefined {
    const heap = this.#heap;
    const [first] = heap;
    if (first === undefined || first.time >= clock) return undefined;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let child = index * 2 + 1;
      const left = heap[child];
      if (left === undefined) break;
      const right = heap[child + 1];
      if (right !== undefined && right.time < left.time) child += 1;
      const smaller = child === index * 2 + 1 ? left : (right ?? left);
      if (smaller.time >= last.time) break;
      heap[index] = smaller;
      index = child;
    }
    heap[index] = last;
    return first;
  }

  /** A copy for JSON, which knows no NaN. */
  saved(): readonly SavedEvent[] {
    return this.#heap.map((held) => ({ ...held, inputs: held.inputs.map(finiteOrNull) }));
  }

  load(saved: readonly SavedEvent[]): void {
    for (const held of saved) this.push({ ...held, inputs: held.inputs.map((input) => input ?? Number.NaN) });
  }
}

export type SavedEvent = Omit<HeldEvent, 'inputs'> & { readonly inputs: readonly (number | null)[] };

function finiteOrNull(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}
