import type { Values } from '../../../define/index.ts';
import type { GroupPlan, Plan } from '../plan.ts';
import type { PositionsBySource } from './core.ts';
import { type Candidate, ExactGroup } from './exact-group.ts';
import { SectionReader, SectionWriter } from './sections.ts';
import { TiledGroup } from './tiled-group.ts';
import type { TileStore } from './tile-store.ts';
import type { Verdict } from './verdict.ts';

/** A stretch of a source's partition that a shard lacks: offsets `from .. to - 1`. */
export interface Gap {
  readonly source: string;
  readonly partition: number;
  readonly from: number;
  readonly to: number;
}

interface ShardHead {
  readonly hashes: readonly string[];
  readonly partition: number;
  /** Of the claim under which it was saved: no two owners ever save the same bytes. */
  readonly epoch: number;
  readonly clock: number | null;
  readonly positions: Readonly<Record<string, readonly number[]>>;
}

/** Sizes of a group. */
export interface GroupSize {
  readonly keys: number;
  readonly events: number;
  readonly bytes: number;
}

/** One state partition: the groups' state of the keys that fall into it. */
export class Shard {
  readonly partition: number;
  readonly #plan: Plan;
  readonly #exact: readonly (ExactGroup | undefined)[];
  readonly #tiled: readonly (TiledGroup | undefined)[];
  /** The clock that its snapshot had. */
  clock = Number.NEGATIVE_INFINITY;
  /** What its snapshot covers; 0 everywhere for a new one. */
  covered: PositionsBySource = new Map();
  /** Live records are taken from here on; earlier ones are covered or caught up. */
  from: PositionsBySource = new Map();
  /** What is still to be caught up. */
  gaps: readonly Gap[] = [];
  /** Whether it holds all that the core has applied: once it does, it always does. */
  complete = false;

  constructor(plan: Plan, partition: number) {
    this.#plan = plan;
    this.partition = partition;
    this.#exact = plan.groups.map((group) => (group.keepsEvents ? new ExactGroup(group) : undefined));
    this.#tiled = plan.groups.map((group) => (group.keepsEvents ? undefined : new TiledGroup(group)));
  }

  /** Whether a live record is still to be taken in. */
  takes(source: string, partition: number, offset: number): boolean {
    return this.complete || offset >= (this.from.get(source)?.[partition] ?? 0);
  }

  /** Earliest time of an event that waits for the clock, Infinity when none does. */
  get nextHeld(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const group of this.#tiled) if (group !== undefined && group.nextHeld < next) next = group.nextHeld;
    return next;
  }

  advance(clock: number): void {
    for (const group of this.#tiled) group?.advance(clock);
  }

  /** Adds an event to a group that keeps events. Arguments as in {@link ExactGroup.add}. */
  addExact(
    plan: GroupPlan,
    key: string,
    time: number,
    place: number,
    values: Values,
    verdict: Verdict,
    droppable: number,
  ): void {
    this.#exact[plan.index]?.add(key, time, place, values, verdict, droppable);
  }

  /** Adds an event to a group of tiles. Arguments as in {@link TiledGroup.add}. */
  addTiled(
    plan: GroupPlan,
    key: string,
    time: number,
    place: number,
    values: Values,
    clock: number,
    slot?: number,
  ): void {
    this.#tiled[plan.index]?.add(key, time, place, values, clock, slot);
  }

  /** The tiles of a group; undefined for an exact one. */
  tilesOf(plan: GroupPlan): TileStore | undefined {
    return this.#tiled[plan.index]?.store;
  }

  /** Takes an event out where it is kept here. */
  remove(group: number, time: number, place: number): void {
    this.#exact[group]?.remove(time, place);
  }

  /** Notes what an outcome says of the event where it is kept here. */
  mark(group: number, maturity: number, place: number, verdict: Exclude<Verdict, 'unknown'>): void {
    this.#exact[group]?.mark(maturity, place, verdict);
  }

  /** Instants from which a group's windows are complete; -Infinity for tiles, which are read at the clock alone. */
  completeFrom(plan: GroupPlan): number {
    return this.#exact[plan.index]?.completeFrom ?? Number.NEGATIVE_INFINITY;
  }

  read(plan: GroupPlan, key: string, asOf: number, candidate: Candidate, output: (number | null)[]): void {
    (this.#exact[plan.index] ?? this.#tiled[plan.index])?.read(key, asOf, candidate, output);
  }

  /**
   * Drops, of the next `keys` keys of each group, what no window can see at `readableFrom` or later; tiles are only read at the
   * clock.
   */
  sweep(readableFrom: number, clock: number, keys: number): void {
    for (const group of this.#exact) group?.sweep(readableFrom - group.plan.windowMsMax, keys);
    for (const group of this.#tiled) group?.sweep(clock, keys);
  }

  size(group: number): GroupSize {
    return this.#exact[group]?.size ?? this.#tiled[group]?.size ?? { keys: 0, events: 0, bytes: 0 };
  }

  /** The shard in one piece, copied. It must be complete: what it covers are the core's positions. */
  save(positions: PositionsBySource, clock: number, epoch: number): SectionWriter {
    const writer = new SectionWriter();
    writer.json({
      hashes: this.#plan.hashes,
      partition: this.partition,
      epoch,
      clock: Number.isFinite(clock) ? clock : null,
      positions: Object.fromEntries(positions),
    } satisfies ShardHead);
    for (const [index] of this.#plan.groups.entries())
      (this.#exact[index] ?? this.#tiled[index])?.save(writer);
    return writer;
  }

  /** Loads what {@link save} made; `false`, and nothing is loaded, when it belongs to others. The shard must be new. */
  load(bytes: Uint8Array): boolean {
    const reader = new SectionReader(bytes);
    const head = reader.json<ShardHead>();
    if (JSON.stringify(head.hashes) !== JSON.stringify(this.#plan.hashes)) return false;
    if (head.partition !== this.partition) return false;
    for (const [index] of this.#plan.groups.entries())
      (this.#exact[index] ?? this.#tiled[index])?.load(reader);
    this.clock = head.clock ?? Number.NEGATIVE_INFINITY;
    this.covered = new Map(Object.entries(head.positions));
    return true;
  }
}
