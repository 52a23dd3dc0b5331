import { type Event, partitionOf, PlatformError } from '../../../contract/index.ts';
import type { Source } from '../../../define/index.ts';
import { PARTITIONS_MAX, placeOf } from '../place.ts';
import type { LabelPlan, Plan, SourcePlan, VectorPlan } from '../plan.ts';
import { ExpiringIndex } from './expiring-index.ts';
import { LabelOutcomes } from './label-outcomes.ts';
import { SectionReader, SectionWriter } from './sections.ts';
import { Superseded } from './superseded.ts';
import { tableHash } from './table-hash.ts';
import type { OutcomeVerdict, Verdict } from './verdict.ts';

/** Columns of the index of known events. */
const OFFSET = 0;
const TIME = 1;
/** The newest event time of any record with the id, repetitions included. */
const NEWEST = 2;
const KNOWN_COLUMNS = 3;
/** Where the source takes corrections: which revision it is, and whether that one is a deletion (then 1). */
const REVISION = 2;
const DELETED = 3;
const CORRECTED_COLUMNS = 4;
/** What a snapshot looks like; one of another form is not loaded. */
const FORMAT = 2;

/** What one application of a record did. */
export type Applied = 'applied' | 'duplicate' | 'seen';

/** Next offsets by source and partition. */
export type PositionsBySource = ReadonlyMap<string, readonly number[]>;

/** Whether all positions that are wanted are reached by those of their source. */
export function isReached(
  positions: (source: string) => readonly number[],
  wanted: PositionsBySource,
): boolean {
  for (const [source, offsets] of wanted) {
    const own = positions(source);
    for (const [partition, offset] of offsets.entries()) if ((own[partition] ?? 0) < offset) return false;
  }
  return true;
}

interface SourceState {
  readonly plan: SourcePlan;
  /** Next offset to apply, by partition. */
  readonly positions: number[];
  /** Known events, by partition. */
  readonly known: readonly ExpiringIndex[];
  /** What corrections have replaced, by partition; where the source takes none, undefined. */
  readonly superseded: readonly Superseded[] | undefined;
  duplicates: number;
}

/** An event that a correction took the place of. */
export interface Replaced {
  readonly time: number;
  readonly place: number;
}

interface CoreHead {
  readonly format: number;
  readonly hashes: readonly string[];
  readonly clock: number | null;
  readonly sources: readonly { source: string; positions: number[]; duplicates: number }[];
}

/**
 * What every replica keeps in full, whichever state partitions it has: how far each partition of a source is applied, which
 * ids are known, so that the first event with an id wins whatever its other keys are, the outcomes of labels, and the clock.
 */
export class Core {
  readonly plan: Plan;
  readonly #readBehindMs: number;
  readonly #sources = new Map<string, SourceState>();
  /** By label. */
  readonly #outcomes = new Map<string, LabelOutcomes>();
  #latest: SourceState | undefined;
  /** Never goes back. */
  #clock = Number.NEGATIVE_INFINITY;
  /** The event that the record admitted last has replaced, if any. */
  replaced: Replaced | undefined;

  constructor(plan: Plan, partitions: ReadonlyMap<string, number>, readBehindMs: number) {
    this.plan = plan;
    this.#readBehindMs = readBehindMs;
    const keepMs = plan.horizonMs + readBehindMs;
    for (const source of plan.sources.values()) {
      const count = partitions.get(source.source.name) ?? 1;
      if (count > PARTITIONS_MAX) {
        throw new PlatformError(
          'CONFIGURATION',
          `At most ${String(PARTITIONS_MAX)} partitions; got ${String(count)}`,
        );
      }
      const isCorrected = source.source.corrections === true;
      const columns = isCorrected ? CORRECTED_COLUMNS : KNOWN_COLUMNS;
      this.#sources.set(source.source.name, {
        plan: source,
        positions: Array.from({ length: count }, () => 0),
        known: Array.from({ length: count }, () => new ExpiringIndex(columns, keepMs + plan.horizonMs)),
        superseded: isCorrected ? Array.from({ length: count }, () => new Superseded()) : undefined,
        duplicates: 0,
      });
    }
    for (const { label } of plan.labels)
      this.#outcomes.set(label.name, new LabelOutcomes(label, { keepMs, horizonMs: plan.horizonMs }));
  }

  /** The largest instant issued or passed so far, -Infinity before the first. */
  get clock(): number {
    return this.#clock;
  }

  /** The oldest instant that can still be asked for. */
  get readableFrom(): number {
    return this.#clock - this.#readBehindMs;
  }

  /** Moves the clock forward; `false` for a smaller instant, which changes nothing. */
  advance(instant: number): boolean {
    if (instant <= this.#clock) return false;
    this.#clock = instant;
    return true;
  }

  source(name: string): SourcePlan {
    return this.#source(name).plan;
  }

  positions(source: string): readonly number[] {
    return this.#source(source).positions;
  }

  duplicates(source: string): number {
    return this.#source(source).duplicates;
  }

  /** A copy of all positions. */
  allPositions(): Map<string, readonly number[]> {
    return new Map([...this.#sources].map(([name, state]) => [name, [...state.positions]]));
  }

  /** Whether everything below the positions is applied. */
  reached(positions: PositionsBySource): boolean {
    return isReached((source) => this.positions(source), positions);
  }

  /** Notes that a record of the log is no event under the present contract, so that the position moves on. */
  skip(source: string, partition: number, offset: number): void {
    this.#source(source).positions[partition] = offset + 1;
  }

  /**
   * Takes in the record at an offset. Records of a partition come in order; one seen before is left alone. One whose event time lies
   * more than the horizon after those of all records with its id is another event (rule 3).
   */
  admit(
    source: string,
    partition: number,
    offset: number,
    event: Event,
    hash: number = tableHash(event.id),
  ): Applied {
    const state = this.#source(source);
    if (offset < (state.positions[partition] ?? 0)) return 'seen';
    state.positions[partition] = offset + 1;
    const known = state.known[partition];
    if (known === undefined)
      throw new PlatformError('INTERNAL', `'${source}' has no partition ${String(partition)}`);
    if (state.superseded !== undefined) {
      const isNewest = this.#revise(state, partition, offset, event);
      if (!isNewest) state.duplicates += 1;
      return isNewest ? 'applied' : 'duplicate';
    }
    if (known.locate(event.id, hash)) {
      const newest = known.get(NEWEST);
      if (event.time <= newest + this.plan.horizonMs) {
        if (event.time > newest) {
          known.set(NEWEST, event.time);
          known.renew(event.time);
        }
        state.duplicates += 1;
        return 'duplicate';
      }
    }
    known.insert(event.id, event.time, hash);
    known.set(OFFSET, offset);
    known.set(TIME, event.time);
    known.set(NEWEST, event.time);
    return 'applied';
  }

  /** Reads where the ids with the first `count` of these hashes would be found. What it returns means nothing. */
  touch(source: string, partition: number, hashes: Int32Array, count: number): number {
    return this.#source(source).known[partition]?.touch(hashes, count) ?? 0;
  }

  /** Of a source with corrections: whether the record has a higher revision than those before it. Notes what it replaces. */
  #revise(state: SourceState, partition: number, offset: number, event: Event): boolean {
    this.replaced = undefined;
    const known = state.known[partition];
    if (known === undefined) return false;
    const revision = event.revision ?? 0;
    const isKnown = known.locate(event.id);
    if (isKnown && revision <= known.get(REVISION)) return false;
    // Remembered from when it came, too: an older revision may come behind it, whatever its own time is.
    const latest = Math.max(event.time, this.#clock, isKnown ? known.get(TIME) : Number.NEGATIVE_INFINITY);
    const remembered = Number.isFinite(latest) ? latest : 0;
    if (isKnown) {
      if (known.get(DELETED) === 0) {
        this.replaced = { time: known.get(TIME), place: placeOf(partition, known.get(OFFSET)) };
        state.superseded?.[partition]?.note(offset, this.replaced.time, this.replaced.place);
      }
      known.renew(remembered);
    } else known.insert(event.id, remembered);
    // Its outcome is needed for as long as a correction can bring the event back into a window.
    for (const { label } of state.plan.labelled) this.#outcomes.get(label.name)?.renew(event.id, remembered);
    known.set(OFFSET, offset);
    // The time of a deletion is none: what is remembered stays finite, so that it can be saved.
    if (event.deleted !== true) known.set(TIME, event.time);
    known.set(REVISION, revision);
    known.set(DELETED, event.deleted === true ? 1 : 0);
    return true;
  }

  /** Visits the events of the source's partition that corrections from the offset on have replaced. */
  visitReplaced(
    source: string,
    partition: number,
    offset: number,
    visit: (time: number, place: number) => void,
  ): void {
    this.#source(source).superseded?.[partition]?.visitFrom(offset, visit);
  }

  /** Whether it knows all that corrections have replaced since these positions. */
  knowsReplacedSince(positions: PositionsBySource): boolean {
    for (const [name, { superseded }] of this.#sources) {
      const offsets = positions.get(name) ?? [];
      for (const [partition, { since }] of (superseded ?? []).entries())
        if ((offsets[partition] ?? 0) < since) return false;
    }
    return true;
  }

  /**
   * Whether the record at the offset counts as an event: one that repeats no other, or the first of the highest revision. Of what no
   * window can see it may have forgotten so.
   */
  isEvent(source: string, partition: number, offset: number, id: string): boolean {
    const known = this.#source(source).known[partition];
    let isFound = known?.locate(id) === true;
    while (isFound && known?.get(OFFSET) !== offset) isFound = known?.locateOlder(id) === true;
    return isFound;
  }

  /** What is known of the event of this time that matures at `maturity`. */
  verdict(label: string, id: string, time: number, maturity: number): Verdict {
    return this.#outcomes.get(label)?.verdict(id, time, maturity) ?? 'negative';
  }

  /** Remembers an outcome for events that are still to come. */
  learn({ label }: LabelPlan, outcome: Event, verdict: OutcomeVerdict): void {
    const target = String(outcome.values[label.on]);
    const { time } = outcome;
    // Kept by when it came: one with an old time may be ahead of its event nevertheless.
    const came = Math.max(time, this.#clock);
    this.#outcomes.get(label.name)?.learn({ target, time, came }, verdict);
  }

  /** Calls `mark` for each known event that the outcome is about, with its maturity and place. */
  named({ label }: LabelPlan, outcome: Event, mark: (maturity: number, place: number) => void): void {
    const target = String(outcome.values[label.on]);
    for (const [partition, known] of this.#source(label.of.name).known.entries()) {
      for (let isFound = known.locate(target); isFound; isFound = known.locateOlder(target)) {
        if (isDeleted(label.of, known)) continue;
        const time = known.get(TIME);
        const maturity = time + label.maturesAfterMs;
        if (outcome.time < maturity && outcome.time >= time - this.plan.horizonMs)
          mark(maturity, placeOf(partition, known.get(OFFSET)));
      }
    }
  }

  /** Where the candidate itself is stored, if it is and can still matter: the last event with its id. */
  place(vector: VectorPlan, event: Event, asOf: number): { sequence: number; time: number } {
    const { known } = this.#source(vector.candidate.source.name);
    const partition = partitionOf(event.key, known.length);
    const index = known[partition];
    const isStored = index?.locate(event.id) === true && !isDeleted(vector.candidate.source, index);
    if (index === undefined || !isStored || index.get(TIME) < asOf - vector.horizonMs) {
      return { sequence: Number.POSITIVE_INFINITY, time: event.time };
    }
    return { sequence: placeOf(partition, index.get(OFFSET)), time: index.get(TIME) };
  }

  /**
   * Forgets what no window can see any more, up to `ids` ids and outcomes of each source and label. They are remembered for two
   * horizons: a late repetition must be known as one for as long as a window can see it, and an event may come a horizon after its
   * outcome and be read once more a horizon after itself.
   */
  sweep(ids: number): void {
    const before = this.readableFrom - 2 * this.plan.horizonMs;
    for (const state of this.#sources.values()) {
      let left = ids;
      for (const known of state.known) left -= known.sweep(before, left);
    }
    for (const outcomes of this.#outcomes.values()) outcomes.sweep(before, ids);
  }

  /** How many ids of a source are remembered, and the bytes that they take. */
  idsOf(source: string): { readonly ids: number; readonly bytes: number } {
    const total = { ids: 0, bytes: 0 };
    for (const known of this.#source(source).known) {
      total.ids += known.size;
      total.bytes += known.bytes;
    }
    return total;
  }

  /** The core in one piece, copied: the writer can be finished while records are applied. */
  save(): SectionWriter {
    const writer = new SectionWriter();
    writer.json({
      format: FORMAT,
      hashes: this.plan.hashes,
      clock: Number.isFinite(this.#clock) ? this.#clock : null,
      sources: [...this.#sources].map(([source, state]) => ({
        source,
        positions: [...state.positions],
        duplicates: state.duplicates,
      })),
    } satisfies CoreHead);
    for (const state of this.#sources.values()) for (const known of state.known) known.save(writer);
    for (const outcomes of this.#outcomes.values()) outcomes.save(writer);
    for (const { superseded } of this.#sources.values())
      for (const item of superseded ?? []) item.save(writer);
    return writer;
  }

  /**
   * Loads what {@link save} made, which must not change afterwards. `false`, and nothing is loaded, when it belongs to other definitions
   * or another form. It must be new.
   */
  load(bytes: Uint8Array): boolean {
    const reader = new SectionReader(bytes);
    const head = reader.json<CoreHead>();
    if (head.format !== FORMAT || JSON.stringify(head.hashes) !== JSON.stringify(this.plan.hashes))
      return false;
    for (const saved of head.sources) {
      if (this.#source(saved.source).positions.length !== saved.positions.length) return false;
    }
    for (const saved of head.sources) {
      const state = this.#source(saved.source);
      state.duplicates = saved.duplicates;
      for (const [partition, position] of saved.positions.entries()) state.positions[partition] = position;
    }
    for (const state of this.#sources.values()) for (const known of state.known) known.load(reader);
    for (const outcomes of this.#outcomes.values()) outcomes.load(reader);
    for (const { superseded } of this.#sources.values())
      for (const item of superseded ?? []) item.load(reader);
    this.#clock = head.clock ?? Number.NEGATIVE_INFINITY;
    return true;
  }

  #source(name: string): SourceState {
    // Records come in batches of one source.
    if (this.#latest?.plan.source.name === name) return this.#latest;
    const state = this.#sources.get(name);
    if (state === undefined)
      throw new PlatformError('SOURCE_NOT_FOUND', `The app defines no source '${name}'`);
    this.#latest = state;
    return state;
  }
}

/** Whether the entry that the index of a source's events is at is of one that was deleted. */
function isDeleted(source: Source, known: ExpiringIndex): boolean {
  return source.corrections === true && known.get(DELETED) === 1;
}
