import type { Event } from '../../../contract/index.ts';
import { SLICE_EVENTS_MAX } from '../online/approach.ts';
import type { PositionsBySource } from '../online/core.ts';
import { OnlineState, vectorPositions } from '../online/online-state.ts';
import type { SectionWriter } from '../online/sections.ts';
import { type Gap, Shard } from '../online/shard.ts';
import { archivedEvents } from '../offline/event-tables.ts';
import type { Plan, SourcePlan, VectorPlan } from '../plan.ts';
import { fillerOf, narrowGaps } from './gaps.ts';
import type {
  ArchivedRows,
  GroupRow,
  GroupRows,
  GroupSizes,
  Ids,
  ReadAsk,
  ReadAt,
  Records,
  SavedState,
  StateHost,
} from './state-host.ts';

/** How many records are applied between two looks at the time: what the state takes as one slice. */
const RECORDS_PER_LOOK = SLICE_EVENTS_MAX;

/** What a state is made of. */
export interface StateOptions {
  /** Partitions of each source. */
  readonly partitions: ReadonlyMap<string, number>;
  readonly readBehindMs: number;
  readonly statePartitions: number;
  /** Whether events move the clock. */
  readonly eventClock: boolean;
}

/** How long work goes on before other work gets its turn. */
export interface Turns {
  readonly sliceMs: number;
  monotonic(): number;
  turn(): Promise<void>;
}

/**
 * The state in this thread. Without turns while it applies (`sliceMs: Infinity`) every call but a save has had its effect when it
 * returns: calls may then be made one after the other without waiting.
 */
export class LocalState implements StateHost {
  readonly plan: Plan;
  readonly #options: StateOptions;
  readonly #turns: Turns;
  #state: OnlineState;

  constructor(plan: Plan, options: StateOptions, turns: Turns) {
    this.plan = plan;
    this.#options = options;
    this.#turns = turns;
    this.#state = this.#makeState();
  }

  get statePartitions(): number {
    return this.#options.statePartitions;
  }

  get clock(): number {
    return this.#state.clock;
  }

  advance(instant: number): void {
    this.#state.advance(instant);
  }

  partitionOf(key: string): number {
    return this.#state.partitionOf(key);
  }

  positions(source: string): readonly number[] {
    return this.#state.positions(source);
  }

  allPositions(): PositionsBySource {
    return this.#state.core.allPositions();
  }

  next(source: string, partition: number): number {
    return this.#state.positions(source)[partition] ?? 0;
  }

  async apply(source: string, records: Records): Promise<void> {
    const state = this.#state;
    const plan = this.#source(source);
    const { partition, base, count } = records;
    const slice = new Slice(this.#turns);
    const first = Math.max(0, this.next(source, partition) - base);
    for (let index = first; index < count; index += RECORDS_PER_LOOK) {
      const end = Math.min(count, index + RECORDS_PER_LOOK);
      const events: (Event | undefined)[] = [];
      for (let record = index; record < end; record += 1) events.push(plan.records.read(records, record));
      state.applyAll(source, partition, base + index, events, this.#options.eventClock);
      if (slice.isOver(0)) await slice.turn();
    }
  }

  async applyArchived({ source, partition, result }: ArchivedRows): Promise<void> {
    const state = this.#state;
    const slice = new Slice(this.#turns);
    for (const [index, { offset, event }] of archivedEvents(this.#source(source).source, result).entries()) {
      if (this.#options.eventClock) state.advance(event.time);
      state.apply(source, partition, offset, event);
      if (slice.isOver(index)) await slice.turn();
    }
  }

  async skip(source: string, partition: number, _from: number, to: number): Promise<void> {
    if (this.next(source, partition) < to) this.#state.skip(source, partition, to - 1);
  }

  async attach(partition: number, snapshot: Uint8Array | undefined): Promise<string | undefined> {
    const shard = new Shard(this.plan, partition);
    const refusal = snapshot === undefined ? undefined : refused(() => shard.load(snapshot));
    this.#state.attach(refusal === undefined ? shard : new Shard(this.plan, partition));
    return refusal;
  }

  detach(partition: number): void {
    this.#state.detach(partition);
  }

  isComplete(partition: number): boolean {
    return this.#state.isComplete(partition);
  }

  gaps(partition: number): readonly Gap[] {
    return this.#state.shard(partition)?.gaps ?? [];
  }

  /** From which positions on the state partition takes live records. */
  takesFrom(partition: number): PositionsBySource {
    return this.#state.shard(partition)?.from ?? new Map();
  }

  async catchUp(
    partitions: readonly number[],
    source: string,
    { to, batches }: { readonly to: number; readonly batches: readonly Records[] },
  ): Promise<void> {
    const plan = this.#source(source);
    const slice = new Slice(this.#turns);
    for (const batch of batches) {
      const { partition, base, count } = batch;
      const shards = this.#shards(partitions);
      const gaps = fillerOf(this.#state, shards, source, partition);
      const end = Math.min(to, base + count);
      for (let offset = Math.max(base, gaps.from); offset < end; offset += 1) {
        const event = plan.records.read(batch, offset - base);
        if (event !== undefined) gaps.fill(offset, event);
        if (slice.isOver(offset - base)) await slice.turn();
      }
      narrowGaps(shards, source, partition, end);
    }
  }

  async catchUpArchived(partitions: readonly number[], rows: ArchivedRows, to: number): Promise<void> {
    const { source, partition, result } = rows;
    const shards = this.#shards(partitions);
    const gaps = fillerOf(this.#state, shards, source, partition);
    const slice = new Slice(this.#turns);
    for (const [index, { offset, event }] of archivedEvents(this.#source(source).source, result).entries()) {
      gaps.fill(offset, event);
      if (slice.isOver(index)) await slice.turn();
    }
    narrowGaps(shards, source, partition, to);
  }

  async read(vector: VectorPlan, asks: readonly ReadAsk[], at: ReadAt): Promise<GroupRows> {
    const state = this.#state;
    const positions = vectorPositions(state, vector);
    // With an event clock an instant that is too old stays so, but for tiles, which are read at the clock.
    if (at === 'exactly' && !(this.#options.eventClock && vector.exact)) {
      const late = asks
        .map((ask) => ({ ask, earliest: state.readableAt(vector, ask.event, wantedOf(ask)) }))
        .filter(({ ask, earliest }) => earliest > ask.instant);
      if (late.length > 0) {
        const later = Math.ceil(Math.max(...late.map(({ earliest }) => earliest)));
        return { positions, later, rows: [] };
      }
    }
    const rows: GroupRow[] = [];
    // In the order of the instants, for tiles move the clock.
    const order = [...asks.entries()];
    if (at === 'exactly') order.sort(([, left], [, right]) => left.instant - right.instant);
    for (const [index, ask] of order) {
      const isFixed = at === 'exactly' || (at === 'wanted' && vector.exact);
      const asOf = isFixed ? ask.instant : Math.max(ask.instant, state.clock);
      rows[index] = { asOf, groups: state.readGroups(vector, ask.event, asOf, wantedOf(ask)) };
    }
    return { positions, later: null, rows };
  }

  async restoreCore(bytes: Uint8Array): Promise<string | undefined> {
    const state = this.#makeState();
    const refusal = refused(() => state.core.load(bytes));
    if (refusal === undefined) this.#state = state;
    return refusal;
  }

  async expire(): Promise<void> {
    while (!this.#state.sweep()) await this.#turns.turn();
  }

  async saveShard(partition: number, epoch: number): Promise<SavedState | undefined> {
    const state = this.#state;
    const shard = state.shard(partition);
    if (shard === undefined || !state.isComplete(partition)) return undefined;
    const positions = state.core.allPositions();
    return this.#saved(shard.save(positions, state.clock, epoch), positions);
  }

  async saveCore(): Promise<SavedState> {
    const { core } = this.#state;
    return this.#saved(core.save(), core.allPositions());
  }

  async refresh(): Promise<void> {
    // It is all here.
  }

  duplicates(source: string): number {
    return this.#state.duplicates(source);
  }

  ids(source: string): Ids {
    return this.#state.core.idsOf(source);
  }

  sizes(): readonly GroupSizes[] {
    return this.#state.sizes();
  }

  get trouble(): undefined {
    return undefined;
  }

  listen(): void {
    // Nothing is lost here but with the process.
  }

  async stop(): Promise<void> {
    // It goes with the process.
  }

  /** The rest goes on while records are applied: what is to be encoded is copied by then. */
  async #saved(writer: SectionWriter, positions: PositionsBySource): Promise<SavedState> {
    return { bytes: await writer.finishInTurns(() => this.#turns.turn()), positions };
  }

  #shards(partitions: readonly number[]): Shard[] {
    return partitions.flatMap((partition) => this.#state.shard(partition) ?? []);
  }

  #source(name: string): SourcePlan {
    return this.#state.core.source(name);
  }

  #makeState(): OnlineState {
    const { partitions, readBehindMs, statePartitions } = this.#options;
    return new OnlineState(this.plan, partitions, { readBehindMs, statePartitions });
  }
}

/** Tells when work has gone on for long enough. */
class Slice {
  readonly #turns: Turns;
  #start: number;

  constructor(turns: Turns) {
    this.#turns = turns;
    this.#start = turns.monotonic();
  }

  isOver(index: number): boolean {
    return index % RECORDS_PER_LOOK === 0 && this.#turns.monotonic() - this.#start > this.#turns.sliceMs;
  }

  async turn(): Promise<void> {
    await this.#turns.turn();
    this.#start = this.#turns.monotonic();
  }
}

function wantedOf({ groups }: ReadAsk): (group: number) => boolean {
  return (group) => groups.includes(group);
}

/** Why a snapshot cannot be used: its bytes are those that were saved, but another version of the product may have saved them. */
function refused(load: () => boolean): string | undefined {
  try {
    return load() ? undefined : 'it belongs to other definitions';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
