import type { Values } from '../../../define/index.ts';
import { evaluateExpressions } from '../expression-plan.ts';
import type { GroupPlan } from '../plan.ts';
import { Accumulator, finish, inputNumber } from './accumulate.ts';
import { PlaceIndex } from './place-index.ts';
import type { SectionReader, SectionWriter } from './sections.ts';
import { Slot } from './slot.ts';
import { SortedBlocks } from './sorted-blocks.ts';
import type { Verdict } from './verdict.ts';

/** The event being decided, as the groups of its vector see it. */
export interface Candidate {
  readonly values: Values;
  /** Place of the stored event with the candidate's id, if it is stored and applied; else +Infinity. */
  readonly sequence: number;
  /** Its event time where it is stored. */
  readonly time: number;
  /** Whether the candidate's source feeds the group. */
  readonly own: boolean;
}

const TIME = 0;
const SEQUENCE = 1;
const FLAGS = 2;
const INPUTS = 3;

/** Bits of the flags column. */
const LABEL = 1;
const PASSES_UNLABELLED = 2;
const PASSES_LABELLED = 4;
/** Of a label with `confirmed`, as long as no outcome is known: nobody sees the row. */
const UNKNOWN = 8;

/** Time and place of the candidate: it is later than every event. */
const LATEST = Number.POSITIVE_INFINITY;

/** Below this many entries, an index of slots is not worth building anew. */
const STALE_ENTRIES_MIN = 1_024;

/**
 * A group that keeps every event as a row (time, sequence, flags, inputs): with `hop: 'exact'`, so that windows are cut to
 * the millisecond at any instant that is still kept, or over a source with corrections, so that an event can be taken out
 * again and nothing is ever subtracted; windows then begin at the hop that is declared. Over a matured label a row has its inputs twice, for either outcome,
 * and a flag that says which holds: an outcome that comes late changes one bit.
 */
export class ExactGroup {
  readonly plan: GroupPlan;
  readonly #rows: SortedBlocks;
  readonly #width: number;
  readonly #accumulator = new Accumulator();
  readonly #slots: readonly Slot[];
  /** Events before it may have been dropped. */
  #keptFrom = Number.NEGATIVE_INFINITY;
  /** Slots of the rows by their place, where a row is looked for by it: for outcomes that come late, and for corrections. */
  #places: PlaceIndex | undefined;

  constructor(plan: GroupPlan) {
    this.plan = plan;
    this.#width = plan.inputs.length;
    this.#rows = new SortedBlocks(INPUTS + this.#width * (plan.labelName === undefined ? 1 : 2));
    this.#slots = plan.slots.map((slot) => new Slot(slot));
    if (plan.labelName !== undefined || plan.group.from.source.corrections === true)
      this.#places = new PlaceIndex();
  }

  get size(): { readonly keys: number; readonly events: number; readonly bytes: number } {
    const { keys, rows: events, bytes } = this.#rows;
    return { keys, events, bytes: bytes + (this.#places?.bytes ?? 0) };
  }

  /** Windows at an instant are complete from here on. */
  get completeFrom(): number {
    return this.#keptFrom + this.plan.windowMsMax;
  }

  /**
   * Adds an event at `time` (its event time, or its maturity). `verdict` is of a matured label. `droppable`: events before it are seen by nobody and may be
   * dropped when room is needed.
   */
  add(
    key: string,
    time: number,
    sequence: number,
    values: Values,
    verdict: Verdict,
    droppable: number,
  ): void {
    const rows = this.#rows;
    const slot = rows.slot(key);
    if (rows.full(slot)) {
      rows.dropFront(slot, rows.lowerBound(slot, droppable, Number.NEGATIVE_INFINITY));
      if (droppable > this.#keptFrom) this.#keptFrom = droppable;
    }
    const at = rows.insert(slot, rows.lowerBound(slot, time, sequence));
    const row = rows.values;
    row[at + TIME] = time;
    row[at + SEQUENCE] = sequence;
    this.#places?.set(sequence, slot);
    const { labelName } = this.plan;
    if (labelName === undefined) {
      row[at + FLAGS] = this.plan.passes(values) ? PASSES_UNLABELLED : 0;
      this.#fill(at + INPUTS, values);
      return;
    }
    const without = { ...values, [labelName]: false };
    const positive = { ...values, [labelName]: true };
    row[at + FLAGS] =
      (verdict === 'positive' ? LABEL : 0) |
      (verdict === 'unknown' ? UNKNOWN : 0) |
      (this.plan.passes(without) ? PASSES_UNLABELLED : 0) |
      (this.plan.passes(positive) ? PASSES_LABELLED : 0);
    this.#fill(at + INPUTS, without);
    this.#fill(at + INPUTS + this.#width, positive);
  }

  /** Notes what one more outcome says of the event; an event that is not kept here is left alone. */
  mark(time: number, sequence: number, verdict: Exclude<Verdict, 'unknown'>): void {
    const rows = this.#rows;
    const slot = this.#places?.get(sequence) ?? -1;
    const row = this.#find(slot, time, sequence);
    if (row < 0) return;
    const at = rows.start(slot) + row * rows.stride;
    const flags = (rows.values[at + FLAGS] ?? 0) & ~UNKNOWN;
    rows.values[at + FLAGS] = verdict === 'positive' ? flags | LABEL : flags;
  }

  /** Takes an event out; one that is not kept here changes nothing. */
  remove(time: number, sequence: number): void {
    const slot = this.#places?.get(sequence) ?? -1;
    const row = this.#find(slot, time, sequence);
    if (row >= 0) this.#rows.remove(slot, row);
  }

  /** The group's features at `asOf`, into `output`. */
  read(key: string, asOf: number, candidate: Candidate, output: (number | null)[]): void {
    const rows = this.#rows;
    const slot = rows.find(key);
    const right = this.plan.group.closed === 'right';
    const end =
      slot < 0
        ? 0
        : rows.lowerBound(slot, asOf, right ? this.#tieBound(candidate) : Number.NEGATIVE_INFINITY);
    const skip = slot >= 0 && candidate.own ? this.#rowOf(slot, candidate) : -1;
    const merge = candidate.own && this.plan.labelName === undefined && this.plan.group.candidate === 'merge';
    const merged = merge && this.plan.passes(candidate.values);
    const accumulator = this.#accumulator;
    for (const { input, windowMs, hopMs, features } of this.plan.usualReads) {
      accumulator.reset();
      if (slot >= 0) this.#scan(slot, end, skip, tailOf(asOf, windowMs, hopMs), right, input, accumulator);
      if (merged) accumulator.add(this.#candidateInput(input, candidate), LATEST, LATEST);
      for (const plan of features) output[plan.place] = finish(plan, accumulator, asOf);
    }
    for (const { slot: index, windowMs, hopMs, features } of this.plan.slotReads) {
      const state = this.#slots[index];
      if (state === undefined) continue;
      state.start();
      if (slot >= 0) this.#scan(slot, end, skip, tailOf(asOf, windowMs, hopMs), right, state.input, state);
      if (merged) state.add(this.#candidateInput(state.input, candidate), LATEST, LATEST);
      for (const plan of features) output[plan.place] = state.finish(plan, asOf);
    }
    evaluateExpressions(this.plan.expressions, candidate.values, asOf, output);
    output.length = this.plan.group.features.length;
  }

  /** Drops, of the next `keys` keys, events before `time`, which nobody can see any more, and the keys that have none left. */
  sweep(time: number, keys: number): void {
    this.#rows.sweep(time, keys);
    if (time > this.#keptFrom) this.#keptFrom = time;
    const entries = this.#places?.size ?? 0;
    if (entries > STALE_ENTRIES_MIN && entries > 2 * this.#rows.rows) this.#indexRows();
  }

  save(writer: SectionWriter): void {
    writer.numbers(Float64Array.of(this.#keptFrom));
    this.#rows.save(writer);
  }

  load(reader: SectionReader): void {
    this.#keptFrom = reader.numbers()[0] ?? Number.NEGATIVE_INFINITY;
    this.#rows.load(reader);
    if (this.#places !== undefined) this.#indexRows();
  }

  /** Makes the index of slots from the rows: it holds nothing that they do not. */
  #indexRows(): void {
    const rows = this.#rows;
    const slots = new PlaceIndex();
    for (let slot = 0; slot < rows.slots; slot += 1) {
      const start = rows.start(slot);
      const end = start + rows.count(slot) * rows.stride;
      for (let at = start; at < end; at += rows.stride) slots.set(rows.values[at + SEQUENCE] ?? 0, slot);
    }
    this.#places = slots;
  }

  #fill(at: number, values: Values): void {
    const row = this.#rows.values;
    for (const [index, evaluate] of this.plan.inputs.entries())
      row[at + index] = inputNumber(evaluate(values));
  }

  /**
   * Right-closed, an event at exactly asOf counts if it came before the candidate: by place among events of the same
   * time; always when it only matures now, for then it happened earlier.
   */
  #tieBound(candidate: Candidate): number {
    return this.plan.delayMs > 0 ? Number.POSITIVE_INFINITY : candidate.sequence;
  }

  /** Row of the stored event that is the candidate itself, or -1. */
  #rowOf(slot: number, candidate: Candidate): number {
    if (candidate.sequence === Number.POSITIVE_INFINITY) return -1;
    return this.#find(slot, candidate.time + this.plan.delayMs, candidate.sequence);
  }

  /** The row of a slot at exactly this time and place, or -1. */
  #find(slot: number, time: number, sequence: number): number {
    if (slot < 0) return -1;
    const rows = this.#rows;
    const row = rows.lowerBound(slot, time, sequence);
    if (row >= rows.count(slot)) return -1;
    const at = rows.start(slot) + row * rows.stride;
    return rows.values[at + TIME] === time && rows.values[at + SEQUENCE] === sequence ? row : -1;
  }

  #candidateInput(input: number, candidate: Candidate): number {
    const evaluate = this.plan.inputs[input];
    return evaluate === undefined ? Number.NaN : inputNumber(evaluate(candidate.values));
  }

  #scan(
    slot: number,
    end: number,
    skip: number,
    from: number,
    right: boolean,
    input: number,
    into: Accumulator | Slot,
  ): void {
    const { values, stride } = this.#rows;
    const start = this.#rows.start(slot);
    for (let row = end - 1; row >= 0; row -= 1) {
      const at = start + row * stride;
      const time = values[at + TIME] ?? 0;
      if (time < from || (right && time === from)) break;
      const flags = values[at + FLAGS] ?? 0;
      const labelled = (flags & LABEL) !== 0;
      const seen = labelled ? PASSES_LABELLED : PASSES_UNLABELLED;
      if (row === skip || (flags & (seen | UNKNOWN)) !== seen) continue;
      const column = INPUTS + input + (labelled ? this.#width : 0);
      const value = input < 0 ? Number.NaN : (values[at + column] ?? Number.NaN);
      into.add(value, time, values[at + SEQUENCE] ?? 0);
    }
  }
}

/** Where a window begins: at a full hop, or with a hop of 0 to the millisecond. */
function tailOf(asOf: number, windowMs: number, hopMs: number): number {
  const tail = asOf - windowMs;
  return hopMs === 0 ? tail : Math.floor(tail / hopMs) * hopMs;
}
