import { PlatformError } from '../../contract/index.ts';
import type { Logger, Tables } from '../../runtime/index.ts';
import { textOf } from './failures.ts';

const DAY_MS = 86_400_000;
/** Tables are made this many days ahead, so that one which cannot be made today does not matter yet. */
const DAYS_AHEAD = 2;
/** After a failure the next attempt waits this long, in milliseconds. */
const RETRY_MS = 60_000;
/** Rows outside of every day's table that one run removes when they are too old, and reviews that one statement removes. */
const REST_ROWS_MAX = 10_000;
/** Any number, the same in every version: who changes the ledger's tables holds this advisory lock. */
const LOCK = 7_239_401_183;

const LIST = `
select child.relname as name from pg_inherits
join pg_class child on child.oid = inhrelid
where inhparent = 'serve_ledger'::regclass`;

const TRIM_REST = `
delete from serve_ledger_rest where decision_id in (
  select decision_id from serve_ledger_rest where decision_id < $1 order by decision_id limit $2)`;

/** Reviews go when their decisions go. */
const TRIM_REVIEWS = `
delete from serve_review where decision_id in (
  select decision_id from serve_review where decision_id < $1 order by decision_id limit $2)
returning decision_id`;

/** What {@link LedgerPartitions} needs. */
export interface LedgerPartitionsOptions {
  readonly tables: Tables;
  readonly logger: Logger;
  /** Days to keep; 0 keeps everything. */
  readonly days: number;
}

/** Makes the ledger's tables for the coming days and drops those that are too old. */
export class LedgerPartitions {
  readonly #options: LedgerPartitionsOptions;
  #doneDay = -1;
  #nextAttemptAt = 0;

  constructor(options: LedgerPartitionsOptions) {
    this.#options = options;
  }

  /**
   * Called before each insert; does something once a day. Rejects with UNAVAILABLE when the database is away.
   * Any other failure is logged and is none of the insert's business: the next days' tables exist already,
   * and what has no table goes into the default one.
   */
  async prepare(nowMs: number): Promise<void> {
    const today = Math.floor(nowMs / DAY_MS);
    if (today <= this.#doneDay || nowMs < this.#nextAttemptAt) return;
    try {
      const known = await this.#names();
      for (let day = today; day <= today + DAYS_AHEAD; day += 1) {
        if (!known.has(dayName(day))) await this.#create(day);
      }
      await this.#retain(today);
      this.#doneDay = today;
    } catch (error) {
      if (PlatformError.is(error) && error.code === 'UNAVAILABLE') throw error;
      this.#nextAttemptAt = nowMs + RETRY_MS;
      this.#options.logger.warn('The tables of the ledger could not be prepared', { error: textOf(error) });
    }
  }

  async #create(day: number): Promise<void> {
    const [from, to] = [day, day + 1].map((edge) => firstIdAt(edge * DAY_MS));
    const bounds = `for values from ('${from}') to ('${to}')`;
    try {
      await this.#options.tables.transaction(async (tx) => {
        await lock(tx);
        await tx.query(`create table if not exists ${dayName(day)} partition of serve_ledger ${bounds}`);
      });
    } catch (error) {
      if (PlatformError.is(error) && error.retryable) throw error;
      // The default table has rows of this day already: they and the rest of the day stay there.
      this.#options.logger.warn('A day of the ledger got no table of its own', {
        day: dayName(day),
        error: textOf(error),
      });
    }
  }

  async #retain(today: number): Promise<void> {
    const { tables, days } = this.#options;
    if (days === 0) return;
    const oldest = today - days;
    const old = [...(await this.#names())].filter((name) => /_d\d{8}$/.test(name) && name < dayName(oldest));
    for (const name of old) {
      await tables.transaction(async (tx) => {
        await lock(tx);
        await tx.query(`drop table if exists ${name}`);
      });
    }
    const bounds = [firstIdAt(oldest * DAY_MS), REST_ROWS_MAX];
    await tables.query(TRIM_REST, bounds);
    while ((await tables.query(TRIM_REVIEWS, bounds)).length === REST_ROWS_MAX);
  }

  async #names(): Promise<Set<string>> {
    const rows = await this.#options.tables.query<{ name: string }>(LIST);
    return new Set(rows.map((row) => row.name));
  }
}

/**
 * Making or dropping a day's table locks the ledger for a moment; behind a long reader it gives up instead of
 * waiting.
 */
async function lock(tx: Tables): Promise<void> {
  await tx.query(`set local lock_timeout = '2s'`);
  await tx.query('select pg_advisory_xact_lock($1)', [LOCK]);
}

/** `serve_ledger_d20260131` for a day, counted from 1970-01-01 UTC. */
function dayName(day: number): string {
  return `serve_ledger_d${new Date(day * DAY_MS).toISOString().slice(0, 10).replaceAll('-', '')}`;
}

/**
 * The lowest UUID whose first 48 bits are the time, as in version 7 (RFC 9562), in milliseconds since 1970.
 */
export function firstIdAt(timeMs: number): string {
  const hex = Math.min(Math.max(0, timeMs), 2 ** 48 - 1)
    .toString(16)
    .padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}
