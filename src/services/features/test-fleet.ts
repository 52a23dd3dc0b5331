import type { Event, Positions } from '../../contract/index.ts';
import { OnlineState, vectorPositions, vectorValues } from './online/online-state.ts';
import { Shard } from './online/shard.ts';
import type { Plan, VectorPlan } from './plan.ts';

/** A record as it lies in the log. */
export interface Stored {
  readonly source: string;
  readonly partition: number;
  readonly offset: number;
  readonly event: Event;
}

/** What a fleet may do wrong, for tests that must find it out. */
export type FleetFault =
  | 'gaps stay'
  | 'snapshots cover nothing'
  | 'outcomes stay behind'
  | 'one position for all';

export interface FleetOptions {
  readonly plan: Plan;
  readonly partitions: ReadonlyMap<string, number>;
  readonly replicas: number;
  readonly statePartitions: number;
  readonly fault?: FleetFault | undefined;
}

export interface FleetRow {
  readonly asOf: number;
  readonly values: readonly (number | null)[];
  /** By group of the vector. */
  readonly positions: readonly Positions[];
}

/**
 * Replicas without processes: states that stand at different positions of one log, own some shards each, hand them over, save
 * and lose them. What it answers must depend on nothing but the records below each group's positions.
 */
export class Fleet {
  readonly #options: FleetOptions;
  readonly #states: OnlineState[];
  /** By state partition. */
  readonly #owners: number[];
  readonly #snapshots: (Uint8Array | undefined)[];
  readonly #cores: Uint8Array[] = [];
  readonly stored: Stored[] = [];
  readonly #heads = new Map<string, number>();

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#states = Array.from({ length: options.replicas }, () => this.#makeState());
    this.#owners = Array.from({ length: options.statePartitions }, (_, index) => index % options.replicas);
    this.#snapshots = this.#owners.map(() => undefined);
    for (const [partition, owner] of this.#owners.entries())
      this.#states[owner]?.attach(new Shard(options.plan, partition));
  }

  /** Appends an event to the log; nobody has applied it yet. */
  append(source: string, partition: number, event: Event): void {
    const head = `${source}/${String(partition)}`;
    const offset = this.#heads.get(head) ?? 0;
    this.#heads.set(head, offset + 1);
    this.stored.push({ source, partition, offset, event });
  }

  /** Lets a replica apply up to `count` records of one partition. */
  deliver(replica: number, source: string, partition: number, count: number, now: number): void {
    const state = this.#state(replica);
    state.advance(now);
    const from = state.positions(source)[partition] ?? 0;
    for (const item of this.stored) {
      if (item.source !== source || item.partition !== partition) continue;
      if (item.offset >= from && item.offset < from + count)
        state.apply(source, partition, item.offset, item.event);
    }
  }

  deliverAll(replica: number, now: number): void {
    for (const [source, partitions] of this.#options.partitions)
      for (let partition = 0; partition < partitions; partition += 1)
        this.deliver(replica, source, partition, Number.MAX_SAFE_INTEGER, now);
  }

  /** Saves the shard as its owner has it, if it is complete. */
  save(partition: number): void {
    const state = this.#state(this.#owners[partition] ?? 0);
    state.expire();
    const shard = state.shard(partition);
    if (shard === undefined || !state.isComplete(partition)) return;
    this.#snapshots[partition] = shard.save(state.core.allPositions(), state.clock, 1).finish();
  }

  saveCore(replica: number): void {
    const state = this.#state(replica);
    state.expire();
    this.#cores.push(state.core.save().finish());
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
    taker.advance(now);
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
    if (this.#options.fault === 'gaps stay') shard.gaps = [];
    const byOutcomes = [...this.#options.plan.sources.values()].sort(
      (left, right) => left.outcomes.length - right.outcomes.length,
    );
    for (const { source } of byOutcomes) {
      for (const gap of shard.gaps) {
        if (gap.source !== source.name) continue;
        if (this.#options.fault === 'outcomes stay behind' && gap.source === 'returns') continue;
        for (const item of this.stored) {
          const inside = item.source === gap.source && item.partition === gap.partition;
          if (inside && item.offset >= gap.from && item.offset < gap.to)
            state.catchUp(shards, item.source, item.partition, item.offset, item.event);
        }
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
    state.advance(now);
    for (const [partition, owner] of this.#owners.entries())
      if (owner === replica) this.#attach(partition, replica, true);
  }

  read(vector: VectorPlan, event: Event, now: number): FleetRow {
    const owners = vector.groups.map((plan) => {
      const partition = this.#state(0).partitionOf(String(event.values[plan.group.key]));
      const owner = this.#owners[partition] ?? 0;
      this.fill(partition, owner);
      if (!this.#state(owner).isComplete(partition)) this.deliverAll(owner, now);
      return owner;
    });
    const asOf = Math.max(now, ...owners.map((owner) => this.#state(owner).clock));
    const results: ((number | null)[] | null)[] = vector.groups.map(() => null);
    for (const owner of new Set(owners)) {
      const state = this.#state(owner);
      state.advance(now);
      const read = state.readGroups(vector, event, asOf, (group) => owners[group] === owner);
      for (const [group, values] of read.entries()) if (values !== null) results[group] = values;
    }
    return {
      asOf,
      values: vectorValues(vector, event, results),
      positions: owners.map((owner) => {
        const one = this.#options.fault === 'one position for all' ? owners[0] : owner;
        return vectorPositions(this.#state(one ?? owner), vector);
      }),
    };
  }

  #attach(partition: number, replica: number, fromSnapshot: boolean): void {
    const shard = new Shard(this.#options.plan, partition);
    const bytes = this.#snapshots[partition];
    if (fromSnapshot && bytes !== undefined && !shard.load(bytes))
      throw new Error('the snapshot was refused');
    if (this.#options.fault === 'snapshots cover nothing') shard.covered = new Map();
    this.#state(replica).attach(shard);
  }

  #makeState(): OnlineState {
    const { plan, partitions, statePartitions } = this.#options;
    return new OnlineState(plan, partitions, { readBehindMs: 0, statePartitions });
  }

  #state(replica: number): OnlineState {
    const state = this.#states[replica];
    if (state === undefined) throw new Error(`there is no replica ${String(replica)}`);
    return state;
  }
}
