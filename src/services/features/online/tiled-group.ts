import type { Evaluator, Values } from '../../../define/index.ts';
import { evaluateExpressions } from '../expression-plan.ts';
import type { GroupPlan, SlotRead, UsualRead } from '../plan.ts';
import { Accumulator, finish, inputNumber } from './accumulate.ts';
import type { Candidate } from './exact-group.ts';
import { HeldEvents, type SavedEvent } from './held-events.ts';
import type { SectionReader, SectionWriter } from './sections.ts';
import { Slot } from './slot.ts';
import { addToInput, EVENTS, type InputLayout, layoutOf, openInput, START } from './tile-layout.ts';
import { type Level, TileStore } from './tile-store.ts';

/** Time and place of the candidate: it is later than every event. */
const LATEST_OF_ALL = Number.POSITIVE_INFINITY;

interface TileSlot {
  readonly slot: Slot;
  readonly column: number;
}

/** Where a read finds its part of tiles. */
interface Place<TPart> {
  /** Index into the levels of the store. */
  readonly level: number;
  readonly hopMs: number;
  readonly part: TPart;
}

/**
 * A group with hopped windows: for each tile length one sorted list of tiles per key. An event is merged into a tile only
 * once the clock has passed it, so that no tile holds anything at or after the clock; until then it is held.
 */
export class TiledGroup {
  readonly plan: GroupPlan;
  readonly #store: TileStore;
  readonly #held = new HeldEvents();
  readonly #accumulator = new Accumulator();
  readonly #evaluators: readonly Evaluator[];
  /** By input: its usual statistics, if it has any. */
  readonly #layouts: readonly (InputLayout | undefined)[];
  readonly #slots: readonly TileSlot[];
  readonly #usualReads: readonly (UsualRead & Place<InputLayout | undefined>)[];
  readonly #slotReads: readonly (SlotRead & Place<TileSlot>)[];
  /** Inputs of the event that is being added: NaN for null. */
  readonly #inputs: Float64Array;

  constructor(plan: GroupPlan) {
    this.plan = plan;
    this.#evaluators = plan.inputs;
    this.#inputs = new Float64Array(plan.inputs.length);
    const layout = layoutOf(plan);
    this.#layouts = layout.inputs;
    let stride = layout.columns;
    this.#slots = plan.slots.map((item) => {
      const slot = new Slot(item);
      stride += slot.columns;
      return { slot, column: stride - slot.columns };
    });
    const growing = this.#slots.filter(({ slot }) => slot.isGrowing);
    const release =
      growing.length === 0
        ? undefined
        : (values: Float64Array, tile: number): void => {
            for (const { slot, column } of growing) slot.release(values, tile + column);
          };
    const levels = levelsOf(plan);
    this.#store = new TileStore(levels, stride, release);
    const levelOf = (hopMs: number): number => levels.findIndex((level) => level.hopMs === hopMs);
    this.#usualReads = plan.usualReads.map((read) => ({
      ...read,
      level: levelOf(read.hopMs),
      part: layout.inputs[read.input],
    }));
    this.#slotReads = plan.slotReads.flatMap((read) => {
      const part = this.#slots[read.slot];
      return part === undefined ? [] : [{ ...read, level: levelOf(read.hopMs), part }];
    });
  }

  get size(): { readonly keys: number; readonly events: number; readonly bytes: number } {
    return {
      keys: this.#store.keys,
      events: this.#store.tiles + this.#held.size,
      bytes: this.#store.bytes + this.#slots.reduce((sum, { slot }) => sum + slot.bytes, 0),
    };
  }

  /** Earliest time of a held event, Infinity when none is held. */
  get nextHeld(): number {
    return this.#held.next;
  }

  /** Adds an event: merged if the clock has passed it, held otherwise. `slot` is that of its key where it is known, else -1. */
  add(key: string, time: number, sequence: number, values: Values, clock: number, slot = -1): void {
    if (!this.plan.passes(values)) return;
    const evaluators = this.#evaluators;
    const inputs = this.#inputs;
    for (let input = 0; input < evaluators.length; input += 1)
      inputs[input] = inputNumber(evaluators[input]?.(values) ?? null);
    if (time < clock) this.#merge(key, time, sequence, clock, slot);
    else this.#held.push({ key, time, sequence, inputs: Array.from(inputs) });
  }

  /** Where an event of a key is going to, as {@link TileStore.touchCell} has it. */
  get store(): TileStore {
    return this.#store;
  }

  /** Merges the held events that the clock has passed. */
  advance(clock: number): void {
    for (let held = this.#held.pop(clock); held !== undefined; held = this.#held.pop(clock)) {
      this.#inputs.set(held.inputs);
      this.#merge(held.key, held.time, held.sequence, clock, -1);
    }
  }

  /** The group's features at the clock `asOf`, into `output`. */
  read(key: string, asOf: number, candidate: Candidate, output: (number | null)[]): void {
    // A stored candidate that lies in a tile already cannot be taken out of it, so it is not merged a second time.
    const inside = candidate.sequence !== Number.POSITIVE_INFINITY && candidate.time < asOf;
    const merged = candidate.own && !inside && this.plan.passes(candidate.values);
    const accumulator = this.#accumulator;
    const slot = this.#store.find(key);
    for (const read of this.#usualReads) {
      accumulator.reset();
      if (slot >= 0) this.#collect(slot, read, asOf - read.windowMs);
      if (merged) accumulator.add(this.#candidateInput(read.input, candidate), LATEST_OF_ALL, LATEST_OF_ALL);
      for (const plan of read.features) output[plan.place] = finish(plan, accumulator, asOf);
    }
    for (const read of this.#slotReads) {
      const state = read.part.slot;
      state.start();
      if (slot >= 0) this.#collectSlot(slot, read, asOf - read.windowMs);
      if (merged) state.add(this.#candidateInput(state.input, candidate), LATEST_OF_ALL, LATEST_OF_ALL);
      for (const plan of read.features) output[plan.place] = state.finish(plan, asOf);
    }
    evaluateExpressions(this.plan.expressions, candidate.values, asOf, output);
    output.length = this.plan.group.features.length;
  }

  /** Drops, of the next `keys` keys, the tiles that no window reaches at `clock` or later, and the keys that have none left. */
  sweep(clock: number, keys: number): void {
    this.#store.sweep(clock, keys);
  }

  save(writer: SectionWriter): void {
    writer.json(this.#held.saved());
    this.#store.save(writer);
    for (const { slot } of this.#slots) slot.save(writer);
  }

  load(reader: SectionReader): void {
    this.#held.load(reader.json<SavedEvent[]>());
    this.#store.load(reader);
    for (const { slot } of this.#slots) slot.load(reader);
  }

  /** Merges the event whose inputs are at hand into a tile of each level that still has a window for it. */
  #merge(key: string, time: number, sequence: number, clock: number, known: number): void {
    const store = this.#store;
    const { levels } = store;
    let slot = known;
    for (let index = 0; index < levels.length; index += 1) {
      const level = levels[index];
      if (level === undefined) continue;
      const start = Math.floor(time / level.hopMs) * level.hopMs;
      const keepFrom = clock - level.keepMs;
      if (start < keepFrom) continue;
      if (slot < 0) slot = store.slot(key);
      if (!store.locate(slot, index, start, keepFrom)) this.#open(store.values, store.at);
      this.#addToTile(store.values, store.at, time, sequence);
    }
  }

  #addToTile(values: Float64Array, tile: number, time: number, sequence: number): void {
    const inputs = this.#inputs;
    const layouts = this.#layouts;
    const slots = this.#slots;
    values[tile + EVENTS] = (values[tile + EVENTS] ?? 0) + 1;
    for (let input = 0; input < layouts.length; input += 1) {
      const layout = layouts[input];
      const value = inputs[input] ?? Number.NaN;
      if (layout !== undefined && !Number.isNaN(value))
        addToInput(values, tile, layout, value, time, sequence);
    }
    for (let index = 0; index < slots.length; index += 1) {
      const item = slots[index];
      if (item === undefined) continue;
      const value = inputs[item.slot.input] ?? Number.NaN;
      item.slot.addToTile(values, tile + item.column, value, time, sequence);
    }
  }

  /** What of a new tile does not begin with 0. */
  #open(values: Float64Array, tile: number): void {
    const layouts = this.#layouts;
    for (let input = 0; input < layouts.length; input += 1) {
      const layout = layouts[input];
      if (layout !== undefined) openInput(values, tile, layout);
    }
    for (const { slot, column } of this.#slots) slot.open(values, tile + column);
  }

  #candidateInput(input: number, candidate: Candidate): number {
    const evaluate = this.plan.inputs[input];
    return evaluate === undefined ? Number.NaN : inputNumber(evaluate(candidate.values));
  }

  /** Takes in the tiles from the one that holds `from`, the newest first. */
  #collect(slot: number, read: Place<InputLayout | undefined>, from: number): void {
    const store = this.#store;
    const { stride } = store;
    const accumulator = this.#accumulator;
    const first = Math.floor(from / read.hopMs) * read.hopMs;
    const count = store.locateAll(slot, read.level);
    const { values, at } = store;
    const layout = read.part;
    for (let tile = at + (count - 1) * stride; tile >= at; tile -= stride) {
      if ((values[tile + START] ?? 0) < first) break;
      accumulator.events += values[tile + EVENTS] ?? 0;
      if (layout !== undefined) mergeInput(accumulator, values, tile, layout);
    }
  }

  /** Takes a slot's part of the tiles into its read. */
  #collectSlot(slot: number, read: Place<TileSlot>, from: number): void {
    const store = this.#store;
    const { stride } = store;
    const first = Math.floor(from / read.hopMs) * read.hopMs;
    const count = store.locateAll(slot, read.level);
    const { values, at } = store;
    for (let tile = at + (count - 1) * stride; tile >= at; tile -= stride) {
      if ((values[tile + START] ?? 0) < first) break;
      read.part.slot.addTile(values, tile + read.part.column);
    }
  }
}

function levelsOf(plan: GroupPlan): Level[] {
  const hops = new Map<number, number>();
  for (const { feature } of plan.all) {
    if (feature.kind === 'expression') continue;
    hops.set(feature.hopMs, Math.max(hops.get(feature.hopMs) ?? 0, feature.windowMs));
  }
  return [...hops].map(([hopMs, windowMs]) => ({ hopMs, keepMs: windowMs + 2 * hopMs }));
}

/** The statistics of a tile into those of the read; tiles come from the newest on. */
function mergeInput(accumulator: Accumulator, values: Float64Array, tile: number, layout: InputLayout): void {
  const count = values[tile + layout.count] ?? 0;
  if (count === 0) return;
  accumulator.count += count;
  if (layout.sum >= 0) {
    accumulator.addSum(values[tile + layout.sum] ?? 0);
    accumulator.rest += values[tile + layout.rest] ?? 0;
  }
  if (layout.minimum >= 0)
    accumulator.minimum = Math.min(accumulator.minimum, values[tile + layout.minimum] ?? 0);
  if (layout.maximum >= 0)
    accumulator.maximum = Math.max(accumulator.maximum, values[tile + layout.maximum] ?? 0);
  // The first tile with a value has the latest.
  if (layout.time < 0 || accumulator.latestTime !== Number.NEGATIVE_INFINITY) return;
  accumulator.latestTime = values[tile + layout.time] ?? Number.NEGATIVE_INFINITY;
  if (layout.latest >= 0) accumulator.latest = values[tile + layout.latest] ?? Number.NaN;
}
