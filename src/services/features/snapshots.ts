import { PlatformError } from '../../contract/index.ts';
import type { ServiceHost } from '../../runtime/index.ts';
import type { OnlineState } from './online/online-state.ts';
import type { PositionsBySource } from './online/core.ts';
import type { SectionWriter } from './online/sections.ts';
import { Shard } from './online/shard.ts';
import type { FeaturesOptions } from './options.ts';
import { holdsClaim, type PartitionClaim } from './ownership/owner-table.ts';

const CORE = 'core';
/** A snapshot can be replaced while it is read: then the newer one is read, this often at most. */
const READ_TRIES_MAX = 5;
/** Derived state: whatever is wrong with a snapshot, the log and the archive have everything. */
const UNUSABLE = 'A snapshot cannot be used: what it had is built anew from the log';
/** Snapshots of definitions that nobody has used for so long are removed. */
const UNUSED_FOR = '24 hours';

/**
 * Saves the core and the shards as objects and notes which are the newest. Only the owner of a state partition can replace its
 * snapshot: the claim is looked at in the transaction that notes it. The core's goes with the claim on partition 0.
 */
export class Snapshots {
  readonly #host: ServiceHost<FeaturesOptions>;
  readonly #definitions: string;

  constructor(host: ServiceHost<FeaturesOptions>, definitions: string) {
    this.#host = host;
    this.#definitions = definitions;
  }

  /** Loads the newest core into a new state; `false` when there is none that can be used. */
  async restoreCore(state: OnlineState): Promise<boolean> {
    return this.#restore(CORE, (bytes) => state.core.load(bytes));
  }

  /** A shard with what its newest snapshot has, empty without one. */
  async shard(state: OnlineState, partition: number): Promise<Shard> {
    const shard = new Shard(state.plan, partition);
    const loaded = await this.#restore(shardName(partition), (bytes) => shard.load(bytes));
    return loaded ? shard : new Shard(state.plan, partition);
  }

  /** Saves a complete shard. `false`, and nothing changes, when the claim does not hold any more. */
  async saveShard(state: OnlineState, shard: Shard, claim: PartitionClaim): Promise<boolean> {
    const positions = state.core.allPositions();
    const writer = shard.save(positions, state.clock, claim.epoch);
    return this.#save(shardName(shard.partition), writer, positions, claim);
  }

  /** Saves the core, with the claim on state partition 0. */
  async saveCore(state: OnlineState, claim: PartitionClaim): Promise<boolean> {
    return this.#save(CORE, state.core.save(), state.core.allPositions(), claim);
  }

  /**
   * The log must be kept from here on, by source: the lowest positions of all snapshots. Empty when one is missing, which would
   * have to be built from everything.
   */
  async lowestPositions(snapshots: number): Promise<Map<string, number[]>> {
    const rows = await this.#host.tables.query<{ positions: Record<string, number[]>; definitions: string }>(
      'select definitions, positions from features_snapshot',
    );
    const lowest = new Map<string, number[]>();
    if (rows.filter((row) => row.definitions === this.#definitions).length < snapshots) return lowest;
    for (const { positions } of rows) {
      for (const [source, offsets] of Object.entries(positions)) {
        const known = lowest.get(source);
        lowest.set(
          source,
          offsets.map((offset, partition) => Math.min(offset, known?.[partition] ?? offset)),
        );
      }
    }
    return lowest;
  }

  /** Removes what definitions left behind that no process has any more. */
  async removeUnused(): Promise<void> {
    const { tables, objects } = this.#host;
    const unused = `definitions <> $1 and not exists (
        select 1 from features_partition p where p.definitions = s.definitions and p.lease_until > now())`;
    const removed = await tables.query<{ digest: string }>(
      `delete from features_snapshot s where ${unused} and saved_at < now() - interval '${UNUSED_FOR}'
       returning digest`,
      [this.#definitions],
    );
    for (const { digest } of removed) await objects.remove(digest);
  }

  async #restore(name: string, load: (bytes: Uint8Array) => boolean): Promise<boolean> {
    const { tables, objects, logger } = this.#host;
    for (let tries = 1; ; tries += 1) {
      const [row] = await tables.query<{ digest: string }>(
        'select digest from features_snapshot where definitions = $1 and name = $2',
        [this.#definitions, name],
      );
      if (row === undefined) return false;
      let bytes: Uint8Array;
      try {
        bytes = await objects.get(row.digest);
      } catch (error) {
        if (!PlatformError.is(error)) throw error;
        if (error.code === 'OBJECT_NOT_FOUND' && tries < READ_TRIES_MAX) continue;
        logger.warn(UNUSABLE, { name, error: error.message });
        return false;
      }
      try {
        if (load(bytes)) return true;
        logger.warn(UNUSABLE, { name, error: 'it belongs to other definitions' });
      } catch (error) {
        // The bytes are those that were saved, but another version of the product may have saved them.
        logger.warn(UNUSABLE, { name, error: error instanceof Error ? error.message : String(error) });
      }
      return false;
    }
  }

  async #save(
    name: string,
    writer: SectionWriter,
    positions: PositionsBySource,
    claim: PartitionClaim,
  ): Promise<boolean> {
    const { objects, tables, clock, instance, failPoints } = this.#host;
    const bytes = await writer.finishInTurns(() => clock.sleep(0));
    await failPoints.pass('features.snapshot.before');
    const saved = await objects.put(bytes);
    await failPoints.pass('features.snapshot.stored');
    const before = await tables.transaction(async (tx) => {
      if (!(await holdsClaim(tx, this.#definitions, instance, claim))) return undefined;
      const [known] = await tx.query<{ digest: string }>(
        'select digest from features_snapshot where definitions = $1 and name = $2',
        [this.#definitions, name],
      );
      await tx.query(
        `insert into features_snapshot (definitions, name, digest, bytes, positions) values ($1, $2, $3, $4, $5)
         on conflict (definitions, name) do update set digest = $3, bytes = $4, positions = $5, saved_at = now()`,
        [this.#definitions, name, saved.digest, saved.bytes, JSON.stringify(Object.fromEntries(positions))],
      );
      return known?.digest ?? null;
    });
    await failPoints.pass('features.snapshot.noted');
    const unused = before === undefined ? saved.digest : before;
    if (unused !== null && (before === undefined || unused !== saved.digest))
      await this.#removeUnused(unused);
    return before !== undefined;
  }

  /** Removes an object unless a snapshot is noted with it: two owners could have saved the same bytes. */
  async #removeUnused(digest: string): Promise<void> {
    const { tables, objects } = this.#host;
    const rows = await tables.query('select 1 from features_snapshot where digest = $1', [digest]);
    if (rows.length === 0) await objects.remove(digest);
  }
}

function shardName(partition: number): string {
  return `partition-${String(partition).padStart(2, '0')}`;
}
