import { STATE_PARTITIONS } from '../../../contract/index.ts';
import type { Signals, Tables } from '../../../runtime/index.ts';
import type { PartitionRow } from './plan-moves.ts';

/** The channel on which changes of owners are signalled. */
export const OWNERS_SIGNAL = 'features_owners';

/** What a replica says of itself at each renewal, for the status of the service. */
export interface ReplicaFacts {
  readonly clock: number | null;
  /** Next offsets applied, by source. */
  readonly applied: Readonly<Record<string, readonly number[]>>;
  readonly groups: readonly { readonly keys: number; readonly events: number; readonly bytes: number }[];
  /** Names of the vectors that it can read; builds of before do not say it. */
  readonly vectors?: readonly string[];
  /** Percent of history that it has applied while it builds its state; `null` when that is done. */
  readonly backfill?: number | null;
}

/** A replica whose lease is live. */
export interface ReplicaRow {
  readonly instance: string;
  readonly replica: string;
  readonly facts: ReplicaFacts;
}

/** The right to answer for a state partition, until another one's claim raises the epoch. */
export interface PartitionClaim {
  readonly partition: number;
  readonly epoch: number;
}

export interface OwnerTableOptions {
  readonly tables: Tables;
  readonly signals: Signals;
  /** Replicas with other definitions have owners of their own: neither could use the other's state. */
  readonly definitions: string;
  readonly instance: string;
  readonly replica: string;
  readonly leaseMs: number;
}

const LEASE = `now() + $2::float8 * interval '1 ms'`;

/**
 * Who owns which state partition: one row each, with a lease by the store's clock and an epoch that rises at each change. A
 * replica writes only rows of its own and single ones that are free, so that no two wait for each other.
 */
export class OwnerTable {
  readonly #options: OwnerTableOptions;

  constructor(options: OwnerTableOptions) {
    this.#options = options;
  }

  async prepare(): Promise<void> {
    await this.#query(
      `insert into features_partition (definitions, partition)
       select $1, generate_series(0, ${String(STATE_PARTITIONS - 1)}) on conflict do nothing`,
    );
  }

  /** Extends this replica's own lease and says what it knows of itself. */
  async announce(facts: ReplicaFacts): Promise<void> {
    const { instance, replica, leaseMs } = this.#options;
    await this.#query(
      `insert into features_replica (definitions, lease_until, instance, replica, facts)
       values ($1, ${LEASE}, $3, $4, $5)
       on conflict (instance) do update
       set lease_until = excluded.lease_until, facts = excluded.facts, definitions = excluded.definitions`,
      [leaseMs, instance, replica, JSON.stringify(facts)],
    );
  }

  /** Extends the leases of these claims; returns the partitions of those that still hold. */
  async renew(claims: readonly PartitionClaim[]): Promise<Set<number>> {
    if (claims.length === 0) return new Set();
    const { instance, leaseMs } = this.#options;
    const rows = await this.#query<{ partition: number }>(
      `update features_partition p set lease_until = ${LEASE}
       from unnest($4::integer[], $5::bigint[]) as held (partition, epoch)
       where p.definitions = $1 and p.instance = $3 and p.partition = held.partition and p.epoch = held.epoch
       returning p.partition`,
      [leaseMs, instance, claims.map(({ partition }) => partition), claims.map(({ epoch }) => epoch)],
    );
    return new Set(rows.map((row) => row.partition));
  }

  async rows(): Promise<PartitionRow[]> {
    return this.#query<PartitionRow & Record<string, unknown>>(
      `select p.partition, p.epoch, p.replica, p.instance, p.lease_until > now() as live,
         t.instance as taker, coalesce(t.ready, false) as "takerReady"
       from features_partition p left join features_taker t
         on t.definitions = p.definitions and t.partition = p.partition and t.lease_until > now()
       where p.definitions = $1 order by p.partition`,
    );
  }

  async replicas(): Promise<ReplicaRow[]> {
    return this.#query<ReplicaRow & Record<string, unknown>>(
      `select instance, replica, facts from features_replica
       where definitions = $1 and lease_until > now() order by replica, instance`,
    );
  }

  /** Replicas with other definitions that have a vector of this name. */
  async elsewhere(vector: string): Promise<ReplicaRow[]> {
    return this.#query<ReplicaRow & Record<string, unknown>>(
      `select instance, replica, facts from features_replica
       where definitions <> $1 and lease_until > now() and facts->'vectors' ? $2 order by replica, instance`,
      [vector],
    );
  }

  /**
   * Claims a partition that nobody's lease is on, or, with `again`, that an earlier start of this replica owned.
   * `undefined` when it is not to be had.
   */
  async claim(partition: number, again: boolean): Promise<PartitionClaim | undefined> {
    const { instance, replica, leaseMs } = this.#options;
    const rows = await this.#query<{ epoch: number }>(
      `update features_partition set lease_until = ${LEASE}, instance = $3, replica = $4, epoch = epoch + 1
       where definitions = $1 and partition = $5
         and (lease_until <= now() or ($6 and replica = $4 and instance <> $3))
       returning epoch`,
      [leaseMs, instance, replica, partition, again],
    );
    return rows[0] === undefined ? undefined : { partition, epoch: rows[0].epoch };
  }

  /** Makes the taker the owner, with a lease of its own. `false` when the claim did not hold any more. */
  async give(claim: PartitionClaim, taker: string): Promise<boolean> {
    const { instance, leaseMs, signals, tables } = this.#options;
    const rows = await this.#query(
      `update features_partition p set lease_until = ${LEASE}, instance = r.instance, replica = r.replica,
         epoch = p.epoch + 1
       from features_replica r
       where p.definitions = $1 and p.partition = $4 and p.epoch = $5 and p.instance = $3 and r.instance = $6
       returning 1`,
      [leaseMs, instance, claim.partition, claim.epoch, taker],
    );
    await signals.notify(OWNERS_SIGNAL, tables);
    return rows.length > 0;
  }

  /** Frees what this process owns and reserves, and takes it off the list of replicas. */
  async withdraw(): Promise<void> {
    const { instance, signals, tables } = this.#options;
    await this.#query('delete from features_replica where definitions = $1 and instance = $2', [instance]);
    await this.#query('delete from features_taker where definitions = $1 and instance = $2', [instance]);
    await this.#query(
      `update features_partition set instance = null, replica = null, lease_until = '-infinity'
       where definitions = $1 and instance = $2`,
      [instance],
    );
    await signals.notify(OWNERS_SIGNAL, tables);
  }

  /** Takes this process off the list of replicas: others then get ready for what it owns. */
  async leave(): Promise<void> {
    const { instance, signals, tables } = this.#options;
    await this.#query('delete from features_replica where definitions = $1 and instance = $2', [instance]);
    await this.#query('delete from features_taker where definitions = $1 and instance = $2', [instance]);
    await signals.notify(OWNERS_SIGNAL, tables);
  }

  /** Says that this process gets ready to take the partition. `false` when another one does already. */
  async reserve(partition: number): Promise<boolean> {
    const { instance, leaseMs } = this.#options;
    const rows = await this.#query(
      `insert into features_taker as known (definitions, lease_until, instance, partition, ready)
       values ($1, ${LEASE}, $3, $4, false)
       on conflict (definitions, partition) do update
       set lease_until = excluded.lease_until, instance = excluded.instance, ready = false
       where known.instance = excluded.instance or known.lease_until <= now()
       returning 1`,
      [leaseMs, instance, partition],
    );
    return rows.length > 0;
  }

  /** Extends the reservations, with whether each could be answered for. Returns those that still hold. */
  async renewReservations(partitions: readonly number[], ready: readonly boolean[]): Promise<Set<number>> {
    if (partitions.length === 0) return new Set();
    const { instance, leaseMs } = this.#options;
    const rows = await this.#query<{ partition: number }>(
      `update features_taker t set lease_until = ${LEASE}, ready = wanted.ready
       from unnest($4::integer[], $5::boolean[]) as wanted (partition, ready)
       where t.definitions = $1 and t.instance = $3 and t.partition = wanted.partition
       returning t.partition`,
      [leaseMs, instance, partitions, ready],
    );
    return new Set(rows.map((row) => row.partition));
  }

  async cancel(partitions: readonly number[]): Promise<void> {
    if (partitions.length === 0) return;
    await this.#query(
      'delete from features_taker where definitions = $1 and instance = $2 and partition = any($3::integer[])',
      [this.#options.instance, partitions],
    );
  }

  /** Wakes the other replicas: an owner has something to give, or gave it. */
  async notify(): Promise<void> {
    await this.#options.signals.notify(OWNERS_SIGNAL);
  }

  #query<TRow extends Record<string, unknown> = Record<string, unknown>>(
    sql: string,
    parameters: readonly unknown[] = [],
  ): Promise<TRow[]> {
    return this.#options.tables.query<TRow>(sql, [this.#options.definitions, ...parameters]);
  }
}

/** Within `tx`: rejects the work, by `false`, of an owner that has lost its claim; holds the claim until the commit. */
export async function holdsClaim(
  tx: Tables,
  definitions: string,
  instance: string,
  claim: PartitionClaim,
): Promise<boolean> {
  const rows = await tx.query(
    `select 1 from features_partition
     where definitions = $1 and partition = $2 and instance = $3 and epoch = $4 for share`,
    [definitions, claim.partition, instance, claim.epoch],
  );
  return rows.length > 0;
}
