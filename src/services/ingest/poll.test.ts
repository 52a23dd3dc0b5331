import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FreshDatabase, freshDatabase } from '../../../test/conformance/embedded-server.ts';
import { usePostgres } from '../../../test/support/postgres.ts';
import { postgresOutsideTables } from '../../adapters/postgres/index.ts';
import { systemClock, systemRandom } from '../../adapters/system/index.ts';
import { type PollStatus, routes, type SourceDescription } from '../../contract/index.ts';
import {
  env,
  id,
  key,
  money,
  postgresTable,
  type PostgresTableOptions,
  source,
  type Source,
  text,
  timestamp,
} from '../../define/index.ts';
import type { OutsideTables, Tables } from '../../runtime/index.ts';
import { ingest } from './index.ts';
import { ingestOn, list, type TestIngest } from './test-host.ts';

/*
 * A table of a real database, polled by the service on a store of its own. Rows are put in as an application would, in
 * transactions that overlap.
 */

const postgres = usePostgres(ingest.migrations);
const withIngest = ingestOn(() => ({ ...postgres(), clock: systemClock(), random: systemRandom() }));

const PATIENCE = { timeout: 30_000, interval: 25 };
const BASE = Date.UTC(2024, 4, 1);
const SECRET = 'not-to-be-shown';

let database: FreshDatabase;
let shop: pg.Client;
let tables: OutsideTables & AsyncDisposable;
beforeAll(async () => {
  database = await freshDatabase();
  shop = new pg.Client(database.url);
  await shop.connect();
  const wrong = new URL(database.url);
  wrong.password = SECRET;
  wrong.username = 'nobody_of_this_name';
  tables = postgresOutsideTables({
    environment: {
      SHOP_URL: database.url,
      WRONG_URL: wrong.href,
      GONE_URL: `postgres://u:${SECRET}@127.0.0.1:1/x`,
      BAD_URL: SECRET,
    },
    applicationName: 'test poll',
  });
});
afterAll(async () => {
  await tables[Symbol.asyncDispose]();
  await shop.end();
  await database[Symbol.asyncDispose]();
});

/** A table with a name of its own. */
async function makeTable(rows = 0): Promise<string> {
  const name = `orders_${systemRandom().id().replaceAll('-', '')}`;
  await shop.query(
    `create table ${name} (order_id bigint primary key, customer text, amount numeric(12,3), "made by" text, updated_at timestamptz)`,
  );
  await shop.query(
    `insert into ${name} select n, 'c' || n % 7, n, 'shop', to_timestamp(${String(BASE / 1_000)} + n / 1000.0) from generate_series(1, $1) as n`,
    [rows],
  );
  return name;
}

/** Puts a row in, or changes it, as if at this time after the base. */
async function put(
  table: string,
  row: number,
  ms: number,
  amount: string | number = 1,
  on = shop,
): Promise<void> {
  await on.query(
    `insert into ${table} values ($1, 'c', $2, 'shop', to_timestamp($3))
     on conflict (order_id) do update set amount = excluded.amount, updated_at = excluded.updated_at`,
    [row, amount, (BASE + ms) / 1_000],
  );
}

function changes(table: string, options: Partial<PostgresTableOptions> = {}): (name: string) => Source {
  const poll = postgresTable({
    url: env('SHOP_URL'),
    table,
    id: 'order_id',
    updatedAt: 'updated_at',
    columns: { at: 'updated_at', order: 'order_id', total: 'amount', by: 'made by' },
    every: '50ms',
    overlap: '1m',
    ...options,
  });
  return (name) =>
    source(name, {
      id: 'change',
      time: 'at',
      key: 'order',
      fields: {
        change: id(),
        at: timestamp(),
        order: key(),
        customer: key(),
        total: money('EUR'),
        by: text({ optional: true }),
      },
      poll,
    });
}

interface Logged {
  readonly change: string;
  readonly at: string;
  readonly total: string;
}

async function logged(service: TestIngest): Promise<Logged[]> {
  const found = (await service.logged()).map((item) => JSON.parse(item.text) as Logged);
  return found.toSorted((left, right) => (left.at < right.at ? -1 : left.at > right.at ? 1 : 0));
}

const idsOf = async (service: TestIngest): Promise<string[]> =>
  (await logged(service)).map(({ change }) => change);

async function status(service: TestIngest): Promise<PollStatus> {
  const input = { params: { source: service.source }, query: {}, body: {} };
  const description: SourceDescription = await service.call(routes.describeSource, input);
  if (description.poll === null) throw new Error('the source is not polled');
  return description.poll;
}

const changeId = (row: number, ms: number): string => `${String(row)}@${String((BASE + ms) * 1_000)}`;

describe('a polled table', () => {
  it('is read in pages to its end; a changed row is a new event, an unchanged one is not', async () => {
    const table = await makeTable(2_500);
    const define = changes(table);
    await withIngest({ define, outsideTables: tables, limits: { pollRowsMax: 400 } }, async (service) => {
      await expect.poll(async () => (await service.logged()).length, PATIENCE).toBe(2_500);
      const events = await logged(service);
      expect(events[0]).toEqual({
        change: changeId(1, 1),
        at: '2024-05-01T00:00:00.001000Z',
        order: '1',
        customer: 'c1',
        total: '1.000',
        by: 'shop',
      });
      await put(table, 7, 60_000, '12.50');
      await expect.poll(async () => (await service.logged()).length, PATIENCE).toBe(2_501);
      expect((await logged(service)).at(-1)).toMatchObject({ change: changeId(7, 60_000), total: '12.500' });
      await expect
        .poll(() => status(service), PATIENCE)
        .toMatchObject({
          accepted: 2_501,
          cursor: { updatedAt: '2024-05-01T00:01:00.000000Z', id: '7' },
          caughtUpAt: expect.any(Number) as number,
          error: null,
        });
      // Several more rounds over the overlap bring nothing twice.
      await systemClock().sleep(400);
      expect((await service.logged()).length).toBe(2_501);
      expect(await service.metrics.text()).toContain(
        `ingest_poll_rows_total{source="${service.source}"} 2501`,
      );
    });
  });

  it('makes a changed row a correction of its event, and a marked one a deletion, where the source takes them', async () => {
    const table = await makeTable();
    await shop.query(`alter table ${table} add column gone timestamptz`);
    const define = (name: string): Source => {
      const poll = postgresTable({
        url: env('SHOP_URL'),
        table,
        id: 'order_id',
        updatedAt: 'updated_at',
        deleted: 'gone',
        columns: { at: 'updated_at', total: 'amount' },
        every: '50ms',
      });
      return source(name, {
        id: 'order',
        time: 'at',
        key: 'customer',
        corrections: true,
        fields: { order: id(), at: timestamp(), customer: key(), total: money('EUR') },
        poll,
      });
    };
    await put(table, 7, 1_000, '1.50');
    await put(table, 8, 2_000, '1.50');
    await withIngest({ define, outsideTables: tables }, async (service) => {
      const found = async (): Promise<unknown[]> =>
        (await service.logged()).map((item) => JSON.parse(item.text) as unknown);
      await expect.poll(async () => (await found()).length, PATIENCE).toBe(2);
      await put(table, 7, 3_000, '2.50');
      await expect.poll(async () => (await found()).length, PATIENCE).toBe(3);
      await shop.query(`update ${table} set gone = now(), updated_at = to_timestamp($1) where order_id = 7`, [
        (BASE + 4_000) / 1_000,
      ]);
      await expect.poll(async () => (await found()).length, PATIENCE).toBe(4);
      const state = (row: number, ms: number, total: string): object => ({
        order: String(row),
        customer: 'c',
        total,
        at: `2024-05-01T00:00:0${String(ms / 1_000)}.000000Z`,
        _revision: (BASE + ms) * 1_000,
      });
      expect(await found()).toEqual([
        state(7, 1_000, '1.500'),
        state(8, 2_000, '1.500'),
        state(7, 3_000, '2.500'),
        { ...state(7, 4_000, '2.500'), _deleted: true },
      ]);
      await expect.poll(() => status(service), PATIENCE).toMatchObject({ accepted: 4, quarantined: 0 });
    });
  });

  it('finds rows that are committed late with an older time, within the overlap', async () => {
    const table = await makeTable();
    await put(table, 1, 10_000);
    const slow = new pg.Client(database.url);
    await slow.connect();
    try {
      await slow.query('begin');
      await put(table, 2, 5_000, 1, slow);
      await withIngest({ define: changes(table), outsideTables: tables }, async (service) => {
        await expect.poll(() => idsOf(service), PATIENCE).toEqual([changeId(1, 10_000)]);
        await put(table, 3, 40_000);
        await expect.poll(async () => (await idsOf(service)).length, PATIENCE).toBe(2);
        await slow.query('commit');
        await expect
          .poll(() => idsOf(service), PATIENCE)
          .toEqual([changeId(2, 5_000), changeId(1, 10_000), changeId(3, 40_000)]);
      });
    } finally {
      await slow.end();
    }
  });

  it('reads rows of one instant to the last, whatever the size of a page', async () => {
    const table = await makeTable();
    for (let row = 1; row <= 25; row += 1) await put(table, row, 1_000);
    const define = changes(table);
    await withIngest({ define, outsideTables: tables, limits: { pollRowsMax: 4 } }, async (service) => {
      await expect.poll(async () => (await service.logged()).length, PATIENCE).toBe(25);
      expect(new Set(await idsOf(service)).size).toBe(25);
    });
  });

  it('goes on where it was after a restart, and reads at most the overlap again', async () => {
    const table = await makeTable(1_000);
    const define = changes(table, { overlap: '100ms' });
    const name = `orders_${systemRandom().id().replaceAll('-', '_')}`;
    await withIngest({ source: name, define, outsideTables: tables }, async (service) => {
      await expect.poll(async () => (await service.logged()).length, PATIENCE).toBe(1_000);
    });
    await put(table, 5_000, 60_000);
    await withIngest({ source: name, define, outsideTables: tables }, async (service) => {
      await expect.poll(async () => (await idsOf(service)).at(-1), PATIENCE).toBe(changeId(5_000, 60_000));
      const ids = await idsOf(service);
      expect(ids.length).toBeLessThanOrEqual(1_000 + 101 + 1);
      expect(new Set(ids).size).toBe(1_001);
    });
  });

  it('loses nothing and quarantines once when it crashes between log and note', async () => {
    const table = await makeTable(20);
    await put(table, 99, 30_000, '1.234');
    let crash = true;
    const store = postgres().tables;
    const failing: Tables = {
      ...store,
      query: (sql, parameters) =>
        crash && sql.startsWith('update ingest_poll set cursor_us')
          ? Promise.reject(new Error('crashed'))
          : store.query(sql, parameters),
    };
    const define = changes(table);
    await withIngest({ define, outsideTables: tables, tables: failing }, async (service) => {
      await expect.poll(async () => (await service.logged()).length, PATIENCE).toBeGreaterThanOrEqual(20);
      await expect.poll(async () => (await status(service)).error?.code, PATIENCE).toBe('INTERNAL');
      crash = false;
      await expect.poll(() => status(service), PATIENCE).toMatchObject({ error: null, quarantined: 1 });
      expect(new Set(await idsOf(service)).size).toBe(20);
      expect((await list(service)).records).toMatchObject([{ code: 'FIELD_RANGE', field: 'total' }]);
    });
  });

  it('is read by one replica at a time, and by another when that one stops', async () => {
    const table = await makeTable(300);
    const define = changes(table);
    const setting = { source: `orders_${systemRandom().id().replaceAll('-', '_')}`, define };
    let reads = 0;
    const counted: OutsideTables = {
      read: (...parameters) => {
        reads += 1;
        return tables.read(...parameters);
      },
    };
    await withIngest({ ...setting, instance: 'one', outsideTables: tables }, async (first) => {
      await expect.poll(async () => (await first.logged()).length, PATIENCE).toBe(300);
      await withIngest({ ...setting, instance: 'two', outsideTables: counted }, async (second) => {
        await systemClock().sleep(300);
        expect(reads).toBe(0);
        await first.stop();
        await put(table, 400, 90_000);
        await expect.poll(async () => (await idsOf(second)).at(-1), PATIENCE).toBe(changeId(400, 90_000));
        expect(reads).toBeGreaterThan(0);
      });
    });
  });

  it('quarantines a row that breaks the contract and goes on', async () => {
    const table = await makeTable();
    await put(table, 1, 1_000, '1.005');
    await put(table, 2, 2_000);
    await withIngest({ define: changes(table), outsideTables: tables }, async (service) => {
      await expect.poll(() => idsOf(service), PATIENCE).toEqual([changeId(2, 2_000)]);
      const { records } = await list(service);
      expect(records).toMatchObject([{ code: 'FIELD_RANGE', field: 'total' }]);
      expect(JSON.parse(records[0]?.text ?? '')).toMatchObject({
        change: changeId(1, 1_000),
        total: '1.005',
      });
    });
  });

  it.each([
    ['WRONG_URL', 'orders', 'CONFIGURATION', '28'],
    ['GONE_URL', 'orders', 'UNAVAILABLE', 'ECONNREFUSED'],
    ['BAD_URL', 'orders', 'CONFIGURATION', 'must look like'],
    ['UNSET_URL', 'orders', 'CONFIGURATION', 'is not set'],
    ['SHOP_URL', 'nowhere', 'CONFIGURATION', "no table 'nowhere'"],
  ])('says what is wrong with %s and shows no secret', async (variable, table, code, words) => {
    const define = changes(table, { url: env(variable) });
    await withIngest({ define, outsideTables: tables }, async (service) => {
      await expect.poll(async () => (await status(service)).error?.code, PATIENCE).toBe(code);
      const { error } = await status(service);
      expect(error?.reason).toContain(words);
      const metrics = await service.metrics.text();
      expect(metrics).toContain(`ingest_poll_failures_total{source="${service.source}",code="${code}"}`);
      const shown = JSON.stringify([error, service.said], (_, value: unknown) =>
        value instanceof Error
          ? Object.fromEntries(
              Object.getOwnPropertyNames(value).map((name) => [name, Reflect.get(value, name)]),
            )
          : value,
      );
      expect(shown).not.toContain(SECRET);
      expect(service.said.length).toBeGreaterThan(0);
    });
  });

  it('recovers by itself when what was wrong is right', async () => {
    const table = `late_${systemRandom().id().replaceAll('-', '')}`;
    await withIngest({ define: changes(table), outsideTables: tables }, async (service) => {
      await expect.poll(async () => (await status(service)).error?.reason, PATIENCE).toContain('no table');
      await shop.query(
        `create table ${table} (order_id text, customer text, amount int, updated_at timestamp)`,
      );
      await expect
        .poll(async () => (await status(service)).error?.reason, PATIENCE)
        .toContain("no column 'made by'");
      await shop.query(`alter table ${table} add column "made by" varchar(5)`);
      await shop.query(`insert into ${table} values ('a', 'c', 5, '2024-05-01 10:00:00.000001', null)`);
      await expect
        .poll(() => logged(service), PATIENCE)
        .toEqual([
          {
            change: 'a@1714557600000001',
            at: '2024-05-01T10:00:00.000001Z',
            order: 'a',
            customer: 'c',
            total: '5',
          },
        ]);
      expect((await status(service)).error).toBeNull();
    });
  });
});

describe('the definition', () => {
  it('holds the name of a variable and no address, and is no part of the contract', () => {
    const one = changes('orders')('a');
    expect(JSON.stringify(one.poll)).toContain('SHOP_URL');
    expect(one.hash).toBe(changes('other', { every: '1h' })('a').hash);
    expect(() => env('postgres://u:p@h/d')).toThrow(TypeError);
    expect(() => env('TANDEM_URL')).toThrow('TANDEM_');
    expect(() => changes('a.b.c')).toThrow('schema.table');
    expect(() => changes('orders', { columns: { nothing: 'x' } })('a')).toThrow("'nothing'");
  });
});
