import { type Event, partitionOf, PlatformError, type Positions } from '../../../contract/index.ts';
import type { GroupPlan, LabelPlan, Plan, SourcePlan, VectorPlan } from '../plan.ts';
import { placeOf } from '../place.ts';
import { Approach, SLICE_EVENTS_MAX } from './approach.ts';
import { type Applied, Core } from './core.ts';
import type { Candidate } from './exact-group.ts';
import { type Gap, type GroupSize, Shard } from './shard.ts';
import type { Verdict } from './verdict.ts';

/** Keys, of all groups of a shard, and ids of a source that one {@link OnlineState.sweep} looks at. */
const SWEEP_KEYS = 4_096;
const SWEEP_IDS = 8_192;

export interface OnlineStateOptions {
  /**
   * How far behind the clock a vector of exact groups may still be read, in milliseconds. Replayed sources are read at
   * their events' times while the log is already further on.
   */
  readonly readBehindMs: number;
  /** Number of state partitions that the keys are cut into. */
  readonly statePartitions: number;
}

/**
 * Online features of an app, as far as one process keeps them: the {@link Core} and the {@link Shard}s of its state
 * partitions. The service feeds it from the log, replay from the archive. Values depend only on the set of applied records and
 * the instant of the read, never on the order in which partitions were applied or shards came.
 */
export class OnlineState {
  readonly plan: Plan;
  readonly core: Core;
  readonly statePartitions: number;
  readonly #shards: (Shard | undefined)[];
  readonly #approach: Approach;
  /** By shard: earliest time of an event that waits for the clock. */
  readonly #nextHeld: Float64Array;
  /** The shard that a sweep goes on with; after the last one comes the core. */
  #swept = 0;
  #latestKey: string | undefined;
  #latestPartition = 0;

  constructor(plan: Plan, partitions: ReadonlyMap<string, number>, options: OnlineStateOptions) {
    this.plan = plan;
    this.core = new Core(plan, partitions, options.readBehindMs);
    this.statePartitions = options.statePartitions;
    this.#shards = Array.from({ length: options.statePartitions }, () => undefined);
    this.#approach = new Approach(this.core, this);
    this.#nextHeld = new Float64Array(options.statePartitions).fill(Number.POSITIVE_INFINITY);
  }

  /** The state's clock: the largest instant issued or passed so far, -Infinity before the first. */
  get clock(): number {
    return this.core.clock;
  }

  /** Moves the clock forward; a smaller instant changes nothing. */
  advance(instant: number): void {
    if (!this.core.advance(instant)) return;
    for (let partition = 0; partition < this.#nextHeld.length; partition += 1) {
      if ((this.#nextHeld[partition] ?? 0) < instant) this.#advanceShard(partition);
    }
  }

  positions(source: string): readonly number[] {
    return this.core.positions(source);
  }

  duplicates(source: string): number {
    return this.core.duplicates(source);
  }

  sizes(): ({ readonly group: string } & GroupSize)[] {
    return this.plan.groups.map((plan, index) => {
      const total = { keys: 0, events: 0, bytes: 0 };
      for (const shard of this.#shards) {
        const size = shard?.size(index);
        total.keys += size?.keys ?? 0;
        total.events += size?.events ?? 0;
        total.bytes += size?.bytes ?? 0;
      }
      return { group: plan.group.name, ...total };
    });
  }

  shard(partition: number): Shard | undefined {
    return this.#shards[partition];
  }

  /** The state partition of a group's key. */
  partitionOf(key: string): number {
    // Groups of one event mostly share a key.
    if (key !== this.#latestKey) {
      this.#latestKey = key;
      this.#latestPartition = this.statePartitions === 1 ? 0 : partitionOf(key, this.statePartitions);
    }
    return this.#latestPartition;
  }

  /**
   * Puts a shard in, new or loaded, and gives it: a new one instead of one that lies too far behind the corrections that are
   * remembered. From now on it takes live records that its snapshot does not cover; what lies between
   * the snapshot and the core's positions are its gaps, for the caller to {@link catchUp}.
   */
  attach(loaded: Shard): Shard {
    const isUsable = this.core.knowsReplacedSince(loaded.covered);
    const shard = isUsable ? loaded : new Shard(this.plan, loaded.partition);
    const from = new Map<string, readonly number[]>();
    const gaps: Gap[] = [];
    for (const [source, applied] of this.core.allPositions()) {
      const covered = shard.covered.get(source) ?? [];
      from.set(
        source,
        applied.map((offset, partition) => Math.max(offset, covered[partition] ?? 0)),
      );
      for (const [partition, to] of applied.entries()) {
        const start = covered[partition] ?? 0;
        if (start < to) gaps.push({ source, partition, from: start, to });
        this.core.visitReplaced(source, partition, start, (time, place) =>
          this.#remove(source, time, place, [shard]),
        );
      }
    }
    shard.from = from;
    shard.gaps = gaps;
    shard.complete = gaps.length === 0 && this.core.reached(from);
    this.#shards[shard.partition] = shard;
    this.advance(shard.clock);
    shard.advance(this.clock);
    this.#nextHeld[shard.partition] = shard.nextHeld;
    return shard;
  }

  detach(partition: number): void {
    this.#shards[partition] = undefined;
    this.#nextHeld[partition] = Number.POSITIVE_INFINITY;
  }

  /** Whether the state partition is here and holds all that the core has applied. */
  isComplete(partition: number): boolean {
    const shard = this.#shards[partition];
    if (shard === undefined) return false;
    if (!shard.complete && shard.gaps.length === 0) shard.complete = this.core.reached(shard.from);
    return shard.complete;
  }

  /** Notes that a record of the log is no event under the present contract, so that the position moves on. */
  skip(source: string, partition: number, offset: number): void {
    this.core.skip(source, partition, offset);
  }

  /**
   * Applies the record at an offset. Records of a partition come in order; one seen before is left alone. `sliced`: its place in the
   * slice that was approached; -1 when none was.
   */
  apply(source: string, partition: number, offset: number, event: Event, sliced = -1): Applied {
    const approach = this.#approach;
    const applied = this.core.admit(
      source,
      partition,
      offset,
      event,
      sliced < 0 ? undefined : approach.ids[sliced],
    );
    if (applied !== 'applied') return applied;
    const { groups, outcomes, source: definition } = this.core.source(source);
    const { replaced } = this.core;
    if (definition.corrections === true && replaced !== undefined)
      this.#remove(source, replaced.time, replaced.place, this.#shards);
    if (event.deleted === true) return applied;
    const place = placeOf(partition, offset);
    for (let index = 0; index < groups.length; index += 1) {
      const group = groups[index];
      if (group === undefined) continue;
      const value = event.values[group.group.key] ?? null;
      if (value === null) continue;
      const key = String(value);
      const isNear = sliced >= 0 && !group.keepsEvents;
      const near = isNear ? approach.partitions[index]?.[sliced] : undefined;
      const shard = this.#shards[near ?? this.partitionOf(key)];
      if (shard === undefined) continue;
      const slot = isNear ? approach.slots[index]?.[sliced] : undefined;
      if (shard.takes(source, partition, offset)) this.#add(shard, group, key, place, event, slot);
      else this.#mend(shard, group, place, event);
    }
    for (const label of outcomes) {
      const verdict = label.verdict(event.values);
      if (verdict === undefined) continue;
      this.core.learn(label, event, verdict);
      // An outcome that a shard's snapshot covers may name an event that it does not.
      this.#mark(label, event, verdict, this.#shards);
    }
    return applied;
  }

  /**
   * Applies the records from an offset on, each as {@link apply} does; undefined is one that is no event under the present contract.
   * With `isEventClock` the clock goes to the time of each event before it is applied.
   */
  applyAll(
    source: string,
    partition: number,
    offset: number,
    events: readonly (Event | undefined)[],
    isEventClock = false,
  ): void {
    for (let from = 0; from < events.length; from += SLICE_EVENTS_MAX) {
      const slice = events.length <= SLICE_EVENTS_MAX ? events : events.slice(from, from + SLICE_EVENTS_MAX);
      this.#approach.to(source, partition, slice);
      for (let index = 0; index < slice.length; index += 1) {
        const event = slice[index];
        const at = offset + from + index;
        if (event === undefined) {
          this.skip(source, partition, at);
          continue;
        }
        if (isEventClock) this.advance(event.time);
        this.apply(source, partition, at, event, index);
      }
    }
  }

  /**
   * Applies a record out of the gap that these shards have there, if it counts as an event. Shards are at the index of
   * their state partition.
   */
  catchUp(
    shards: readonly (Shard | undefined)[],
    source: string,
    partition: number,
    offset: number,
    event: Event,
  ): void {
    if (event.deleted === true || !this.core.isEvent(source, partition, offset, event.id)) return;
    const plan = this.core.source(source);
    for (const group of plan.groups) {
      const key = event.values[group.group.key];
      if (key === null || key === undefined) continue;
      const shard = shards[this.partitionOf(String(key))];
      if (shard !== undefined) this.#add(shard, group, String(key), placeOf(partition, offset), event);
    }
    for (const label of plan.outcomes) {
      const verdict = label.verdict(event.values);
      if (verdict !== undefined) this.#mark(label, event, verdict, shards);
    }
  }

  /**
   * The vector for an event to decide on, of which every group is here. `instant` is the wanted asOf; what was used is
   * returned: the clock if that is later and the vector has tiles, which cannot be cut behind it. Tiles move the clock to
   * asOf, since nothing at or after the clock is in a tile; exact groups leave it alone.
   */
  read(vector: VectorPlan, event: Event, instant: number): { asOf: number; values: (number | null)[] } {
    const asOf = vector.exact ? instant : Math.max(instant, this.clock);
    if (!vector.exact) this.advance(asOf);
    const place = this.core.place(vector, event, asOf);
    const groups = vector.groups.map((plan) => this.#readGroup(vector, plan, event, place, asOf));
    return { asOf, values: vectorValues(vector, event, groups) };
  }

  /** Values of the groups for which `wanted` says so, at exactly `asOf`, which {@link readableAt} must allow. */
  readGroups(
    vector: VectorPlan,
    event: Event,
    asOf: number,
    wanted: (group: number) => boolean,
  ): ((number | null)[] | null)[] {
    if (!vector.exact) this.advance(asOf);
    const place = this.core.place(vector, event, asOf);
    return vector.groups.map((plan, index) =>
      wanted(index) ? this.#readGroup(vector, plan, event, place, asOf) : null,
    );
  }

  /** The earliest instant at which the groups of the vector can be read, for this key's shards. */
  readableAt(vector: VectorPlan, event: Event, wanted: (group: number) => boolean): number {
    // A shard that is caught up lacks the events whose ids the core has forgotten: none that a window sees from then on.
    let earliest = vector.exact ? this.core.readableFrom : this.clock;
    for (const [index, plan] of vector.groups.entries()) {
      if (!wanted(index)) continue;
      const shard = this.#shards[this.partitionOf(String(event.values[plan.group.key]))];
      earliest = Math.max(earliest, shard?.completeFrom(plan) ?? Number.NEGATIVE_INFINITY);
    }
    return earliest;
  }

  /**
   * Forgets a part of what no window can see any more: a piece of work of about a millisecond, that goes on where the last one
   * ended. `true` when that was the end of a round.
   */
  sweep(): boolean {
    if (!Number.isFinite(this.core.readableFrom)) return true;
    if (this.#swept === this.#shards.length) {
      this.core.sweep(SWEEP_IDS);
      this.#swept = 0;
      return true;
    }
    const keys = Math.ceil(SWEEP_KEYS / Math.max(1, this.plan.groups.length));
    this.#shards[this.#swept]?.sweep(this.core.readableFrom, this.clock, keys);
    this.#swept += 1;
    return false;
  }

  #readGroup(
    vector: VectorPlan,
    plan: GroupPlan,
    event: Event,
    place: { readonly sequence: number; readonly time: number },
    asOf: number,
  ): (number | null)[] {
    const key = String(event.values[plan.group.key]);
    const partition = this.partitionOf(key);
    const shard = this.#shards[partition];
    if (shard === undefined)
      throw new PlatformError('UNAVAILABLE', `State partition ${String(partition)} is not kept here`);
    if (asOf < shard.completeFrom(plan)) throw tooOld(plan, asOf);
    const candidate: Candidate = {
      values: event.values,
      ...place,
      own: plan.group.from.source.name === vector.candidate.source.name,
    };
    const output: (number | null)[] = [];
    shard.read(plan, key, asOf, candidate, output);
    return output;
  }

  #add(shard: Shard, plan: GroupPlan, key: string, place: number, event: Event, slot?: number): void {
    const time = event.time + plan.delayMs;
    if (!plan.keepsEvents) {
      shard.addTiled(plan, key, time, place, event.values, this.clock, slot);
      if (time >= this.clock && time < (this.#nextHeld[shard.partition] ?? 0))
        this.#nextHeld[shard.partition] = time;
      return;
    }
    const label = plan.labelName;
    const verdict = label === undefined ? 'negative' : this.core.verdict(label, event.id, event.time, time);
    // An event may be needed until the longest window at the oldest instant that can still be read has passed it.
    const droppable = this.core.readableFrom - plan.windowMsMax;
    shard.addExact(plan, key, time, place, event.values, verdict, droppable);
  }

  /** Takes an event that was corrected or deleted out of the groups of its source. */
  #remove(source: string, time: number, place: number, shards: readonly (Shard | undefined)[]): void {
    for (const { index, delayMs } of this.core.source(source).groups)
      for (const shard of shards) shard?.remove(index, time + delayMs, place);
  }

  /** The snapshot has the event, but an outcome may have come that it does not cover: nobody knew the event's place then. */
  #mend(shard: Shard, plan: GroupPlan, place: number, event: Event): void {
    const label = plan.labelName;
    if (label === undefined) return;
    const maturity = event.time + plan.delayMs;
    const verdict = this.core.verdict(label, event.id, event.time, maturity);
    const isNews = verdict === 'positive' || plan.group.from.matured?.confirmed === true;
    if (isNews && verdict !== 'unknown') shard.mark(plan.index, maturity, place, verdict);
  }

  #mark(
    label: LabelPlan,
    outcome: Event,
    verdict: Exclude<Verdict, 'unknown'>,
    shards: readonly (Shard | undefined)[],
  ): void {
    if (label.groups.length === 0) return;
    this.core.named(label, outcome, (maturity, place) => {
      for (const shard of shards)
        for (const group of label.groups) shard?.mark(group, maturity, place, verdict);
    });
  }

  #advanceShard(partition: number): void {
    const shard = this.#shards[partition];
    shard?.advance(this.clock);
    this.#nextHeld[partition] = shard?.nextHeld ?? Number.POSITIVE_INFINITY;
  }
}

/** A state that keeps every key in one shard: what replay and tests compare with. */
export function wholeState(
  plan: Plan,
  partitions: ReadonlyMap<string, number>,
  readBehindMs: number,
): OnlineState {
  const state = new OnlineState(plan, partitions, { readBehindMs, statePartitions: 1 });
  state.attach(new Shard(plan, 0));
  return state;
}

/** A vector's values, from the results of its groups and the candidate. */
export function vectorValues(
  vector: VectorPlan,
  event: Event,
  groups: readonly (readonly (number | null)[] | null | undefined)[],
): (number | null)[] {
  return vector.values.map((value) =>
    value.from === 'group'
      ? (groups[value.group]?.[value.index] ?? null)
      : numberOrNull(value.evaluate(event.values)),
  );
}

function numberOrNull(value: number | boolean | string | null): number | null {
  return value === null ? null : Number(value);
}

function tooOld(plan: GroupPlan, asOf: number): PlatformError {
  return new PlatformError(
    'UNPROCESSABLE',
    `Group '${plan.group.name}' no longer keeps all events of its windows at ${new Date(asOf).toISOString()}`,
    { details: { group: plan.group.name, asOf } },
  );
}

/** Positions of the sources that decide a vector's values. */
export function vectorPositions(state: OnlineState, vector: VectorPlan): Positions {
  return Object.fromEntries(
    vector.sources.map((plan: SourcePlan) => [plan.source.name, [...state.positions(plan.source.name)]]),
  );
}
