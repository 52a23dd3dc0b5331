import { DELETED_FIELD, type IngestResult, PlatformError, REVISION_FIELD } from '../../contract/index.ts';
import type { CallContext, Claim, OutsideRow, PolledTable, TablePlace } from '../../runtime/index.ts';
import { compileCells } from './cells.ts';
import type { IngestContext } from './context.ts';
import { Intake } from './intake.ts';
import { noteFailure, notePage, type PollState, takePoll } from './poll-state.ts';
import type { SourceContract } from './record.ts';

const GROUP = 'ingest.poll';
/** Longest pause after failures, in milliseconds. */
const PAUSE_MS_MAX = 60_000;

/** Where reading is within one pass over the newest part of a table. */
interface Pass {
  /** Rows that were changed later are left to the next pass, in microseconds since 1970. */
  readonly untilUs: number | undefined;
  readonly after: TablePlace | undefined;
}

/** Reads events from a table: one replica at a time, by a lease, from where the last one was. */
export class Poll {
  readonly #context: IngestContext;
  readonly #contract: SourceContract;
  readonly #table: PolledTable;
  readonly #columns: readonly string[];
  readonly #toRecord: ReturnType<typeof compileCells>;
  #claim: Claim | undefined;
  #state: PollState = { cursor: undefined, epoch: 0 };
  #pass: Pass = { untilUs: undefined, after: undefined };
  /** Changes of the overlap that are in the log already, by event id, with their times. */
  readonly #seen = new Map<string, number>();
  #failures = 0;
  /** When the next pass begins, by the monotone clock. */
  #nextMs = 0;

  constructor(context: IngestContext, contract: SourceContract, table: PolledTable) {
    this.#context = context;
    this.#contract = contract;
    this.#table = table;
    const { source } = contract;
    const fields = Object.keys(source.fields).filter((name) => name !== source.id);
    const marks = table.deleted === undefined ? [] : [table.deleted];
    this.#columns = [...fields.map((name) => table.columns[name] ?? name), ...marks];
    // Whether a cell is a list shows in its text: a field that holds text is never one.
    this.#toRecord = compileCells(
      source,
      fields.map((field) => ({ field, isList: false })),
    );
  }

  /** Polls until `signal` is aborted. It never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, groups } = this.#context.host;
    while (!signal.aborted) {
      const pauseMs = await this.#step(signal);
      if (pauseMs > 0) await clock.sleep(pauseMs, signal);
    }
    // Who takes over then need not wait for the lease to end.
    if (this.#claim !== undefined) await groups.release(this.#claim).catch(() => undefined);
  }

  /** One page, if this process may; gives how long to wait then, in milliseconds. */
  async #step(signal: AbortSignal): Promise<number> {
    const { clock } = this.#context.host;
    // The lease is extended more often than the table is read, if need be.
    const holdMs = this.#context.limits.pollLeaseMs / 3;
    try {
      if (!(await this.#hold())) return Math.min(this.#table.everyMs, holdMs);
      const waitMs = this.#nextMs - clock.monotonic();
      if (waitMs > 0) return Math.min(waitMs, holdMs);
      if (await this.#readPage(signal)) this.#nextMs = clock.monotonic() + this.#table.everyMs;
      this.#failures = 0;
      return 0;
    } catch (error) {
      if (signal.aborted) return 0;
      return await this.#failed(error);
    }
  }

  /** Whether this process is the one that polls, now and for a lease. */
  async #hold(): Promise<boolean> {
    const { groups, instance, tables } = this.#context.host;
    const { pollLeaseMs } = this.#context.limits;
    if (this.#claim !== undefined) {
      if (await groups.renew(this.#claim, pollLeaseMs)) return true;
      this.#claim = undefined;
    }
    const { source, topic } = this.#contract;
    const claim = await groups.claim(topic, GROUP, 0, instance, pollLeaseMs);
    if (claim === undefined) return false;
    this.#state = await takePoll(tables, source.name, { table: this.#table, epoch: claim.epoch });
    this.#claim = claim;
    this.#seen.clear();
    this.#beginPass();
    return true;
  }

  /** Begins a pass at the overlap: a row that was committed late may be older than the newest that was read. */
  #beginPass(): void {
    const { cursor } = this.#state;
    const startUs = cursor === undefined ? undefined : cursor.updatedAtUs - this.#table.overlapMs * 1_000;
    this.#pass = {
      untilUs: undefined,
      after: startUs === undefined ? undefined : { updatedAtUs: startUs },
    };
    for (const [id, us] of this.#seen) if (startUs !== undefined && us < startUs) this.#seen.delete(id);
  }

  /** Reads a page and makes it durable, then notes how far it was. Gives whether the table is at its end. */
  async #readPage(signal: AbortSignal): Promise<boolean> {
    const { host, limits, load, metrics } = this.#context;
    const { after, untilUs } = this.#pass;
    const source = this.#contract.source.name;
    const limit = limits.pollRowsMax;
    const page = await host.outsideTables.read(this.#table, {
      columns: this.#columns,
      after,
      untilUs,
      limit,
    });
    const rows = page.rows.filter((row) => !this.#seen.has(eventId(row)));
    const result = await load.run(() => this.#take(rows, signal));
    const isCaughtUp = page.rows.length < limit;
    const last = page.rows.at(-1);
    const until = untilUs ?? page.nowUs;
    const behindMs =
      Math.max(0, isCaughtUp ? page.nowUs - until : page.nowUs - (last?.updatedAtUs ?? until)) / 1_000;
    this.#state = { ...this.#state, cursor: later(this.#state.cursor, last) };
    await notePage(host.tables, source, {
      ...this.#state,
      accepted: result.accepted,
      quarantined: result.quarantined,
      readAt: host.clock.now(),
      isCaughtUp,
      behindMs: Math.round(behindMs),
    });
    metrics.polled.add(rows.length, { source });
    metrics.pollLag.set(behindMs / 1_000, { source });
    for (const row of rows) this.#remember(row);
    if (isCaughtUp) this.#beginPass();
    else if (last !== undefined) this.#pass = { untilUs: until, after: last };
    return isCaughtUp;
  }

  async #take(
    rows: readonly OutsideRow[],
    signal: AbortSignal,
  ): Promise<Pick<IngestResult, 'accepted' | 'quarantined'>> {
    if (rows.length === 0) return { accepted: 0, quarantined: 0 };
    const call: CallContext = {
      requestId: GROUP,
      principal: { subject: GROUP, roles: ['service'] },
      deadlineMs: Number.POSITIVE_INFINITY,
      signal,
    };
    const intake = new Intake(this.#context, this.#contract, { listAccepted: false, call });
    try {
      for (const row of rows) {
        if (intake.full) await intake.store();
        intake.value(this.#record(row));
      }
      return await intake.finish();
    } catch (error) {
      throw await intake.fail(error);
    } finally {
      intake.close();
    }
  }

  /** A changed row is an event of its own, or, where the source takes corrections, one more revision of the row's event. */
  #record(row: OutsideRow): Record<string, unknown> {
    const { source } = this.#contract;
    const fields = this.#toRecord(row.cells);
    if (source.corrections !== true) return { [source.id]: eventId(row), ...fields };
    const marked = { [source.id]: row.id, ...fields, [REVISION_FIELD]: row.updatedAtUs };
    if (this.#table.deleted === undefined) return marked;
    const mark = row.cells.at(-1) ?? null;
    return mark === null || mark === 'false' ? marked : { ...marked, [DELETED_FIELD]: true };
  }

  /** Beyond the limit the oldest are forgotten: they may come into the log twice, and count once by their ids. */
  #remember(row: OutsideRow): void {
    this.#seen.set(eventId(row), row.updatedAtUs);
    if (this.#seen.size <= this.#context.limits.pollSeenMax) return;
    const oldest = this.#seen.keys().next();
    if (oldest.done !== true) this.#seen.delete(oldest.value);
  }

  async #failed(error: unknown): Promise<number> {
    const { host, metrics } = this.#context;
    const source = this.#contract.source.name;
    const { code, message } = PlatformError.is(error)
      ? error
      : ({ code: 'INTERNAL', message: 'An unexpected error; the log has it' } as const);
    // The next page begins where the last noted one ended.
    if (this.#claim !== undefined) await host.groups.release(this.#claim).catch(() => undefined);
    this.#claim = undefined;
    if (code === 'FENCED') return 0;
    this.#failures += 1;
    metrics.pollFailures.add(1, { source, code });
    if (this.#failures === 1) host.logger.warn('A table could not be polled', { source, error });
    const failure = { epoch: this.#state.epoch, code, reason: message, at: host.clock.now() };
    await noteFailure(host.tables, source, failure).catch(() => undefined);
    return Math.min(PAUSE_MS_MAX, this.#table.everyMs * 2 ** Math.min(10, this.#failures - 1));
  }
}

/** The id of a row's change as an event. */
function eventId({ id, updatedAtUs }: OutsideRow): string {
  return `${id}@${String(updatedAtUs)}`;
}

/** The later of two places; of two at one time the one that was read last. */
function later(cursor: PollState['cursor'], row: OutsideRow | undefined): PollState['cursor'] {
  if (row === undefined || (cursor !== undefined && cursor.updatedAtUs > row.updatedAtUs)) return cursor;
  return { updatedAtUs: row.updatedAtUs, id: row.id };
}
