import type { Event } from '../../../contract/index.ts';
import type { GroupPlan } from '../plan.ts';
import type { Core } from './core.ts';
import type { Shard } from './shard.ts';
import { tableHash } from './table-hash.ts';
import type { TileStore } from './tile-store.ts';

/** Events that are brought near together: what they need of memory has room in the second cache. */
export const SLICE_EVENTS_MAX = 64;

/** Where the keys of groups are. */
interface Shards {
  partitionOf(key: string): number;
  shard(partition: number): Shard | undefined;
}

/**
 * Reads the memory that events are going to need, before they are applied: step by step for all of a slice, so that the processor waits
 * for many places at a time. It changes nothing, so it may be left out.
 */
export class Approach {
  readonly #core: Core;
  readonly #state: Shards;
  /** By event of the slice: the hash of its id. */
  readonly ids = new Int32Array(SLICE_EVENTS_MAX);
  /**
   * By group of the source, and by event: the state partition of its key there, and the slot, -1 for a key that is new. Both hold
   * until something is forgotten.
   */
  readonly partitions: Int32Array[] = [];
  readonly slots: Int32Array[] = [];
  readonly #hashes = new Int32Array(SLICE_EVENTS_MAX);
  readonly #stores: (TileStore | undefined)[] = [];
  /** Nobody reads it: it keeps the compiler from leaving out what is read for nothing. */
  touched = 0;

  constructor(core: Core, state: Shards) {
    this.#core = core;
    this.#state = state;
  }

  /** `events` are at most {@link SLICE_EVENTS_MAX}. */
  to(source: string, partition: number, events: readonly (Event | undefined)[]): void {
    const plan = this.#core.source(source);
    // Loops that read are short: the fewer instructions lie between two reads, the more of them the processor has under way.
    for (let index = 0; index < events.length; index += 1) {
      const event = events[index];
      if (event !== undefined) this.ids[index] = tableHash(event.id);
    }
    let sum = this.#core.touch(source, partition, this.ids, events.length);
    for (let index = 0; index < plan.groups.length; index += 1) {
      const group = plan.groups[index];
      if (group !== undefined && !group.keepsEvents) sum += this.#toGroup(index, group, events);
    }
    this.touched = sum;
  }

  #toGroup(place: number, plan: GroupPlan, events: readonly (Event | undefined)[]): number {
    const partitions = (this.partitions[place] ??= new Int32Array(SLICE_EVENTS_MAX));
    const slots = (this.slots[place] ??= new Int32Array(SLICE_EVENTS_MAX));
    const hashes = this.#hashes;
    const stores = this.#stores;
    const { length } = events;
    const name = plan.group.key;
    let sum = 0;
    for (let index = 0; index < length; index += 1) {
      const key = events[index]?.values[name] ?? null;
      stores[index] = undefined;
      if (key === null) continue;
      const partition = this.#state.partitionOf(String(key));
      const store = this.#state.shard(partition)?.tilesOf(plan);
      partitions[index] = partition;
      if (store === undefined) continue;
      hashes[index] = tableHash(String(key));
      stores[index] = store;
    }
    for (let index = 0; index < length; index += 1) sum += stores[index]?.touchCell(hashes[index] ?? 0) ?? 0;
    for (let index = 0; index < length; index += 1) sum += stores[index]?.touchSlot(hashes[index] ?? 0) ?? 0;
    for (let index = 0; index < length; index += 1) {
      const store = stores[index];
      const slot = store?.find(String(events[index]?.values[name]), hashes[index]) ?? -1;
      slots[index] = slot;
    }
    for (let index = 0; index < length; index += 1) {
      const slot = slots[index] ?? -1;
      if (slot >= 0) sum += stores[index]?.touchTiles(slot) ?? 0;
    }
    return sum;
  }
}
