import type { Event, Positions } from '../../../contract/index.ts';
import { OnlineState, vectorPositions, vectorValues } from '../online/online-state.ts';
import { Shard } from '../online/shard.ts';
import type { Plan, VectorPlan } from '../plan.ts';

/** A record as it lies in the log. */
export interface Stored {
  readonly source: string;
  readonly partition: number;
  readonly offset: number;
  readonly event: Event;
}

export interface FleetOptions {
  readonly plan: Plan;
  /** Of each source, by name. */
  readonly partitions: ReadonlyMap<string, number>;
  readonly replicas: number;
  readonly statePartitions: number;
  /** What the clocks of the replicas go by, as the option of the service. */
  readonly clock: 'wall' | 'event';
  /** How far behind its clock a replica can be read, in milliseconds. */
  readonly readBehindMs: number;
}

export interface FleetRow {
  readonly asOf: number;
  readonly values: readonly (number | null)[];
  /** By group of the vector. */
  readonly positions: readonly Positions[];
}

/**
 * Replicas without processes: states that stand at different positions of one log, own some shards each, hand them over, save
 * and lose them, as those of the service do. What it answers must depend on nothing but the records below each group's
 * positions.
 */
export class Fleet {
  readonly #options: FleetOptions;
  readonly #states: OnlineState[];
  /** By state partition. */
  readonly #owners: number[];
  readonly #snapshots: (Uint8Array | undefined)[];
  readonly #cores: Uint8Array[] = [];
  /** By source and partition, each at the index of its offset. */
  readonly #log = new Map<string, readonly Stored[][]>();

  constructor(options: FleetOptions) {
    this.#options = options;
    for (const [source, count] of options.partitions)
      this.#log.set(
        source,
        Array.from({ length: count }, () => []),
      );
    this.#states = Array.from({ length: options.replicas }, () => this.#makeState());
    this.#owners = Array.from({ length: options.statePartitions }, (_, index) => index % options.replicas);
    this.#snapshots = this.#owners.map(() => undefined);
    for (const [partition, owner] of this.#owners.entries())
      this.#states[owner]?.attach(new Shard(options.plan, partition));
  }

  /** Appends an event to the log and gives its offset; nobody has applied it yet. */
  append(source: string, partition: number, event: Event): number {
    const log = this.#records(source, partition);
    return log.push({ source, partition, offset: log.length, event }) - 1;
  }

  /** Lets a replica apply up to `count` records of one partition. */
  deliver(replica: number, source: string, partition: number, count: number, now: number): void {
    const state = this.#state(replica);
    const isEventClock = this.#options.clock === 'event';
    if (!isEventClock) state.advance(now);
    const log = this.#records(source, partition);
    const from = state.positions(source)[partition] ?? 0;
    const to = Math.min(log.length, from + count);
    const events = log.slice(from, to).map((item) => item.event);
    state.applyAll(source, partition, from, events, isEventClock);
    // At any moment, for what can be forgotten must not show.
    for (let offset = from; offset < to; offset += 1) state.sweep();
  }

  deliverAll(replica: number, now: number): void {
    for (const [source, partitions] of this.#options.partitions)
      for (let partition = 0; partition < partitions; partition += 1)
        this.deliver(replica, source, partition, Number.MAX_SAFE_INTEGER, now);
  }

  /** Saves the shard as its owner has it, if it is complete. */
  save(partition: number): void {
    const state = this.#state(this.#owners[partition] ?? 0);
    forget(state);
    const shard = state.shard(partition);
    if (shard === undefined || !state.isComplete(partition)) return;
    this.#snapshots[partition] = shard.save(state.core.allPositions(), state.clock, 1).finish();
  }

  /** Gives the number of the snapshot. */
  saveCore(replica: number): number {
    const state = this.#state(replica);
    forget(state);
    return this.#cores.push(state.core.save().finish()) - 1;
  }

  /** Attaches the shard at another replica, from its snapshot or empty; {@link finish} makes that one the owner. */
  prepare(partition: number, replica: number, fromSnapshot: boolean): void {
    if (this.#owners[partition] === replica) return;
    this.#attach(partition, replica, fromSnapshot);
  }

  /** Hands the shard over to a replica that has prepared and can answer; without `orderly` the owner just loses it. */
  finish(partition: number, replica: number, orderly: boolean, now: number): void {
    const owner = this.#owners[partition] ?? 0;
    const taker = this.#state(replica);
    if (owner === replica || taker.shard(partition) === undefined) return;
    this.fill(partition, replica);
    if (orderly && !taker.isComplete(partition)) return;
    if (this.#options.clock === 'wall') taker.advance(now);
    this.#state(owner).detach(partition);
    this.#owners[partition] = replica;
  }

  /** Fills the gaps of a shard. */
  fill(partition: number, replica: number): void {
    const state = this.#state(replica);
    const shard = state.shard(partition);
    if (shard === undefined) return;
    const shards: (Shard | undefined)[] = this.#owners.map(() => undefined);
    shards[partition] = shard;
    const byOutcomes = [...this.#options.plan.sources.values()].sort(
      (left, right) => left.outcomes.length - right.outcomes.length,
    );
    for (const { source } of byOutcomes) {
      for (const gap of shard.gaps) {
        if (gap.source !== source.name) continue;
        for (const item of this.#records(gap.source, gap.partition).slice(gap.from, gap.to))
          state.catchUp(shards, item.source, item.partition, item.offset, item.event);
      }
    }
    shard.gaps = [];
  }

  /** Forgets a replica's state and starts it anew from some snapshot of a core, with its shards from theirs. */
  restart(replica: number, core: number, now: number): void {
    const state = this.#makeState();
    const bytes = this.#cores[core % Math.max(1, this.#cores.length)];
    if (bytes !== undefined && !state.core.load(bytes)) throw new Error('the snapshot was refused');
    this.#states[replica] = state;
    if (this.#options.clock === 'wall') state.advance(now);
    for (const [partition, owner] of this.#owners.entries())
      if (owner === replica) this.#attach(partition, replica, true);
  }

  /**
   * The vector at `instant`, or later when an owner cannot be read at it any more. `undefined` when it would be refused: with an
   * event clock, for an instant that is out of reach.
   */
  read(vector: VectorPlan, event: Event, instant: number, now: number): FleetRow | undefined {
    const isWall = this.#options.clock === 'wall';
    const owners = vector.groups.map((plan) => {
      const partition = this.#state(0).partitionOf(String(event.values[plan.group.key]));
      const owner = this.#owners[partition] ?? 0;
      this.fill(partition, owner);
      if (!this.#state(owner).isComplete(partition)) this.deliverAll(owner, now);
      return owner;
    });
    const distinct = [...new Set(owners)];
    if (isWall) for (const owner of distinct) this.#state(owner).advance(instant);
    const clock = Math.max(...distinct.map((owner) => this.#state(owner).clock));
    if (!isWall && !vector.exact && instant > clock + this.#options.readBehindMs) return undefined;
    const readable = distinct.map((owner) =>
      this.#state(owner).readableAt(vector, event, (group) => owners[group] === owner),
    );
    // Further back than this a state promises nothing: ids may be forgotten there.
    const asOf = Math.max(instant, clock - this.#options.readBehindMs, ...readable);
    if (!isWall && vector.exact && asOf > instant) return undefined;
    const results: ((number | null)[] | null)[] = vector.groups.map(() => null);
    for (const owner of distinct) {
      const state = this.#state(owner);
      const read = state.readGroups(vector, event, asOf, (group) => owners[group] === owner);
      for (const [group, values] of read.entries()) if (values !== null) results[group] = values;
    }
    return {
      asOf,
      values: vectorValues(vector, event, results),
      positions: owners.map((owner) => vectorPositions(this.#state(owner), vector)),
    };
  }

  #attach(partition: number, replica: number, fromSnapshot: boolean): void {
    const shard = new Shard(this.#options.plan, partition);
    const bytes = this.#snapshots[partition];
    if (fromSnapshot && bytes !== undefined && !shard.load(bytes))
      throw new Error('the snapshot was refused');
    this.#state(replica).attach(shard);
  }

  #makeState(): OnlineState {
    const { plan, partitions, statePartitions, readBehindMs } = this.#options;
    return new OnlineState(plan, partitions, { readBehindMs, statePartitions });
  }

  #state(replica: number): OnlineState {
    const state = this.#states[replica];
    if (state === undefined) throw new Error(`there is no replica ${String(replica)}`);
    return state;
  }

  #records(source: string, partition: number): Stored[] {
    const log = this.#log.get(source)?.[partition];
    if (log === undefined) throw new Error(`there is no partition ${String(partition)} of ${source}`);
    return log;
  }
}

/** Forgets all that no window sees any more: one round, whose looks are at more keys and ids than a stream has. */
function forget(state: OnlineState): void {
  while (!state.sweep());
}
