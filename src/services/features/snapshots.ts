import { PlatformError } from '../../contract/index.ts';
import type { ServiceHost } from '../../runtime/index.ts';
import type { FeaturesOptions } from './options.ts';
import { holdsClaim, type PartitionClaim } from './ownership/owner-table.ts';
import type { SavedState, StateHost } from './state/state-host.ts';

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

  /** Loads the newest core into a new state, if there is one that can be used. */
  async restoreCore(state: StateHost): Promise<void> {
    const bytes = await this.core();
    if (bytes === undefined) return;
    const refusal = await state.restoreCore(bytes);
    if (refusal !== undefined) this.#warn(CORE, refusal);
  }

  /** The newest core; `undefined` without one. */
  core(): Promise<Uint8Array | undefined> {
    return this.#bytes(CORE);
  }

  /** The newest snapshot of a state partition; `undefined` without one. */
  shard(partition: number): Promise<Uint8Array | undefined> {
    return this.#bytes(shardName(partition));
  }

  /** Puts a state partition in, with what its snapshot has; empty without one that can be used. */
  async attach(state: StateHost, partition: number, snapshot: Uint8Array | undefined): Promise<void> {
    const refusal = await state.attach(partition, snapshot);
    if (refusal !== undefined) this.#warn(shardName(partition), refusal);
  }

  /** Saves a complete state partition. `false`, and nothing changes, when the claim does not hold any more. */
  async saveShard(state: StateHost, claim: PartitionClaim): Promise<boolean> {
    const saved = await state.saveShard(claim.partition, claim.epoch);
    return saved !== undefined && this.#save(shardName(claim.partition), saved, claim);
  }

  /** Saves the core, with the claim on state partition 0. */
  async saveCore(state: StateHost, claim: PartitionClaim): Promise<boolean> {
    const saved = await state.saveCore();
    return saved !== undefined && this.#save(CORE, saved, claim);
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

  async #bytes(name: string): Promise<Uint8Array | undefined> {
    const { tables, objects } = this.#host;
    for (let tries = 1; ; tries += 1) {
      const [row] = await tables.query<{ digest: string }>(
        'select digest from features_snapshot where definitions = $1 and name = $2',
        [this.#definitions, name],
      );
      if (row === undefined) return undefined;
      try {
        return await objects.get(row.digest);
      } catch (error) {
        if (!PlatformError.is(error)) throw error;
        if (error.code === 'OBJECT_NOT_FOUND' && tries < READ_TRIES_MAX) continue;
        this.#warn(name, error.message);
        return undefined;
      }
    }
  }

  #warn(name: string, error: string): void {
    this.#host.logger.warn(UNUSABLE, { name, error });
  }

  async #save(name: string, saved: SavedState, claim: PartitionClaim): Promise<boolean> {
    const { objects, tables, instance, failPoints } = this.#host;
    await failPoints.pass('features.snapshot.before');
    const stored = await objects.put(saved.bytes);
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
        [
          this.#definitions,
          name,
          stored.digest,
          stored.bytes,
          JSON.stringify(Object.fromEntries(saved.positions)),
        ],
      );
      return known?.digest ?? null;
    });
    await failPoints.pass('features.snapshot.noted');
    const unused = before === undefined ? stored.digest : before;
    if (unused !== null && (before === undefined || unused !== stored.digest))
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
