import { STATE_PARTITIONS } from '../../../contract/index.ts';
import type { ServiceHost } from '../../../runtime/index.ts';
import type { FeaturesOptions } from '../options.ts';
import type { StateHost } from '../state/state-host.ts';
import {
  OWNERS_SIGNAL,
  OwnerTable,
  type PartitionClaim,
  type ReplicaFacts,
  type ReplicaRow,
} from './owner-table.ts';
import { type PartitionRow, planMoves } from './plan-moves.ts';

/** Times of ownership, in milliseconds. */
export const OWNERSHIP = {
  /** An owner that falls silent can be replaced after this. */
  leaseMs: 3_000,
  /** How often leases are extended and the owners are read. */
  renewMs: 1_000,
  /** A renewal that takes longer counts as failed: the store is away. */
  renewMsMax: 1_500,
  /** Pause before a shard is loaded again after that failed. */
  retryMs: 500,
  /** How often a leaving replica looks whether everything is taken. */
  leaveLookMs: 50,
} as const;

export interface OwnershipParts {
  readonly host: ServiceHost<FeaturesOptions>;
  readonly state: StateHost;
  readonly definitions: string;
  /** Whether the core has been at the end of the log. */
  readonly caughtUp: () => boolean;
  /** The newest snapshot of a state partition; `undefined` without one. */
  readonly load: (partition: number) => Promise<Uint8Array | undefined>;
  /** Puts a state partition in, with what its snapshot has. */
  readonly attach: (partition: number, snapshot: Uint8Array | undefined) => Promise<void>;
  /** Fills the gaps of state partitions that were just attached. */
  readonly catchUp: (partitions: readonly number[], signal: AbortSignal) => Promise<void>;
  readonly facts: () => ReplicaFacts;
}

/** A shard on its way into the state. */
interface Attachment {
  readonly abort: AbortController;
  /** Resolves when live records reach it; its gaps are filled behind that. */
  readonly attached: Promise<void>;
}

/**
 * Keeps this replica's share of the state partitions: claims those that are free, gets ready for others' that are too many there,
 * and hands over its own to who got ready for them. It answers only for what it owns as far as anybody can know.
 */
export class Ownership {
  readonly #parts: OwnershipParts;
  readonly #table: OwnerTable;
  readonly #stopping = new AbortController();
  /** Claims by partition. */
  readonly #held = new Map<number, PartitionClaim>();
  readonly #taking = new Set<number>();
  readonly #attachments = new Map<number, Attachment>();
  readonly #work = new Set<Promise<void>>();
  readonly #listeners = new Set<() => void>();
  #rows: readonly PartitionRow[] = [];
  #replicas: readonly ReplicaRow[] = [];
  #wake = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #turn: Promise<void> | undefined;
  #turns = 0;
  #isFirst = true;
  #leaving = false;
  #isAway = false;
  /** Until then nobody else can have claimed what is held here, by the monotonic clock. */
  #sureUntil = Number.NEGATIVE_INFINITY;
  #failedAt = Number.NEGATIVE_INFINITY;

  constructor(parts: OwnershipParts) {
    this.#parts = parts;
    const { tables, signals, instance, replica } = parts.host;
    const { definitions } = parts;
    this.#table = new OwnerTable({
      tables,
      signals,
      definitions,
      instance,
      replica,
      leaseMs: OWNERSHIP.leaseMs,
    });
  }

  /**
   * Claims what is to be had and goes on doing so. Resolves when what was claimed at once takes part in live records: whoever
   * then reads the log from the core's positions misses nothing.
   */
  async start(): Promise<void> {
    await this.#table.prepare();
    await this.refresh();
    await Promise.all([...this.#attachments.values()].map(({ attached }) => attached));
    const unsubscribe = this.#parts.host.signals.subscribe(OWNERS_SIGNAL, () => this.#wake.abort());
    this.#stopping.signal.addEventListener('abort', unsubscribe);
    this.#loop = this.#follow();
  }

  /** The owners as last known. */
  get rows(): readonly PartitionRow[] {
    return this.#rows;
  }

  get replicas(): readonly ReplicaRow[] {
    return this.#replicas;
  }

  /** Replicas with other definitions that have a vector of this name. Rejects when the store is away. */
  elsewhere(vector: string): Promise<readonly ReplicaRow[]> {
    return this.#table.elsewhere(vector);
  }

  get held(): readonly PartitionClaim[] {
    return [...this.#held.values()];
  }

  /** The claim on a partition, if it is held here. */
  claimOf(partition: number): PartitionClaim | undefined {
    return this.#held.get(partition);
  }

  /** Instance that owns the partition, as last known; `undefined` when its lease had run out by then. */
  ownerOf(partition: number): string | undefined {
    const row = this.#rows[partition];
    return row?.live === true ? (row.instance ?? undefined) : undefined;
  }

  /** Calls `listener` whenever the owners were read; the function that comes back ends it. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Whether this process answers for the partition now. Ask {@link isSure} first. */
  answers(partition: number): boolean {
    return this.#held.has(partition) && this.#parts.state.isComplete(partition) && this.#parts.caughtUp();
  }

  /** Whether it answers for all of them. */
  get answersAll(): boolean {
    if (this.#held.size < STATE_PARTITIONS || !this.#parts.caughtUp()) return false;
    for (let partition = 0; partition < STATE_PARTITIONS; partition += 1)
      if (!this.#parts.state.isComplete(partition)) return false;
    return true;
  }

  /** Whether all that is held here can be answered for. */
  get isReady(): boolean {
    return this.#parts.caughtUp() && [...this.#held.keys()].every((partition) => this.answers(partition));
  }

  /**
   * Whether the claims are as last known: their leases run still, or the store could not be reached a moment ago, and then nobody
   * else can claim either. Not so after a pause of this process: then {@link refresh} must tell.
   */
  get isSure(): boolean {
    const now = this.#parts.host.clock.monotonic();
    return now < this.#sureUntil || now - this.#failedAt < OWNERSHIP.leaseMs;
  }

  /** Renews and reads the owners now; calls at the same time share one turn. Never rejects. */
  refresh(): Promise<void> {
    this.#turn ??= this.#renewGuarded().finally(() => {
      this.#turn = undefined;
    });
    return this.#turn;
  }

  /** Lets others take over what is held here, for `graceMs` at most; answers until they do. */
  async leave(graceMs: number): Promise<void> {
    const { clock } = this.#parts.host;
    const end = clock.monotonic() + graceMs;
    this.#leaving = true;
    await this.refresh();
    const hasTakers = (): boolean =>
      !this.#isAway && this.#replicas.some(({ instance }) => instance !== this.#parts.host.instance);
    if (!hasTakers()) return;
    await this.#table.leave();
    // When all go at the same time, nobody is left to take anything.
    while (this.#held.size > 0 && clock.monotonic() < end && hasTakers()) {
      await this.refresh();
      await clock.sleep(OWNERSHIP.leaveLookMs);
    }
  }

  /** Ends the loop; claims stay until {@link withdraw}. */
  async stop(): Promise<void> {
    this.#leaving = true;
    this.#stopping.abort();
    this.#wake.abort();
    for (const { abort } of this.#attachments.values()) abort.abort();
    await this.#loop;
    await this.#turn;
    await Promise.allSettled(this.#work);
  }

  /** Frees everything, so that others need not wait for the leases' end. Rejects when the store is away. */
  async withdraw(): Promise<void> {
    this.#held.clear();
    await this.#table.withdraw();
  }

  async #follow(): Promise<void> {
    const { clock } = this.#parts.host;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await clock.sleep(OWNERSHIP.renewMs, this.#wake.signal);
      if (this.#wake.signal.aborted) this.#wake = new AbortController();
      if (!signal.aborted) await this.refresh();
    }
  }

  async #renewGuarded(): Promise<void> {
    const { clock, logger } = this.#parts.host;
    const over = new AbortController();
    const late = clock.sleep(OWNERSHIP.renewMsMax, over.signal).then(() => {
      if (!over.signal.aborted) throw new Error('no answer in time');
    });
    try {
      await Promise.race([this.#renew(), late]);
      if (this.#isAway) logger.info('The owners of feature state can be read again');
      this.#isAway = false;
    } catch (error) {
      this.#failedAt = clock.monotonic();
      if (!this.#isAway)
        logger.warn('The owners of feature state cannot be read: each goes on with what it has', {
          error: String(error),
        });
      this.#isAway = true;
    } finally {
      over.abort();
    }
  }

  async #renew(): Promise<void> {
    const { host, state } = this.#parts;
    this.#turns += 1;
    const turn = this.#turns;
    const sentAt = host.clock.monotonic();
    const claims = this.held;
    const renewed = await this.#table.renew(claims);
    for (const claim of claims) {
      if (!renewed.has(claim.partition) && this.#held.get(claim.partition) === claim) {
        host.logger.warn('Another replica owns a state partition now', { ...claim });
        this.#held.delete(claim.partition);
      }
    }
    this.#sureUntil = Math.max(this.#sureUntil, sentAt + OWNERSHIP.leaseMs);
    const taking = [...this.#taking];
    const ready = taking.map((partition) => state.isComplete(partition) && this.#parts.caughtUp());
    const reserved = await this.#table.renewReservations(taking, ready);
    for (const partition of taking) if (!reserved.has(partition)) this.#taking.delete(partition);
    if (ready.some(Boolean)) await this.#table.notify();
    if (!this.#leaving) await this.#table.announce(this.#parts.facts());
    const replicas = await this.#table.replicas();
    const rows = await this.#table.rows();
    // A turn that was given up may answer late: what it read is out of date.
    if (turn !== this.#turns) return;
    this.#replicas = replicas;
    this.#rows = rows;
    await this.#accept();
    await this.#give();
    if (!this.#leaving) await this.#move();
    this.#drop();
    this.#isFirst = false;
    for (const listener of this.#listeners) listener();
  }

  /** What the table says is this process's, it holds: another owner has handed it over. */
  async #accept(): Promise<void> {
    const { instance } = this.#parts.host;
    const taken: number[] = [];
    for (const row of this.#rows) {
      if (row.instance !== instance || !row.live) continue;
      if (!this.#held.has(row.partition)) {
        this.#held.set(row.partition, { partition: row.partition, epoch: row.epoch });
        this.#attach(row.partition);
      }
      if (this.#taking.delete(row.partition) || row.taker === instance) taken.push(row.partition);
    }
    await this.#table.cancel(taken);
  }

  /** Hands over what others got ready for. From before the change on, this process does not answer for it. */
  async #give(): Promise<void> {
    const { instance } = this.#parts.host;
    for (const row of this.#rows) {
      const claim = this.#held.get(row.partition);
      if (claim === undefined || row.taker === null || !row.takerReady || row.taker === instance) continue;
      this.#held.delete(row.partition);
      // Should it reject, nobody knows who the owner is: the next turn reads it.
      if (await this.#table.give(claim, row.taker)) this.#noteOwner(row.partition, row.taker);
      else this.#held.set(row.partition, claim);
    }
  }

  async #move(): Promise<void> {
    const { host } = this.#parts;
    if (this.#isFirst) {
      // What an earlier start of this replica owned is its own at once: that one is gone.
      for (const row of this.#rows) if (row.replica === host.replica) await this.#claim(row.partition, true);
    }
    const members = new Set([host.instance, ...this.#replicas.map(({ instance }) => instance)]);
    const { instance } = host;
    const moves = planMoves({ rows: this.#rows, instance, members, mayReserve: this.#parts.caughtUp() });
    for (const partition of moves.claim) await this.#claim(partition, false);
    for (const partition of moves.cancel) this.#taking.delete(partition);
    await this.#table.cancel(moves.cancel);
    for (const partition of moves.reserve) {
      if (!(await this.#table.reserve(partition))) continue;
      this.#taking.add(partition);
      this.#attach(partition);
    }
  }

  async #claim(partition: number, again: boolean): Promise<void> {
    if (this.#held.has(partition)) return;
    const claim = await this.#table.claim(partition, again);
    if (claim === undefined) return;
    this.#held.set(partition, claim);
    this.#noteOwner(partition, this.#parts.host.instance);
    this.#attach(partition);
    await this.#table.notify();
  }

  #noteOwner(partition: number, instance: string): void {
    this.#rows = this.#rows.map((row) =>
      row.partition === partition ? { ...row, instance, live: true, taker: null, takerReady: false } : row,
    );
  }

  /** Brings state partitions in again whose state was lost, as far as they are still wanted. */
  bringBack(partitions: readonly number[]): void {
    for (const partition of partitions) {
      this.#attachments.get(partition)?.abort.abort();
      this.#attachments.delete(partition);
      const isWanted = this.#held.has(partition) || this.#taking.has(partition);
      if (isWanted && !this.#stopping.signal.aborted) this.#attach(partition);
    }
  }

  /** Forgets the shards that this process neither owns nor takes. */
  #drop(): void {
    const { state } = this.#parts;
    for (let partition = 0; partition < STATE_PARTITIONS; partition += 1) {
      if (this.#held.has(partition) || this.#taking.has(partition)) continue;
      this.#attachments.get(partition)?.abort.abort();
      this.#attachments.delete(partition);
      state.detach(partition);
    }
  }

  /** Brings the shard in, unless it is here or on its way. */
  #attach(partition: number): void {
    if (this.#attachments.has(partition)) return;
    const abort = new AbortController();
    const attached = this.#loadUntilDone(partition, abort.signal).then(async (loaded) => {
      if (!abort.signal.aborted) await this.#parts.attach(partition, loaded);
    });
    this.#attachments.set(partition, { abort, attached });
    const work = attached
      .then(() => (abort.signal.aborted ? undefined : this.#parts.catchUp([partition], abort.signal)))
      .then(() => this.#wake.abort())
      .catch((error: unknown) => {
        this.#parts.host.logger.error('A state partition cannot be caught up', {
          partition,
          error: String(error),
        });
      })
      .finally(() => this.#work.delete(work));
    this.#work.add(work);
  }

  async #loadUntilDone(partition: number, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const { host, load } = this.#parts;
    while (!signal.aborted) {
      try {
        return await load(partition);
      } catch (error) {
        host.logger.warn('The snapshot of a state partition cannot be read; it is tried again', {
          partition,
          error: String(error),
        });
        await host.clock.sleep(OWNERSHIP.retryMs, signal);
      }
    }
    return undefined;
  }
}
