import { partitionOf } from '../../../contract/index.ts';
import type { Clock, Logger, Metrics, Threads } from '../../../runtime/index.ts';
import { isReached, type PositionsBySource } from '../online/core.ts';
import type { Gap } from '../online/shard.ts';
import type { Definitions, Plan, VectorPlan } from '../plan.ts';
import type { StateOptions } from './local-state.ts';
import type { StateCall, StateCalls } from './messages.ts';
import { endOf, piecesOf } from './archived-pieces.ts';
import { packInMessages, packRecords } from './packed-records.ts';
import { ReadQueue } from './read-queue.ts';
import { merged, rising, sharesOf } from './read-shares.ts';
import {
  type ArchivedRows,
  type GroupRows,
  type GroupSizes,
  type Ids,
  type ReadAsk,
  type ReadAt,
  type Records,
  type SavedState,
  type StateHost,
  type StateListener,
  StateLost,
} from './state-host.ts';
import { type Attached, type StateThreadEnd, ThreadLink } from './thread-link.ts';

/** Most records in one message: so long does a read wait for each. */
const RECORDS_PER_MESSAGE = 500;
/** Most records that a thread was handed and has not applied. */
const OUTSTANDING_RECORDS_MAX = 1_000;
/** How often threads are asked until they read at the same instant. */
const READ_ROUNDS_MAX = 8;
/** Pauses before a thread is started again that ended, in milliseconds: none at first, then doubled up to the maximum. */
const RESTART_MS_MIN = 100;
const RESTART_MS_MAX = 10_000;
/** Pause before the core is read again after that failed, in milliseconds. */
const CORE_RETRY_MS = 500;
/** How long records are not taken while no thread can, before it is looked again, in milliseconds. */
const NO_THREAD_MS = 50;
/** How often it is looked whether threads answer, in milliseconds; one that owes an answer at so many looks in a row is ended. */
const LOOK_MS = 1_000;
const SILENT_LOOKS_MAX = 60;
/** One that lived for so long is started again at once, in milliseconds. */
const LIVED_MS = 60_000;

export interface ThreadedStateOptions {
  readonly plan: Plan;
  readonly definitions: Definitions;
  readonly state: StateOptions;
  readonly threads: Threads;
  /** How many. */
  readonly count: number;
  readonly clock: Pick<Clock, 'monotonic' | 'sleep'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** The newest snapshot of the core, for a thread that begins anew. */
  readonly core: () => Promise<Uint8Array | undefined>;
}

interface Seat {
  readonly link: ThreadLink;
  startedMs: number;
  /** How often it ended without having lived for long. */
  failures: number;
  /** Why it is not there, until it is. */
  trouble: string | undefined;
}

/**
 * The state in several threads. Each has the whole core, and the shards of its own state partitions; all are handed the same records
 * in the same order. What a call finds is therefore decided by when it is handed over, not by how fast a thread is: reads that concern several
 * threads are of one state. One that ends is made anew from the newest snapshots and the log, while the others go on.
 */
export class ThreadedState implements StateHost {
  readonly plan: Plan;
  readonly #options: ThreadedStateOptions;
  readonly #seats: readonly Seat[];
  /** Next offsets behind what some thread was handed: those of each that is level. */
  readonly #level: Map<string, number[]>;
  readonly #reads: ReadQueue;
  readonly #listeners: StateListener[] = [];
  /** Called when a thread has room for more, or has begun or ended. */
  #waiters: (() => void)[] = [];
  #clock = Number.NEGATIVE_INFINITY;
  readonly #stopping = new AbortController();

  constructor(options: ThreadedStateOptions) {
    this.plan = options.plan;
    this.#options = options;
    const { definitions, threads, state, clock } = options;
    this.#level = zeros(state.partitions);
    this.#reads = new ReadQueue(() => this.#clock);
    this.#seats = Array.from({ length: options.count }, (_, number): Seat => {
      const link = new ThreadLink({
        threads,
        input: { definitions, options: state },
        clock: () => this.#clock,
        onClock: (instant) => this.advance(instant),
        onEnd: (end) => this.#ended(number, end),
      });
      link.start();
      link.handed = zeros(state.partitions);
      link.isLevel = true;
      return { link, startedMs: clock.monotonic(), failures: 0, trouble: undefined };
    });
    this.#setGauge();
    void this.#watch();
  }

  get statePartitions(): number {
    return this.#options.state.statePartitions;
  }

  get clock(): number {
    return this.#clock;
  }

  advance(instant: number): void {
    if (instant > this.#clock) this.#clock = instant;
  }

  partitionOf(key: string): number {
    return partitionOf(key, this.statePartitions);
  }

  positions(source: string): readonly number[] {
    return this.#level.get(source) ?? [];
  }

  allPositions(): PositionsBySource {
    return new Map([...this.#level].map(([source, positions]) => [source, [...positions]]));
  }

  next(source: string, partition: number): number {
    const handed = this.#links.flatMap((link) => link.handed?.get(source)?.[partition] ?? []);
    return handed.length === 0 ? (this.positions(source)[partition] ?? 0) : Math.min(...handed);
  }

  async apply(source: string, records: Records): Promise<void> {
    const { partition, base, count } = records;
    let index = Math.max(0, this.next(source, partition) - base);
    while (index < count) {
      if (!(await this.#room())) return;
      const to = Math.min(count, index + RECORDS_PER_MESSAGE);
      const packed = packRecords(records, index, to);
      const stretch = { source, partition, from: base + index, to: base + to };
      // Otherwise a thread has begun anew: the log is read again from where that one is.
      if (!this.#hand(stretch, 'apply', { source, records: packed })) return;
      index = to;
    }
  }

  async applyArchived(rows: ArchivedRows): Promise<void> {
    const { source, partition } = rows;
    for (const piece of piecesOf(rows, RECORDS_PER_MESSAGE)) {
      if (!(await this.#room())) return;
      const stretch = { source, partition, from: piece.from, to: endOf(piece) };
      if (!this.#hand(stretch, 'applyArchived', piece)) return;
    }
  }

  async skip(source: string, partition: number, from: number, to: number): Promise<void> {
    this.#hand({ source, partition, from, to }, 'skip', { source, partition, to });
  }

  async attach(partition: number, snapshot: Uint8Array | undefined): Promise<string | undefined> {
    const { link } = this.#seat(partition);
    while (link.handed === undefined) {
      if (this.#isStopped) return undefined;
      await this.#changed();
    }
    const attached: Attached = { gaps: undefined, from: new Map(), isComplete: false };
    link.attached.set(partition, attached);
    try {
      const { refusal, gaps, from } = await link.call('attach', { partition, snapshot });
      attached.gaps = gaps;
      attached.from = from;
      return refusal;
    } catch (error) {
      // Whoever listens has been told, and attaches it again.
      if (error instanceof StateLost) return undefined;
      throw error;
    }
  }

  detach(partition: number): void {
    const { link } = this.#seat(partition);
    if (link.attached.delete(partition)) this.#send(link, 'detach', partition);
  }

  isComplete(partition: number): boolean {
    const { link } = this.#seat(partition);
    const attached = link.attached.get(partition);
    if (attached?.gaps === undefined || !link.isLevel) return false;
    if (!attached.isComplete && attached.gaps.length === 0)
      attached.isComplete = isReached((source) => this.positions(source), attached.from);
    return attached.isComplete;
  }

  gaps(partition: number): readonly Gap[] {
    return this.#seat(partition).link.attached.get(partition)?.gaps ?? [];
  }

  async catchUp(
    partitions: readonly number[],
    source: string,
    { to, batches }: { readonly to: number; readonly batches: readonly Records[] },
  ): Promise<void> {
    for (const packed of packInMessages(batches, RECORDS_PER_MESSAGE))
      await this.#fill(partitions, (link, own) =>
        link.call('catchUp', { partitions: own, source, to, batches: packed }),
      );
  }

  async catchUpArchived(partitions: readonly number[], rows: ArchivedRows, to: number): Promise<void> {
    const pieces = [...piecesOf(rows, RECORDS_PER_MESSAGE)];
    for (const [index, piece] of pieces.entries()) {
      const filled = index === pieces.length - 1 ? to : endOf(piece);
      await this.#fill(partitions, (link, own) =>
        link.call('catchUpArchived', { partitions: own, rows: piece, to: filled }),
      );
    }
  }

  async read(vector: VectorPlan, asks: readonly ReadAsk[], at: ReadAt): Promise<GroupRows> {
    let wanted = at === 'exactly' || vector.exact ? asks : rising(asks);
    for (let round = 0; round < READ_ROUNDS_MAX; round += 1) {
      const shares = sharesOf(vector, wanted, {
        at,
        linkOf: (key) => this.#seat(this.partitionOf(key)).link,
      });
      const answers = await this.#reads.read(shares);
      const [first] = answers;
      if (first === undefined) return await this.#withoutGroups(vector, asks, at);
      const laters = answers.flatMap(({ later }) => later ?? []);
      if (laters.length > 0) return { ...first, later: Math.max(...laters), rows: [] };
      const rows = merged(vector, wanted, { shares, answers });
      if (rows.every(({ isOne }) => isOne))
        return { ...first, rows: rows.map(({ asOf, groups }) => ({ asOf, groups })) };
      // A thread's clock was ahead of the others': all are read where that one was.
      wanted = wanted.map((ask, index) => ({
        ...ask,
        instant: Math.max(ask.instant, rows[index]?.asOf ?? 0),
      }));
    }
    throw new StateLost('the threads did not agree on an instant');
  }

  async restoreCore(bytes: Uint8Array): Promise<string | undefined> {
    const refusals = await Promise.all(this.#links.map((link) => this.#restore(link, bytes)));
    const refusal = refusals.find((item) => item !== undefined);
    for (const link of this.#links) this.#raise(link);
    return refusal;
  }

  async expire(): Promise<void> {
    await Promise.all(this.#links.map((link) => lostAsMissing(link.call('expire', null))));
  }

  async saveShard(partition: number, epoch: number): Promise<SavedState | undefined> {
    if (!this.isComplete(partition)) return undefined;
    return lostAsMissing(this.#seat(partition).link.call('saveShard', { partition, epoch }));
  }

  async saveCore(): Promise<SavedState | undefined> {
    const link = this.#links.find((item) => item.isLevel);
    return link === undefined ? undefined : lostAsMissing(link.call('saveCore', null));
  }

  async refresh(): Promise<void> {
    await Promise.all(
      this.#links.map(async (link) => {
        if (!link.isRunning) return;
        const facts = await lostAsMissing(link.call('facts', null));
        if (link.isRunning) link.facts = facts;
      }),
    );
  }

  duplicates(source: string): number {
    return Math.max(0, ...this.#links.map((link) => link.facts?.duplicates.get(source) ?? 0));
  }

  ids(source: string): Ids {
    const total = { ids: 0, bytes: 0 };
    for (const { facts } of this.#links) {
      const known = facts?.ids.get(source);
      // Each thread has all of them, in memory of its own.
      total.ids = Math.max(total.ids, known?.ids ?? 0);
      total.bytes += known?.bytes ?? 0;
    }
    return total;
  }

  sizes(): readonly GroupSizes[] {
    return this.plan.groups.map(({ group: { name: group } }, index) => {
      const total = { keys: 0, events: 0, bytes: 0 };
      for (const { facts } of this.#links) {
        const size = facts?.sizes[index];
        total.keys += size?.keys ?? 0;
        total.events += size?.events ?? 0;
        total.bytes += size?.bytes ?? 0;
      }
      return { group, ...total };
    });
  }

  get trouble(): string | undefined {
    const index = this.#seats.findIndex(({ trouble }) => trouble !== undefined);
    const reason = this.#seats[index]?.trouble;
    if (reason === undefined) return undefined;
    const which = `${String(index + 1)} of ${String(this.#seats.length)}`;
    return `thread ${which} ended (${reason}) and its feature state is being built anew`;
  }

  listen(listener: StateListener): void {
    this.#listeners.push(listener);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake();
    await Promise.all(this.#links.map((link) => link.stop()));
  }

  get #isStopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  get #links(): readonly ThreadLink[] {
    return this.#seats.map(({ link }) => link);
  }

  #seat(partition: number): Seat {
    const seat = this.#seats[partition % this.#seats.length];
    if (seat === undefined) throw new RangeError(`There is no state partition ${String(partition)}`);
    return seat;
  }

  /**
   * Hands a stretch of records to each thread that is to go on with it. `false` when there is none: a thread has begun anew, and
   * the log must be read again from its positions.
   */
  #hand<TCall extends 'apply' | 'applyArchived' | 'skip'>(
    stretch: {
      readonly source: string;
      readonly partition: number;
      readonly from: number;
      readonly to: number;
    },
    call: TCall,
    ask: StateCalls[TCall]['ask'],
  ): boolean {
    const { source, partition, from, to } = stretch;
    let isTaken = false;
    for (const link of this.#links) {
      const handed = link.handed?.get(source);
      const next = handed?.[partition] ?? 0;
      if (handed === undefined || next < from) continue;
      isTaken = true;
      if (next >= to) continue;
      handed[partition] = to;
      link.outstanding += to - next;
      const { generation } = link;
      void lostAsMissing(link.call(call, ask)).then(() => {
        if (link.generation === generation) link.outstanding -= to - next;
        this.#wake();
      });
    }
    for (const link of this.#links) this.#raise(link);
    return isTaken;
  }

  /** Notes what a thread was handed beyond all others, and whether it was handed all that any of them was. */
  #raise(link: ThreadLink): void {
    if (link.handed === undefined) return;
    for (const [source, offsets] of link.handed) {
      const level = this.#level.get(source) ?? [];
      for (const [partition, offset] of offsets.entries())
        if (offset > (level[partition] ?? 0)) level[partition] = offset;
    }
    const { handed } = link;
    if (link.isLevel || !isReached((source) => handed.get(source) ?? [], this.#level)) return;
    link.isLevel = true;
    const seat = this.#seats.find((item) => item.link === link);
    if (seat !== undefined) seat.trouble = undefined;
  }

  /** Resolves when every thread that takes records has room; `false` when there is none. */
  async #room(): Promise<boolean> {
    while (!this.#isStopped) {
      const open = this.#links.filter(({ handed }) => handed !== undefined);
      if (open.length === 0) break;
      if (open.every(({ outstanding }) => outstanding < OUTSTANDING_RECORDS_MAX)) return true;
      await this.#changed();
    }
    await this.#options.clock.sleep(NO_THREAD_MS);
    return false;
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push(resolve);
    });
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }

  /** A call whose answer says nothing. */
  #send<TCall extends StateCall>(link: ThreadLink, call: TCall, ask: StateCalls[TCall]['ask']): void {
    if (link.isRunning) void lostAsMissing(link.call(call, ask));
  }

  async #fill(
    partitions: readonly number[],
    call: (link: ThreadLink, own: readonly number[]) => Promise<readonly (readonly Gap[])[]>,
  ): Promise<void> {
    await Promise.all(
      this.#links.map(async (link) => {
        const own = partitions.filter((partition) => link.attached.get(partition)?.gaps !== undefined);
        if (own.length === 0) return;
        const known = own.map((partition) => link.attached.get(partition));
        const left = await call(link, own);
        for (const [index, gaps] of left.entries()) {
          const attached = known[index];
          if (attached !== undefined) attached.gaps = gaps;
        }
      }),
    );
  }

  /** Of a vector without groups. */
  async #withoutGroups(vector: VectorPlan, asks: readonly ReadAsk[], at: ReadAt): Promise<GroupRows> {
    // With an event clock only who applies knows it.
    if (at === 'clock' && this.#options.state.eventClock) await this.refresh();
    const positions = vector.sources.map(({ source: { name } }) => [name, [...this.positions(name)]]);
    const rows = asks.map(({ instant }) => ({
      asOf: at === 'clock' ? Math.max(instant, this.#clock) : instant,
      groups: [],
    }));
    return { positions: Object.fromEntries(positions) as GroupRows['positions'], later: null, rows };
  }

  async #restore(link: ThreadLink, bytes: Uint8Array): Promise<string | undefined> {
    const { refusal, positions } = await link.call('restoreCore', bytes);
    link.handed = new Map([...positions].map(([source, offsets]) => [source, [...offsets]]));
    return refusal;
  }

  #ended(number: number, { reason, error }: StateThreadEnd): void {
    const seat = this.#seats[number];
    if (seat === undefined || this.#isStopped) return;
    const { clock, logger, metrics, state } = this.#options;
    const thread = number + 1;
    logger.error('A thread of the feature state ended: what it kept is built anew', {
      code: reason,
      thread,
      error: String(error),
    });
    metrics
      .counter('thread_failures_total', 'Threads of the feature state that ended', ['reason'])
      .add(1, { reason });
    seat.failures = clock.monotonic() - seat.startedMs > LIVED_MS ? 0 : seat.failures + 1;
    seat.trouble = reason;
    this.#setGauge();
    this.#wake();
    const own = Array.from({ length: state.statePartitions }, (_, partition) => partition).filter(
      (partition) => this.#seat(partition) === seat,
    );
    void this.#begin(seat);
    for (const listener of this.#listeners) listener.lost(own);
  }

  /** Starts a thread again. Should it end meanwhile, that begins anew as well. */
  async #begin(seat: Seat): Promise<void> {
    const { clock, core, logger } = this.#options;
    const { link } = seat;
    const pauseMs =
      seat.failures <= 1 ? 0 : Math.min(RESTART_MS_MAX, RESTART_MS_MIN * 2 ** (seat.failures - 2));
    await clock.sleep(pauseMs);
    if (this.#isStopped) return;
    link.start();
    seat.startedMs = clock.monotonic();
    this.#setGauge();
    const { generation } = link;
    const isGone = (): boolean => this.#isStopped || link.generation !== generation || !link.isRunning;
    for (;;) {
      try {
        const bytes = await core();
        if (isGone()) return;
        if (bytes !== undefined) await this.#restore(link, bytes);
        else link.handed = zeros(this.#options.state.partitions);
        break;
      } catch (error) {
        if (isGone()) return;
        logger.warn('The core of the feature state cannot be read; it is tried again', {
          error: String(error),
        });
        await clock.sleep(CORE_RETRY_MS);
      }
    }
    this.#raise(link);
    this.#wake();
    for (const listener of this.#listeners) listener.rewound();
  }

  async #watch(): Promise<void> {
    while (!this.#isStopped) {
      await this.#options.clock.sleep(LOOK_MS, this.#stopping.signal);
      for (const link of this.#links) link.look(SILENT_LOOKS_MAX);
    }
  }

  #setGauge(): void {
    this.#options.metrics
      .gauge('threads', 'Threads that keep feature state')
      .set(this.#links.filter(({ isRunning }) => isRunning).length);
  }
}

function zeros(partitions: ReadonlyMap<string, number>): Map<string, number[]> {
  return new Map([...partitions].map(([source, count]) => [source, Array.from({ length: count }, () => 0)]));
}

/** The answer, or nothing when the thread ended before. */
async function lostAsMissing<TValue>(answer: Promise<TValue>): Promise<TValue | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof StateLost) return undefined;
    throw error;
  }
}
