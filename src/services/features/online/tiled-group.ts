import type { Values } from '../../../define/index.ts';
import type { GroupPlan } from '../plan.ts';
import { Accumulator, finish, inputNumber } from './accumulate.ts';
import type { Candidate } from './exact-group.ts';
import type { SectionReader, SectionWriter } from './sections.ts';
import { SortedBlocks } from './sorted-blocks.ts';

/** Columns of a tile: start, nothing (the blocks sort by two columns), events, then the inputs. */
const EVENTS = 2;
const INPUTS = 3;

/** Columns of one input of a tile. */
const COUNT = 0;
const SUM = 1;
const REST = 2;
const MINIMUM = 3;
const MAXIMUM = 4;
const LATEST = 5;
const LATEST_TIME = 6;
const LATEST_SEQUENCE = 7;
const INPUT_COLUMNS = 8;

interface Level {
  readonly hopMs: number;
  /** The longest window read from this level. */
  readonly windowMs: number;
  readonly tiles: SortedBlocks;
}

interface Held {
  readonly key: string;
  readonly time: number;
  readonly sequence: number;
  readonly inputs: readonly number[];
}

/**
 * A group with hopped windows: for each tile length one sorted list of tiles per key. An event is merged into a tile only
 * once the clock has passed it, so that no tile holds anything at or after the clock; until then it is held.
 */
export class TiledGroup {
  readonly plan: GroupPlan;
  readonly #levels: readonly Level[];
  /** A heap by time of the events that are ahead of the clock. */
  readonly #held: Held[] = [];
  readonly #accumulator = new Accumulator();

  constructor(plan: GroupPlan) {
    this.plan = plan;
    const stride = INPUTS + plan.inputs.length * INPUT_COLUMNS;
    const hops = new Map<number, number>();
    for (const { feature } of plan.features) {
      hops.set(feature.hopMs, Math.max(hops.get(feature.hopMs) ?? 0, feature.windowMs));
    }
    this.#levels = [...hops].map(([hopMs, windowMs]) => ({
      hopMs,
      windowMs,
      tiles: new SortedBlocks(stride),
    }));
  }

  get size(): { readonly keys: number; readonly events: number; readonly bytes: number } {
    return {
      keys: Math.max(...this.#levels.map((level) => level.tiles.keys)),
      events: this.#levels.reduce((sum, level) => sum + level.tiles.rows, this.#held.length),
      bytes: this.#levels.reduce((sum, level) => sum + level.tiles.bytes, 0),
    };
  }

  /** Earliest time of a held event, Infinity when none is held. */
  get nextHeld(): number {
    return this.#held[0]?.time ?? Number.POSITIVE_INFINITY;
  }

  /** Adds an event: merged if the clock has passed it, held otherwise. */
  add(key: string, time: number, sequence: number, values: Values, clock: number): void {
    if (!this.plan.passes(values)) return;
    const held = {
      key,
      time,
      sequence,
      inputs: this.plan.inputs.map((evaluate) => inputNumber(evaluate(values))),
    };
    if (time < clock) this.#merge(held, clock);
    else push(this.#held, held);
  }

  /** Merges the held events that the clock has passed. */
  advance(clock: number): void {
    for (let first = this.#held[0]; first !== undefined && first.time < clock; first = this.#held[0]) {
      pop(this.#held);
      this.#merge(first, clock);
    }
  }

  /** The group's features at the clock `asOf`, into `output`. */
  read(key: string, asOf: number, candidate: Candidate, output: (number | null)[]): void {
    // A stored candidate that lies in a tile already cannot be taken out of it, so it is not merged a second time.
    const inside = candidate.sequence !== Number.POSITIVE_INFINITY && candidate.time < asOf;
    const merged = candidate.own && !inside && this.plan.passes(candidate.values);
    for (const [index, feature] of this.plan.features.entries()) {
      const accumulator = this.#accumulator;
      accumulator.reset();
      const level = this.#levels.find((item) => item.hopMs === feature.feature.hopMs);
      if (level !== undefined) this.#collect(level, key, asOf - feature.feature.windowMs, feature.input);
      if (merged) {
        const evaluate = this.plan.inputs[feature.input];
        const value = evaluate === undefined ? Number.NaN : inputNumber(evaluate(candidate.values));
        accumulator.add(value, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
      }
      output[index] = finish(feature, accumulator);
    }
  }

  /** Drops the tiles that no window reaches at `clock` or later. */
  drop(clock: number): void {
    for (const level of this.#levels) level.tiles.dropBelow(clock - level.windowMs - 2 * level.hopMs);
  }

  save(writer: SectionWriter): void {
    writer.json(
      this.#held.map((held) => ({ ...held, inputs: held.inputs.map((input) => finiteOrNull(input)) })),
    );
    for (const level of this.#levels) level.tiles.save(writer);
  }

  load(reader: SectionReader): void {
    for (const held of reader.json<(Omit<Held, 'inputs'> & { inputs: (number | null)[] })[]>()) {
      push(this.#held, { ...held, inputs: held.inputs.map((input) => input ?? Number.NaN) });
    }
    for (const level of this.#levels) level.tiles.load(reader);
  }

  #merge(event: Held, clock: number): void {
    for (const { hopMs, windowMs, tiles } of this.#levels) {
      const start = Math.floor(event.time / hopMs) * hopMs;
      if (start < clock - windowMs - 2 * hopMs) continue;
      const slot = tiles.slot(event.key);
      if (tiles.full(slot)) {
        tiles.dropFront(slot, tiles.lowerBound(slot, clock - windowMs - 2 * hopMs, Number.NEGATIVE_INFINITY));
      }
      const row = tiles.lowerBound(slot, start, 0);
      let at = tiles.start(slot) + row * tiles.stride;
      if (row === tiles.count(slot) || tiles.values[at] !== start) at = this.#open(tiles, slot, row, start);
      tiles.values[at + EVENTS] = (tiles.values[at + EVENTS] ?? 0) + 1;
      for (const [index, value] of event.inputs.entries()) {
        this.#mergeInput(tiles.values, at + INPUTS + index * INPUT_COLUMNS, value, event);
      }
    }
  }

  #open(tiles: SortedBlocks, slot: number, row: number, start: number): number {
    const at = tiles.insert(slot, row);
    tiles.values.fill(0, at, at + tiles.stride);
    tiles.values[at] = start;
    for (let index = 0; index < this.plan.inputs.length; index += 1) {
      const input = at + INPUTS + index * INPUT_COLUMNS;
      tiles.values[input + MINIMUM] = Number.POSITIVE_INFINITY;
      tiles.values[input + MAXIMUM] = Number.NEGATIVE_INFINITY;
      tiles.values[input + LATEST_TIME] = Number.NEGATIVE_INFINITY;
      tiles.values[input + LATEST_SEQUENCE] = Number.NEGATIVE_INFINITY;
    }
    return at;
  }

  #mergeInput(values: Float64Array, at: number, value: number, event: Held): void {
    if (Number.isNaN(value)) return;
    const accumulator = this.#accumulator;
    accumulator.reset();
    accumulator.sum = values[at + SUM] ?? 0;
    accumulator.rest = values[at + REST] ?? 0;
    accumulator.addSum(value);
    values[at + COUNT] = (values[at + COUNT] ?? 0) + 1;
    values[at + SUM] = accumulator.sum;
    values[at + REST] = accumulator.rest;
    values[at + MINIMUM] = Math.min(values[at + MINIMUM] ?? value, value);
    values[at + MAXIMUM] = Math.max(values[at + MAXIMUM] ?? value, value);
    const time = values[at + LATEST_TIME] ?? Number.NEGATIVE_INFINITY;
    const later = event.time === time && event.sequence > (values[at + LATEST_SEQUENCE] ?? 0);
    if (event.time > time || later) {
      values[at + LATEST] = value;
      values[at + LATEST_TIME] = event.time;
      values[at + LATEST_SEQUENCE] = event.sequence;
    }
  }

  #collect(level: Level, key: string, from: number, input: number): void {
    const { tiles, hopMs } = level;
    const slot = tiles.find(key);
    if (slot < 0) return;
    const { values, stride } = tiles;
    const accumulator = this.#accumulator;
    const first = tiles.lowerBound(slot, Math.floor(from / hopMs) * hopMs, Number.NEGATIVE_INFINITY);
    for (let row = tiles.count(slot) - 1; row >= first; row -= 1) {
      const tile = tiles.start(slot) + row * stride;
      accumulator.events += values[tile + EVENTS] ?? 0;
      if (input < 0) continue;
      const at = tile + INPUTS + input * INPUT_COLUMNS;
      const count = values[at + COUNT] ?? 0;
      if (count === 0) continue;
      accumulator.count += count;
      accumulator.addSum(values[at + SUM] ?? 0);
      accumulator.rest += values[at + REST] ?? 0;
      accumulator.minimum = Math.min(accumulator.minimum, values[at + MINIMUM] ?? 0);
      accumulator.maximum = Math.max(accumulator.maximum, values[at + MAXIMUM] ?? 0);
      // Tiles are walked from the newest: the first with a value has the latest.
      if (Number.isNaN(accumulator.latest)) accumulator.latest = values[at + LATEST] ?? Number.NaN;
    }
  }
}

function finiteOrNull(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}

function push(heap: Held[], held: Held): void {
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

function pop(heap: Held[]): void {
  const lastHeld = heap.pop();
  if (lastHeld === undefined || heap.length === 0) return;
  let index = 0;
  for (;;) {
    let child = index * 2 + 1;
    const left = heap[child];
    if (left === undefined) break;
    const right = heap[child + 1];
    if (right !== undefined && right.time < left.time) child += 1;
    const smaller = child === index * 2 + 1 ? left : (right ?? left);
    if (smaller.time >= lastHeld.time) break;
    heap[index] = smaller;
    index = child;
  }
  heap[index] = lastHeld;
}
