import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freshDatabase } from '../../../test/conformance/embedded-server.ts';
import { openPostgres, type Postgres } from '../../adapters/postgres/pool.ts';
import { systemClock, systemRandom } from '../../adapters/system/index.ts';
import { PlatformError } from '../../contract/index.ts';
import { features, count, id, key, source, timestamp, vector } from '../../define/index.ts';
import { type CallContext, type Clock, type Logger, noFailPoints, type Tables } from '../../runtime/index.ts';
import { Ledger, type LedgerParts } from './ledger.ts';
import { firstIdAt, LedgerPartitions } from './ledger-partitions.ts';
import { findEntry, insertEntries, type NewEntry, vectorIdOf } from './ledger-store.ts';
import { serveMigrations } from './migrations.ts';
import { servedValues } from './served-model.ts';

const clicks = source('clicks', {
  id: 'clickId',
  time: 'at',
  key: 'userId',
  fields: { clickId: id(), at: timestamp(), userId: key() },
});
const user = features('user', { from: clicks, key: 'userId' }, () => ({ count: count().over('1d', '7d') }));
const card = vector('card', { candidate: clicks, user });

const clock = systemClock();
const random = systemRandom();
const logger: Logger = { info: () => undefined, warn: () => undefined, error: () => undefined };

let postgres: Postgres;
let vectorId: number;
const cleanup: (() => PromiseLike<unknown>)[] = [];

beforeAll(async () => {
  const database = await freshDatabase();
  cleanup.push(() => database[Symbol.asyncDispose]());
  postgres = await openPostgres(database.url, { applicationName: 'ledger test', connectionsMax: 8 });
  cleanup.unshift(() => postgres.close());
  await postgres.migrate([serveMigrations]);
  vectorId = await vectorIdOf(postgres.tables, card);
}, 60_000);

afterAll(async () => {
  for (const step of cleanup) await step();
});

function entry(changes: Partial<NewEntry> = {}): NewEntry {
  return {
    decisionId: random.id(),
    at: clock.now(),
    decision: 'score',
    subject: 'someone',
    release: 'score-1',
    vectorId,
    asOf: clock.now(),
    score: 0.1 + 0.2,
    outcome: 'accept',
    request: { clickId: 'c' },
    values: [1, null],
    traceId: null,
    positions: { clicks: [1, 2] },
    ...changes,
  };
}

function context(signal: AbortSignal = new AbortController().signal): CallContext {
  return { requestId: 'r', principal: { subject: 'test', roles: ['admin'] }, deadlineMs: Infinity, signal };
}

/** The real tables with a switch that cuts them off. */
function breakable(): Tables & { away: boolean; inserts: number } {
  return {
    away: false,
    inserts: 0,
    query(sql, parameters) {
      if (this.away) return Promise.reject(new PlatformError('UNAVAILABLE', 'cut off'));
      if (sql.includes('insert into serve_ledger')) this.inserts += 1;
      return postgres.tables.query(sql, parameters);
    },
    transaction(work) {
      if (this.away) return Promise.reject(new PlatformError('UNAVAILABLE', 'cut off'));
      return postgres.tables.transaction(work);
    },
  };
}

function ledgerOn(tables: Tables, limits: Partial<LedgerParts['limits']> = {}, time: Clock = clock) {
  const lost = { count: 0 };
  const ledger = new Ledger({
    tables,
    partitions: new LedgerPartitions({ tables, logger, days: 0 }),
    clock: time,
    failPoints: noFailPoints,
    logger,
    metrics: {
      ledgerBuffered: { set: () => undefined },
      ledgerLost: { add: (amount = 1) => (lost.count += amount) },
    },
    limits: { ledgerBatchMax: 50, ledgerBufferMax: 1_000, ledgerLagMsMax: 60_000, ...limits },
  });
  return { ledger, lost };
}

function code(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'recorded',
    (error: unknown) => (PlatformError.is(error) ? error.code : String(error)),
  );
}

async function stored(entries: readonly NewEntry[]): Promise<number> {
  const ids = entries.map((item) => item.decisionId);
  const rows = await postgres.tables.query(
    'select decision_id from serve_ledger where decision_id = any($1)',
    [ids],
  );
  return rows.length;
}

async function inReview(entries: readonly NewEntry[]): Promise<string[]> {
  const rows = await postgres.tables.query<{ decision_id: string }>(
    'select decision_id from serve_review where decision_id = any($1) order by decision_id',
    [entries.map((item) => item.decisionId)],
  );
  return rows.map((row) => row.decision_id);
}

describe('an entry', () => {
  it('comes back exactly as it went in', async () => {
    const value = fc.option(fc.double(), { nil: null });
    const words = fc.string({ unit: 'binary', maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(
        value,
        value,
        fc.double({ min: 0, max: 1 }),
        words,
        async (first, second, score, text) => {
          const request = { clickId: text, amount: 0.1, nested: text };
          const made = entry({ values: servedValues([first, second]), score: score + 0, request });
          await insertEntries(postgres.tables, [made]);
          const found = await findEntry(postgres.tables, made.decisionId);
          const { vectorId: _, ...rest } = made;
          const names = ['user_count_1d', 'user_count_7d'];
          expect(found).toEqual({ ...rest, vector: 'card', vectorHash: card.hash, names });
          expect(Object.is(found?.score, made.score)).toBe(true);
          expect(made.values.every((item, index) => Object.is(item, found?.values[index]))).toBe(true);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('is not found by what is no id', async () => {
    for (const wrong of ['', 'x', `'; drop table`, firstIdAt(0)]) {
      expect(await findEntry(postgres.tables, wrong)).toBeUndefined();
    }
  });
});

describe('a durable entry', () => {
  it('is on disk when it is answered; those that come together share an insert', async () => {
    const tables = breakable();
    const { ledger } = ledgerOn(tables);
    const entries = Array.from({ length: 120 }, () => entry());
    await Promise.all(
      entries.map(async (item) => {
        await ledger.recordDurable(item, context());
        expect(await stored([item])).toBe(1);
      }),
    );
    expect(tables.inserts).toBeLessThan(10);
    await ledger.close(1_000);
  });

  it('is refused while the database is away, and taken again after', async () => {
    const tables = breakable();
    const { ledger } = ledgerOn(tables);
    tables.away = true;
    const refused = await Promise.all(
      [entry(), entry()].map((item) => code(ledger.recordDurable(item, context()))),
    );
    expect(refused).toEqual(['UNAVAILABLE', 'UNAVAILABLE']);
    tables.away = false;
    expect(await code(ledger.recordDurable(entry(), context()))).toBe('recorded');
  });

  it('is not written for somebody who went away', async () => {
    const { ledger } = ledgerOn(breakable());
    const gone = new AbortController();
    const items = [entry(), entry()];
    const first = ledger.recordDurable(items[0] ?? entry(), context());
    const second = code(ledger.recordDurable(items[1] ?? entry(), context(gone.signal)));
    gone.abort();
    await first;
    expect(await second).toBe('DEADLINE_EXCEEDED');
    await ledger.close(1_000);
    expect(await stored(items)).toBe(1);
  });

  it('that the database cannot hold fails alone', async () => {
    const { ledger, lost } = ledgerOn(breakable());
    const entries = Array.from({ length: 20 }, (_, index) =>
      entry(index % 7 === 3 ? { subject: 'nul\0' } : {}),
    );
    const answers = entries.map((item, index) =>
      code(index % 2 === 0 ? ledger.recordDurable(item, context()) : ledger.recordBuffered(item, context())),
    );
    const answered = (await Promise.all(answers)).filter((answer) => answer === 'recorded');
    await ledger.close(5_000);
    expect(await stored(entries)).toBe(17);
    expect(answered.length - lost.count).toBe(17);
  });
});

describe('a buffered entry', () => {
  it('is answered while the database is away until the buffer is full, then waits for room', async () => {
    const tables = breakable();
    const { ledger, lost } = ledgerOn(tables, { ledgerBufferMax: 30 });
    tables.away = true;
    const entries = Array.from({ length: 30 }, () => entry());
    for (const item of entries) await ledger.recordBuffered(item, context());
    expect(ledger.buffered(entries[29]?.decisionId ?? '')).toEqual(entries[29]);
    expect(await code(ledger.recordBuffered(entry(), context(AbortSignal.timeout(30))))).toBe('UNAVAILABLE');
    const waiting = entry();
    const answer = code(ledger.recordBuffered(waiting, context()));
    tables.away = false;
    expect(await answer).toBe('recorded');
    await ledger.close(5_000);
    expect(await stored([...entries, waiting])).toBe(31);
    expect(lost.count).toBe(0);
  });

  it('waits when the buffer is too far behind although the database answers, not when it falls silent', async () => {
    const tables = breakable();
    const time = { ms: 0 };
    const { ledger } = ledgerOn(tables, { ledgerLagMsMax: 1_000 }, { ...clock, monotonic: () => time.ms });
    const held: (() => void)[] = [];
    const query = tables.query.bind(tables);
    tables.query = async (sql, parameters) => {
      if (sql.includes('insert into serve_ledger')) await new Promise<void>((resolve) => held.push(resolve));
      return query(sql, parameters);
    };
    const answered = async (count: number): Promise<void> => {
      while (held.length < count) await clock.sleep(5);
    };
    await ledger.recordBuffered(entry(), context());
    await answered(1);
    await ledger.recordBuffered(entry(), context());
    // The first insert takes 0.8 s; the entry that waits for the second one is 1.2 s old after 0.4 s of that.
    time.ms = 800;
    held[0]?.();
    await answered(2);
    time.ms = 1_200;
    const late = code(ledger.recordBuffered(entry(), context(AbortSignal.timeout(10))));
    expect(await late).toBe('DEADLINE_EXCEEDED');
    time.ms = 1_900;
    expect(await code(ledger.recordBuffered(entry(), context()))).toBe('recorded');
    held[1]?.();
    await answered(3);
    held[2]?.();
    await ledger.close(5_000);
  });

  it('does not wait for what collected while the database was away', async () => {
    const tables = breakable();
    const time = { ms: 0 };
    const { ledger } = ledgerOn(tables, { ledgerLagMsMax: 1_000 }, { ...clock, monotonic: () => time.ms });
    let hold: PromiseWithResolvers<void> | undefined;
    const held = Promise.withResolvers<void>();
    const query = tables.query.bind(tables);
    tables.query = async (sql, parameters) => {
      if (!tables.away && sql.includes('insert into serve_ledger')) {
        held.resolve();
        await hold?.promise;
      }
      return query(sql, parameters);
    };
    tables.away = true;
    const entries = [entry(), entry()];
    for (const item of entries) await ledger.recordBuffered(item, context());
    await clock.sleep(20);
    time.ms = 20_000;
    hold = Promise.withResolvers();
    tables.away = false;
    await held.promise;
    // The first insert that gets through has been under way for 0.4 s; what it writes is 20 s old.
    time.ms = 20_400;
    const next = entry();
    expect(await code(ledger.recordBuffered(next, context(AbortSignal.timeout(50))))).toBe('recorded');
    hold.resolve();
    hold = undefined;
    await ledger.close(5_000);
    expect(await stored([...entries, next])).toBe(3);
  });

  it('that is lost at the end is counted', async () => {
    const tables = breakable();
    const { ledger, lost } = ledgerOn(tables);
    tables.away = true;
    for (let index = 0; index < 5; index += 1) await ledger.recordBuffered(entry(), context());
    await ledger.close(20);
    expect(lost.count).toBe(5);
  });
});

describe('an entry for a person to look at', () => {
  it('enters the queue with its group, once, and others do not', async () => {
    const { ledger } = ledgerOn(postgres.tables);
    const entries = Array.from({ length: 20 }, (_, index) =>
      entry(index % 3 === 0 ? { forReview: true } : {}),
    );
    await Promise.all(entries.slice(0, 10).map((item) => ledger.recordDurable(item, context())));
    for (const item of entries.slice(10)) await ledger.recordBuffered(item, context());
    await ledger.close(5_000);
    const wanted = entries.filter(({ forReview }) => forReview === true).map((item) => item.decisionId);
    expect(await inReview(entries)).toEqual(wanted.toSorted());
    expect(await stored(entries)).toBe(20);
    // As after a commit whose answer was lost: an answer that came meanwhile stays.
    await postgres.tables.query('update serve_review set answered_at = 1 where decision_id = $1', [
      wanted[0],
    ]);
    await insertEntries(postgres.tables, entries);
    const [row] = await postgres.tables.query('select answered_at from serve_review where decision_id = $1', [
      wanted[0],
    ]);
    expect(row).toEqual({ answered_at: 1 });
  });

  it('that the database cannot hold leaves neither', async () => {
    const { ledger } = ledgerOn(postgres.tables);
    const bad = entry({ forReview: true, subject: '\0' });
    const good = entry({ forReview: true });
    const outcomes = await Promise.allSettled(
      [bad, good].map((item) => ledger.recordDurable(item, context())),
    );
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    expect(await inReview([bad, good])).toEqual([good.decisionId]);
    await ledger.close(5_000);
  });
});

describe('the tables of the ledger', () => {
  const DAY_MS = 86_400_000;

  async function days(): Promise<string[]> {
    const rows = await postgres.tables.query<{ name: string }>(
      `select relname as name from pg_inherits join pg_class on oid = inhrelid
       where inhparent = 'serve_ledger'::regclass order by 1`,
    );
    return rows.map((row) => row.name);
  }

  it('are made ahead by racing replicas and dropped by the day', async () => {
    const start = Date.UTC(2040, 0, 1);
    const replicas = Array.from(
      { length: 4 },
      () => new LedgerPartitions({ tables: postgres.tables, logger, days: 3 }),
    );
    await Promise.all(replicas.map((replica) => replica.prepare(start + 1_000)));
    const made = await days();
    expect(made.filter((name) => name.includes('2040'))).toEqual(
      ['20400101', '20400102', '20400103'].map((day) => `serve_ledger_d${day}`),
    );
    const first = entry({ decisionId: firstIdAt(start + 5), forReview: true });
    const last = entry({ decisionId: firstIdAt(start + 3 * DAY_MS - 1), forReview: true });
    await insertEntries(postgres.tables, [first, last]);
    expect(await inReview([first, last])).toEqual([first.decisionId, last.decisionId]);
    const rows = await postgres.tables.query(`select decision_id from serve_ledger_d20400101`);
    expect(rows).toEqual([{ decision_id: first.decisionId }]);
    await replicas[0]?.prepare(start + 4 * DAY_MS);
    expect((await days()).filter((name) => name.includes('2040'))).toEqual(
      ['02', '03', '05', '06', '07'].map((day) => `serve_ledger_d204001${day}`),
    );
    expect(await stored([first, last])).toBe(1);
    // Reviews go with their decisions.
    expect(await inReview([first, last])).toEqual([last.decisionId]);
  });

  it('hold also what belongs to no day', async () => {
    const far = entry({ decisionId: firstIdAt(Date.UTC(2090, 0, 1)) });
    await insertEntries(postgres.tables, [far]);
    expect(await findEntry(postgres.tables, far.decisionId)).toMatchObject({ decisionId: far.decisionId });
    const partitions = new LedgerPartitions({ tables: postgres.tables, logger, days: 0 });
    await partitions.prepare(Date.UTC(2090, 0, 1));
    expect((await days()).filter((name) => name.includes('2090'))).toEqual([
      'serve_ledger_d20900102',
      'serve_ledger_d20900103',
    ]);
    expect(await stored([far])).toBe(1);
  });
});
