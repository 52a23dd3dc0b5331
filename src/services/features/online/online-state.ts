import { type Event, partitionOf, PlatformError, type Positions } from '../../../contract/index.ts';
import { PARTITIONS_MAX, placeOf } from '../place.ts';
import type { GroupPlan, LabelPlan, Plan, SourcePlan, VectorPlan } from '../plan.ts';
import { type Candidate, ExactGroup } from './exact-group.ts';
import { ExpiringIndex } from './expiring-index.ts';
import { SectionReader, SectionWriter } from './sections.ts';
import { TiledGroup } from './tiled-group.ts';

/** Columns of the index of known events: offset, event time, then a slot for each group over the source's labels. */
const OFFSET = 0;
const TIME = 1;
const SLOTS = 2;

export interface OnlineStateOptions {
  /**
   * How far behind the clock a vector of exact groups may still be read, in milliseconds. Live sources need none;
   * replayed ones are read at their events' times while the log is already further on.
   */
  readonly readBehindMs: number;
}

/** What one application of a record did. */
export type Applied = 'applied' | 'duplicate';

interface SourceState {
  readonly plan: SourcePlan;
  /** Next offset to apply, by partition. */
  readonly positions: number[];
  /** Known events, by partition. */
  readonly known: ExpiringIndex[];
  /** Groups over labels of this source, in the order of their slot columns. */
  readonly matured: readonly GroupPlan[];
  duplicates: number;
}

/**
 * Online features of an app: the single-writer state that the service feeds from the log and that replay feeds from
 * Parquet. Values depend only on the set of applied records and the instant of the read, never on the order in which
 * partitions were applied.
 */
export class OnlineState {
  readonly plan: Plan;
  readonly #options: OnlineStateOptions;
  readonly #sources = new Map<string, SourceState>();
  readonly #exact: (ExactGroup | undefined)[];
  readonly #tiled: (TiledGroup | undefined)[];
  /** By label: earliest time of an outcome that names the event. */
  readonly #outcomes = new Map<string, ExpiringIndex>();
  /** Never goes back. */
  #clock = Number.NEGATIVE_INFINITY;

  constructor(plan: Plan, partitions: ReadonlyMap<string, number>, options: OnlineStateOptions) {
    this.plan = plan;
    this.#options = options;
    this.#exact = plan.groups.map((group) => (group.group.exact ? new ExactGroup(group) : undefined));
    this.#tiled = plan.groups.map((group) => (group.group.exact ? undefined : new TiledGroup(group)));
    const keepMs = plan.horizonMs + options.readBehindMs;
    for (const source of plan.sources.values()) {
      const count = partitions.get(source.source.name) ?? 1;
      if (count > PARTITIONS_MAX) {
        throw new PlatformError(
          'CONFIGURATION',
          `At most ${String(PARTITIONS_MAX)} partitions; got ${String(count)}`,
        );
      }
      const matured = source.groups.filter((group) => group.labelName !== undefined);
      this.#sources.set(source.source.name, {
        plan: source,
        positions: Array.from({ length: count }, () => 0),
        known: Array.from({ length: count }, () => new ExpiringIndex(SLOTS + matured.length, keepMs)),
        matured,
        duplicates: 0,
      });
    }
    for (const label of plan.labels) this.#outcomes.set(label.label.name, new ExpiringIndex(1, keepMs));
  }

  /** The state's clock: the largest instant issued or passed so far, -Infinity before the first. */
  get clock(): number {
    return this.#clock;
  }

  /** Moves the clock forward; a smaller instant changes nothing. */
  advance(instant: number): void {
    if (instant <= this.#clock) return;
    this.#clock = instant;
    for (const group of this.#tiled) group?.advance(instant);
  }

  positions(source: string): readonly number[] {
    return this.#source(source).positions;
  }

  duplicates(source: string): number {
    return this.#source(source).duplicates;
  }

  sizes(): { group: string; keys: number; events: number; bytes: number }[] {
    return this.plan.groups.map((plan, index) => ({
      group: plan.group.name,
      ...(this.#exact[index]?.size ?? this.#tiled[index]?.size ?? { keys: 0, events: 0, bytes: 0 }),
    }));
  }

  /** Notes that a record of the log is no event under the present contract, so that the position moves on. */
  skip(source: string, partition: number, offset: number): void {
    this.#source(source).positions[partition] = offset + 1;
  }

  /** Applies the record at an offset. Records of a partition come in order; one seen before is left alone. */
  apply(source: string, partition: number, offset: number, event: Event): Applied | 'seen' {
    const state = this.#source(source);
    if (offset < (state.positions[partition] ?? 0)) return 'seen';
    state.positions[partition] = offset + 1;
    const known = state.known[partition];
    if (known === undefined)
      throw new PlatformError('INTERNAL', `'${source}' has no partition ${String(partition)}`);
    if (known.locate(event.id)) {
      state.duplicates += 1;
      return 'duplicate';
    }
    known.insert(event.id, event.time);
    known.set(OFFSET, offset);
    known.set(TIME, event.time);
    this.#addToGroups(state, known, placeOf(partition, offset), event);
    for (const label of state.plan.outcomes) this.#learn(label, event);
    return 'applied';
  }

  /**
   * The vector for an event to decide on. `instant` is the wanted asOf; what was used is returned: the clock if that is
   * later and the vector has tiles, which cannot be cut behind it. Tiles move the clock to asOf, since nothing at or after
   * the clock is in a tile; exact groups leave it alone.
   */
  read(vector: VectorPlan, event: Event, instant: number): { asOf: number; values: (number | null)[] } {
    const asOf = vector.exact ? instant : Math.max(instant, this.#clock);
    if (!vector.exact) this.advance(asOf);
    const place = this.#place(vector, event, asOf);
    const results = vector.groups.map((plan) => {
      const key = event.values[plan.group.key];
      const candidate: Candidate = {
        values: event.values,
        ...place,
        own: plan.group.from.source.name === vector.candidate.source.name,
      };
      const output: (number | null)[] = [];
      const exact = this.#exact[plan.index];
      if (exact !== undefined && asOf < exact.completeFrom) throw this.#tooOld(plan, asOf);
      (exact ?? this.#tiled[plan.index])?.read(String(key), asOf, candidate, output);
      return output;
    });
    const values = vector.values.map((value) =>
      value.from === 'group'
        ? (results[value.group]?.[value.index] ?? null)
        : numberOrNull(value.evaluate(event.values)),
    );
    return { asOf, values };
  }

  /** Forgets what no window can see any more. */
  expire(): void {
    const before = this.#clock - this.#options.readBehindMs;
    if (!Number.isFinite(before)) return;
    for (const group of this.#exact) group?.drop(before - group.plan.windowMsMax);
    for (const group of this.#tiled) group?.drop(this.#clock);
    for (const state of this.#sources.values()) {
      for (const known of state.known) known.expire(before - this.plan.horizonMs);
    }
    for (const outcomes of this.#outcomes.values()) outcomes.expire(before - this.plan.horizonMs);
  }

  /** State, positions and clock in one piece, copied: the writer can be finished while records are applied. */
  save(): SectionWriter {
    this.expire();
    const writer = new SectionWriter();
    writer.json({
      hashes: this.plan.hashes,
      clock: Number.isFinite(this.#clock) ? this.#clock : null,
      sources: [...this.#sources].map(([source, state]) => ({
        source,
        positions: [...state.positions],
        duplicates: state.duplicates,
      })),
    });
    for (const state of this.#sources.values()) for (const known of state.known) known.save(writer);
    for (const outcomes of this.#outcomes.values()) outcomes.save(writer);
    for (const [index] of this.plan.groups.entries())
      (this.#exact[index] ?? this.#tiled[index])?.save(writer);
    return writer;
  }

  /** Loads what {@link save} made. `false`, and nothing is loaded, when it belongs to other definitions. The state must be new. */
  load(bytes: Uint8Array): boolean {
    const reader = new SectionReader(bytes);
    const head = reader.json<{
      hashes: string[];
      clock: number | null;
      sources: { source: string; positions: number[]; duplicates: number }[];
    }>();
    if (JSON.stringify(head.hashes) !== JSON.stringify(this.plan.hashes)) return false;
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
    for (const [index] of this.plan.groups.entries())
      (this.#exact[index] ?? this.#tiled[index])?.load(reader);
    this.#clock = head.clock ?? Number.NEGATIVE_INFINITY;
    return true;
  }

  #addToGroups(state: SourceState, known: ExpiringIndex, sequence: number, event: Event): void {
    // An event may be needed until the longest window at the oldest instant that can still be read has passed it.
    const before = this.#clock - this.#options.readBehindMs;
    for (const plan of state.plan.groups) {
      const key = event.values[plan.group.key];
      if (key === null || key === undefined) continue;
      const time = event.time + plan.delayMs;
      const exact = this.#exact[plan.index];
      if (exact === undefined) {
        this.#tiled[plan.index]?.add(String(key), time, sequence, event.values, this.#clock);
        continue;
      }
      const label = plan.group.from.matured;
      const positive = label !== undefined && this.#isPositive(label.name, event.id, time);
      const slot = exact.add(String(key), time, sequence, event.values, positive, before - plan.windowMsMax);
      if (label !== undefined) known.set(SLOTS + state.matured.indexOf(plan), slot);
    }
  }

  #isPositive(label: string, id: string, maturity: number): boolean {
    const outcomes = this.#outcomes.get(label);
    // Only outcomes from before the maturity count: whoever is decided on at the maturity could know no later one.
    return outcomes?.locate(id) === true && outcomes.get(0) < maturity;
  }

  /** Takes in an outcome: keeps the earliest for events still to come, and marks the event where it is known. */
  #learn(plan: LabelPlan, outcome: Event): void {
    const { label } = plan;
    const target = String(outcome.values[label.on]);
    const outcomes = this.#outcomes.get(label.name);
    if (outcomes === undefined) return;
    if (!outcomes.locate(target)) {
      // Kept by when it came: one with an old time may be ahead of its event nevertheless.
      outcomes.insert(target, Math.max(outcome.time, this.#clock));
      outcomes.set(0, outcome.time);
    } else if (outcome.time < outcomes.get(0)) outcomes.set(0, outcome.time);
    const labelled = this.#source(label.of.name);
    for (const [partition, known] of labelled.known.entries()) {
      if (!known.locate(target)) continue;
      const maturity = known.get(TIME) + label.maturesAfterMs;
      if (outcome.time >= maturity) continue;
      for (const [column, group] of labelled.matured.entries()) {
        if (group.labelName !== label.name) continue;
        const sequence = placeOf(partition, known.get(OFFSET));
        this.#exact[group.index]?.markPositive(known.get(SLOTS + column), maturity, sequence);
      }
    }
  }

  /** Where the candidate itself is stored, if it is and can still matter. */
  #place(vector: VectorPlan, event: Event, asOf: number): { sequence: number; time: number } {
    const { known } = this.#source(vector.candidate.source.name);
    const partition = partitionOf(event.key, known.length);
    const index = known[partition];
    if (index?.locate(event.id) !== true || index.get(TIME) < asOf - vector.horizonMs) {
      return { sequence: Number.POSITIVE_INFINITY, time: event.time };
    }
    return { sequence: placeOf(partition, index.get(OFFSET)), time: index.get(TIME) };
  }

  #source(name: string): SourceState {
    const state = this.#sources.get(name);
    if (state === undefined)
      throw new PlatformError('SOURCE_NOT_FOUND', `The app defines no source '${name}'`);
    return state;
  }

  #tooOld(plan: GroupPlan, asOf: number): PlatformError {
    return new PlatformError(
      'UNPROCESSABLE',
      `Group '${plan.group.name}' no longer keeps all events of its windows at ${new Date(asOf).toISOString()}`,
      { details: { group: plan.group.name, asOf } },
    );
  }
}

function numberOrNull(value: number | boolean | string | null): number | null {
  return value === null ? null : Number(value);
}

/** Positions of the sources that decide a vector's values. */
export function vectorPositions(state: OnlineState, vector: VectorPlan): Positions {
  return Object.fromEntries(
    vector.sources.map((plan) => [plan.source.name, [...state.positions(plan.source.name)]]),
  );
}
