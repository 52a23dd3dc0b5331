import type { Values } from '../../../define/index.ts';
import { evaluateExpressions } from '../expression-plan.ts';
import type { GroupPlan, SlotRead, UsualRead } from '../plan.ts';
import { Accumulator, finish, inputNumber } from './accumulate.ts';
import type { Candidate } from './exact-group.ts';
import type { SectionReader, SectionWriter } from './sections.ts';
import { Slot } from './slot.ts';
import { SortedBlocks } from './sorted-blocks.ts';

/**
 * Columns of a tile: start, nothing (the blocks sort by two columns), events, then the usual statistics of the inputs that need
 * them, then the slots.
 */
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

/** Time and place of the candidate: it is later than every event. */
const LATEST_OF_ALL = Number.POSITIVE_INFINITY;

interface Level {
  readonly hopMs: number;
  /** The longest window read from this level. */
  readonly windowMs: number;
  readonly tiles: SortedBlocks;
}

/** Where a read finds its part of tiles. */
interface Place {
  readonly level: Level;
  readonly column: number;
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
  /** By input: the column of its usual statistics, or -1. */
  readonly #columns: readonly number[];
  readonly #slots: readonly { readonly slot: Slot; readonly column: number }[];
  readonly #usualReads: readonly (UsualRead & Place)[];
  readonly #slotReads: readonly (SlotRead & Place & { readonly state: Slot })[];

  constructor(plan: GroupPlan) {
    this.plan = plan;
    let stride = INPUTS;
    const take = (columns: number): number => {
      stride += columns;
      return stride - columns;
    };
    const usual = new Set(plan.usualReads.map((read) => read.input));
    this.#columns = plan.inputs.map((_, input) => (usual.has(input) ? take(INPUT_COLUMNS) : -1));
    this.#slots = plan.slots.map((item) => {
      const slot = new Slot(item);
      return { slot, column: take(slot.columns) };
    });
    const hops = new Map<number, number>();
    for (const { feature } of plan.all) {
      if (feature.kind === 'expression') continue;
      hops.set(feature.hopMs, Math.max(hops.get(feature.hopMs) ?? 0, feature.windowMs));
    }
    const growing = this.#slots.filter(({ slot }) => slot.isGrowing);
    const release =
      growing.length === 0
        ? undefined
        : (values: Float64Array, at: number): void => {
            for (const { slot, column } of growing) slot.release(values, at + column);
          };
    this.#levels = [...hops].map(([hopMs, windowMs]) => ({
      hopMs,
      windowMs,
      tiles: new SortedBlocks(stride, release),
    }));
    const levelOf = (hopMs: number): Level[] => this.#levels.filter((level) => level.hopMs === hopMs);
    this.#usualReads = plan.usualReads.flatMap((read) =>
      levelOf(read.hopMs).map((level) => ({ ...read, level, column: this.#columns[read.input] ?? -1 })),
    );
    this.#slotReads = plan.slotReads.flatMap((read) => {
      const { slot: state, column } = this.#slots[read.slot] ?? {};
      return state === undefined || column === undefined
        ? []
        : levelOf(read.hopMs).map((level) => ({ ...read, level, column, state }));
    });
  }

  get size(): { readonly keys: number; readonly events: number; readonly bytes: number } {
    return {
      keys: Math.max(...this.#levels.map((level) => level.tiles.keys)),
      events: this.#levels.reduce((sum, level) => sum + level.tiles.rows, this.#held.length),
      bytes:
        this.#levels.reduce((sum, level) => sum + level.tiles.bytes, 0) +
        this.#slots.reduce((sum, { slot }) => sum + slot.bytes, 0),
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
    const accumulator = this.#accumulator;
    for (const { input, windowMs, features, level, column } of this.#usualReads) {
      accumulator.reset();
      this.#collect(level, key, asOf - windowMs, column);
      if (merged) accumulator.add(this.#candidateInput(input, candidate), LATEST_OF_ALL, LATEST_OF_ALL);
      for (const plan of features) output[plan.place] = finish(plan, accumulator, asOf);
    }
    for (const { windowMs, features, level, column, state } of this.#slotReads) {
      state.start();
      this.#collectSlot(level, key, asOf - windowMs, state, column);
      if (merged) state.add(this.#candidateInput(state.input, candidate), LATEST_OF_ALL, LATEST_OF_ALL);
      for (const plan of features) output[plan.place] = state.finish(plan, asOf);
    }
    evaluateExpressions(this.plan.expressions, candidate.values, asOf, output);
    output.length = this.plan.group.features.length;
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
    for (const { slot } of this.#slots) slot.save(writer);
  }

  load(reader: SectionReader): void {
    for (const held of reader.json<(Omit<Held, 'inputs'> & { inputs: (number | null)[] })[]>()) {
      push(this.#held, { ...held, inputs: held.inputs.map((input) => input ?? Number.NaN) });
    }
    for (const level of this.#levels) level.tiles.load(reader);
    for (const { slot } of this.#slots) slot.load(reader);
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
      for (let input = 0; input < this.#columns.length; input += 1) {
        const column = this.#columns[input] ?? -1;
        if (column >= 0)
          this.#mergeInput(tiles.values, at + column, event.inputs[input] ?? Number.NaN, event);
      }
      for (const { slot, column } of this.#slots) {
        const value = event.inputs[slot.input] ?? Number.NaN;
        slot.addToTile(tiles.values, at + column, value, event.time, event.sequence);
      }
    }
  }

  #open(tiles: SortedBlocks, slot: number, row: number, start: number): number {
    const at = tiles.insert(slot, row);
    tiles.values.fill(0, at, at + tiles.stride);
    tiles.values[at] = start;
    for (const column of this.#columns) {
      if (column < 0) continue;
      const input = at + column;
      tiles.values[input + MINIMUM] = Number.POSITIVE_INFINITY;
      tiles.values[input + MAXIMUM] = Number.NEGATIVE_INFINITY;
      tiles.values[input + LATEST_TIME] = Number.NEGATIVE_INFINITY;
      tiles.values[input + LATEST_SEQUENCE] = Number.NEGATIVE_INFINITY;
    }
    for (const { slot, column } of this.#slots) slot.open(tiles.values, at + column);
    return at;
  }

  /** One event into the usual statistics of an input. */
  #mergeInput(values: Float64Array, at: number, value: number, event: Held): void {
    if (Number.isNaN(value)) return;
    const sum = values[at + SUM] ?? 0;
    const total = sum + value;
    const rest = Math.abs(sum) >= Math.abs(value) ? sum - total + value : value - total + sum;
    values[at + COUNT] = (values[at + COUNT] ?? 0) + 1;
    values[at + SUM] = total;
    // What rounding took from the sum, as the accumulator has it.
    values[at + REST] = (values[at + REST] ?? 0) + rest;
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

  #candidateInput(input: number, candidate: Candidate): number {
    const evaluate = this.plan.inputs[input];
    return evaluate === undefined ? Number.NaN : inputNumber(evaluate(candidate.values));
  }

  /** Takes in the tiles from the one that holds `from`; `column`: of the input's statistics, -1 to count events alone. */
  #collect(level: Level, key: string, from: number, column: number): void {
    const { tiles, hopMs } = level;
    const slot = tiles.find(key);
    if (slot < 0) return;
    const { values, stride } = tiles;
    const accumulator = this.#accumulator;
    const first = tiles.lowerBound(slot, Math.floor(from / hopMs) * hopMs, Number.NEGATIVE_INFINITY);
    for (let row = tiles.count(slot) - 1; row >= first; row -= 1) {
      const tile = tiles.start(slot) + row * stride;
      accumulator.events += values[tile + EVENTS] ?? 0;
      if (column < 0) continue;
      const at = tile + column;
      const count = values[at + COUNT] ?? 0;
      if (count === 0) continue;
      accumulator.count += count;
      accumulator.addSum(values[at + SUM] ?? 0);
      accumulator.rest += values[at + REST] ?? 0;
      accumulator.minimum = Math.min(accumulator.minimum, values[at + MINIMUM] ?? 0);
      accumulator.maximum = Math.max(accumulator.maximum, values[at + MAXIMUM] ?? 0);
      // Tiles are walked from the newest: the first with a value has the latest.
      if (Number.isNaN(accumulator.latest)) {
        accumulator.latest = values[at + LATEST] ?? Number.NaN;
        accumulator.latestTime = values[at + LATEST_TIME] ?? Number.NEGATIVE_INFINITY;
      }
    }
  }

  /** Takes a slot's part of the tiles into its read. */
  #collectSlot(level: Level, key: string, from: number, state: Slot, column: number): void {
    const { tiles, hopMs } = level;
    const slot = tiles.find(key);
    if (slot < 0) return;
    const first = tiles.lowerBound(slot, Math.floor(from / hopMs) * hopMs, Number.NEGATIVE_INFINITY);
    for (let row = tiles.count(slot) - 1; row >= first; row -= 1)
      state.addTile(tiles.values, tiles.start(slot) + row * tiles.stride + column);
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
