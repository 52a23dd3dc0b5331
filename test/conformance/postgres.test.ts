import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { PlatformError } from '../../src/contract/errors.ts';
import { openPostgres, type Postgres } from '../../src/adapters/postgres/index.ts';
import { createSegment } from '../../src/adapters/postgres/log/schema.ts';
import type { MigrationSet } from '../../src/runtime/ports/index.ts';
import { administrate, type FreshDatabase, freshDatabase } from './embedded-server.ts';
import { eventLogConformance } from './event-log.ts';
import { rejectionCode, until } from './expectations.ts';
import { instancesConformance } from './instances.ts';
import { jobsConformance } from './jobs.ts';
import { keysConformance } from './keys.ts';
import { signalsConformance } from './signals.ts';
import { tablesConformance } from './tables.ts';

const run = promisify(execFile);

let shared: Promise<FreshDatabase> | undefined;

/** All suites of the file share one database; each opening is a process's own set of connections. */
async function open(): Promise<Postgres> {
  const { url } = await (shared ??= freshDatabase());
  const postgres = await openPostgres(url, { applicationName: 'conformance', connectionsMax: 5 });
  await postgres.migrate([]);
  return postgres;
}

afterAll(async () => {
  await (await shared)?.[Symbol.asyncDispose]();
});

eventLogConformance('PostgreSQL', open);
tablesConformance('PostgreSQL', open);
signalsConformance('PostgreSQL', open);
jobsConformance('PostgreSQL', open);
instancesConformance('PostgreSQL', open);
keysConformance('PostgreSQL', open);

const shop: MigrationSet = {
  owner: 'shop',
  migrations: [
    { number: 1, name: 'order', sql: 'create table shop_order (id bigint primary key);' },
    {
      number: 2,
      name: 'price',
      sql: 'alter table shop_order add price bigint; insert into shop_order values (1, 2);',
    },
  ],
};

describe('PostgreSQL: migrations', () => {
  it('lets five processes start together on an empty database', async () => {
    await using database = await freshDatabase();
    const script = fileURLToPath(new URL('fixtures/migrate.ts', import.meta.url));
    const outputs = await Promise.all(
      Array.from({ length: 5 }, () => run(process.execPath, [script, database.url, JSON.stringify([shop])])),
    );
    expect(outputs.map(({ stdout }) => stdout.trim())).toEqual(outputs.map(() => 'ready'));
    expect(await administrate(database.url, 'select * from shop_order')).toEqual([{ id: '1', price: '2' }]);
  });

  it('applies what is new, and leaves nothing of a step that fails', async () => {
    await using database = await freshDatabase();
    await using postgres = await openPostgres(database.url, {
      applicationName: 'conformance',
      connectionsMax: 3,
    });
    const [first, second] = shop.migrations;
    if (first === undefined || second === undefined) throw new Error('not there');
    await postgres.migrate([{ owner: 'shop', migrations: [first] }]);
    const broken = { number: 2, name: 'broken', sql: 'create table shop_left (id int); select 1 / 0;' };
    await expect(postgres.migrate([{ owner: 'shop', migrations: [first, broken] }])).rejects.toThrow(
      'division',
    );
    await postgres.migrate([shop]);
    await postgres.migrate([shop]);
    expect(await postgres.tables.query(`select to_regclass('shop_left') as found`)).toEqual([
      { found: null },
    ]);
    expect(
      await postgres.tables.query(`select number, name from tandem_migration where owner = 'shop'`),
    ).toEqual([
      { number: 1, name: 'order' },
      { number: 2, name: 'price' },
    ]);
  });

  it('refuses a changed step and the database of a newer version', async () => {
    await using database = await freshDatabase();
    await using postgres = await openPostgres(database.url, {
      applicationName: 'conformance',
      connectionsMax: 3,
    });
    await postgres.migrate([shop]);
    const [first, second] = shop.migrations;
    if (first === undefined || second === undefined) throw new Error('not there');
    const changed = { ...shop, migrations: [first, { ...second, sql: 'select 1' }] };
    expect(await rejectionCode(postgres.migrate([changed]))).toBe('CONFIGURATION');
    const older = { ...shop, migrations: [first] };
    await expect(postgres.migrate([older])).rejects.toThrow('newer version');
    await postgres.migrate([
      { ...shop, migrations: [first, { ...second, sql: second.sql.replaceAll('\n', '\r\n') }] },
    ]);
    await expect(postgres.migrate([{ ...shop, migrations: [second] }])).rejects.toThrow('has the number 2');
  });

  it('starts on the database of a newer version whose steps only add', async () => {
    await using database = await freshDatabase();
    const options = { applicationName: 'conformance', connectionsMax: 3 };
    await using postgres = await openPostgres(database.url, options);
    await postgres.migrate([shop]);
    // As the first version of the platform left it.
    await postgres.tables.query('alter table tandem_migration drop column additive');
    await postgres.migrate([shop]);
    const third = {
      number: 3,
      name: 'note',
      additive: true,
      sql: 'alter table shop_order add column note text',
    };
    const newer = { ...shop, migrations: [...shop.migrations, third] };
    await postgres.migrate([newer]);
    await postgres.migrate([shop]);
    // What it says of itself is not enough.
    const fourth = {
      number: 4,
      name: 'gone',
      additive: true,
      sql: 'alter table shop_order drop column note',
    };
    await postgres.migrate([{ ...shop, migrations: [...newer.migrations, fourth] }]);
    await expect(postgres.migrate([newer])).rejects.toThrow('step 4 (gone), which is not additive');
  });
});

describe('PostgreSQL: trust', () => {
  it('refuses a database that would lose acknowledged writes', async () => {
    await using database = await freshDatabase();
    const name = new URL(database.url).pathname.slice(1);
    await administrate(database.url, `alter database ${name} set synchronous_commit = off`);
    const opening = openPostgres(database.url, { applicationName: 'conformance', connectionsMax: 3 });
    expect(await rejectionCode(opening)).toBe('UNSAFE_DATABASE');
  });

  it('says what is wrong with an address and shows no password', async () => {
    const { url } = await (shared ??= freshDatabase());
    const attempt = (address: string): Promise<unknown> =>
      openPostgres(address, { applicationName: 'conformance', connectionsMax: 3 }).catch(
        (error: unknown) => error,
      );
    const password = new URL(url).password;
    for (const [address, code] of [
      ['nonsense', 'CONFIGURATION'],
      [url.replace('postgres:', 'mysql:'), 'CONFIGURATION'],
      // A server that trusts everybody has none to be wrong.
      ...(password === '' ? [] : ([[url.replace(password, 'secret-but-wrong'), 'CONFIGURATION']] as const)),
      [url.replace(/:\d+\//, ':1/'), 'UNAVAILABLE'],
    ] as const) {
      const error = await attempt(address);
      expect(error).toMatchObject({ code });
      expect(String(error)).not.toMatch(/secret-but-wrong/);
      if (password !== '') expect(String(error)).not.toContain(password);
    }
  });
});

describe('PostgreSQL: lost connections', () => {
  const kill = (url: string): Promise<unknown> =>
    administrate(
      url,
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`,
    );

  it('goes on after all connections were cut, and wakes subscribers', async () => {
    await using database = await freshDatabase();
    await using postgres = await openPostgres(database.url, {
      applicationName: 'conformance',
      connectionsMax: 5,
    });
    await postgres.migrate([]);
    await postgres.log.createTopic('t', { partitions: 1 });
    let woken = 0;
    const end = postgres.signals.subscribe('changes', () => (woken += 1));
    await until(async () => {
      await postgres.signals.notify('changes');
      return woken > 0 ? true : undefined;
    });
    const before = woken;
    await kill(database.url);
    await until(() => (woken > before ? true : undefined));
    await until(() =>
      postgres.ping().then(
        () => true,
        () => undefined,
      ),
    );
    await until(
      () =>
        postgres.log.append('t', 0, [Buffer.from('x')]).catch(() => undefined) as Promise<number | undefined>,
    );
    expect((await postgres.log.read('t', 0, 0)).length).toBeGreaterThan(0);
    end();
  });

  it('keeps every acknowledged record while connections are cut under load', async () => {
    await using database = await freshDatabase();
    await using postgres = await openPostgres(database.url, {
      applicationName: 'conformance',
      connectionsMax: 5,
    });
    await postgres.migrate([]);
    await postgres.log.createTopic('t', { partitions: 2 });
    const acknowledged = new Map<string, string>();
    const codes = new Set<string>();
    let running = true;
    const appender = async (id: number): Promise<void> => {
      for (let step = 0; running; step += 1) {
        const value = `${id}-${step}`;
        try {
          const offset = await postgres.log.append('t', id % 2, [Buffer.from(value)]);
          acknowledged.set(`${id % 2}/${offset}`, value);
        } catch (error) {
          codes.add((error as { code: string }).code);
        }
      }
    };
    const appenders = Promise.all(Array.from({ length: 8 }, (_, id) => appender(id)));
    for (let round = 0; round < 3; round += 1) {
      const goal = acknowledged.size + 100;
      await until(() => (acknowledged.size >= goal ? true : undefined));
      await kill(database.url);
    }
    running = false;
    await appenders;
    expect([...codes].filter((code) => code !== 'UNAVAILABLE')).toEqual([]);
    for (const partition of [0, 1]) {
      for (let offset = 0; ;) {
        const batches = await postgres.log.read('t', partition, offset);
        if (batches.length === 0) break;
        for (const batch of batches) {
          for (let index = 0; index < batch.count; index += 1) {
            const key = `${partition}/${batch.base + index}`;
            const value = acknowledged.get(key);
            if (value !== undefined) expect(Buffer.from(batch.record(index)).toString()).toBe(value);
            acknowledged.delete(key);
          }
          offset = batch.base + batch.count;
        }
      }
    }
    expect(acknowledged.size).toBe(0);
  });
});

describe('PostgreSQL: what is appended together', () => {
  const options = { applicationName: 'conformance', connectionsMax: 5 };

  it('is one transaction, over all partitions that wait', async () => {
    await using database = await freshDatabase();
    await using postgres = await openPostgres(database.url, options);
    const { log, tables } = postgres;
    await postgres.migrate([]);
    await log.createTopic('t', { partitions: 8 });
    const append = (index: number): Promise<number> => log.append('t', index % 8, [Buffer.from(`${index}`)]);
    const offsets = await Promise.all(Array.from({ length: 160 }, (_, index) => append(index)));
    expect(offsets).toEqual(Array.from({ length: 160 }, (_, index) => Math.floor(index / 8)));
    const [found] = await tables.query<{ rows: number; commits: number }>(
      'select count(*)::int as rows, count(distinct xmin::text)::int as commits from tandem_log_1',
    );
    expect(found).toEqual({ rows: 8, commits: 1 });
  });

  it('is not shown to followers of the same process before it is on disk', async () => {
    await using database = await freshDatabase();
    let release = (): void => undefined;
    let passed = 0;
    const held = new Promise<void>((resolve) => (release = resolve));
    const failPoints = {
      pass: (name: string) => {
        if (name !== 'log.append.before') return undefined;
        passed += 1;
        return passed === 2 ? held : undefined;
      },
    };
    await using postgres = await openPostgres(database.url, { ...options, failPoints });
    const { log } = postgres;
    await postgres.migrate([]);
    await log.createTopic('t', { partitions: 2 });
    const following = log.read('t', 0, 0, { waitMs: 15_000 });
    await log.append('t', 0, [Buffer.from('a')]);
    expect((await following).map(({ base }) => base)).toEqual([0]);
    const waiting = log.append('t', 0, [Buffer.from('b')]);
    expect(await log.read('t', 0, 1, { waitMs: 300 })).toEqual([]);
    const next = log.read('t', 0, 1, { waitMs: 15_000 });
    release();
    expect(await waiting).toBe(1);
    expect((await next).map(({ base }) => base)).toEqual([1]);
  });

  it('reaches followers through the store when nobody knows what became of it', async () => {
    await using database = await freshDatabase();
    let isBroken = false;
    const failPoints = {
      pass: (name: string) =>
        isBroken && name === 'log.append.committed'
          ? Promise.reject(new PlatformError('UNAVAILABLE', 'on purpose'))
          : undefined,
    };
    await using postgres = await openPostgres(database.url, { ...options, failPoints });
    const { log } = postgres;
    await postgres.migrate([]);
    await log.createTopic('t', { partitions: 2 });
    const first = log.read('t', 0, 0, { waitMs: 15_000 });
    await log.append('t', 0, [Buffer.from('a')]);
    expect((await first).map(({ base }) => base)).toEqual([0]);
    isBroken = true;
    const second = log.read('t', 0, 1, { waitMs: 15_000 });
    const lost = Promise.all(
      [0, 1].map((partition) => rejectionCode(log.append('t', partition, [Buffer.from('b')]))),
    );
    expect(await lost).toEqual(['UNAVAILABLE', 'UNAVAILABLE']);
    expect((await second).map(({ base, count }) => [base, count])).toEqual([[1, 1]]);
    isBroken = false;
    const third = log.read('t', 0, 2, { waitMs: 15_000 });
    expect(await log.append('t', 0, [Buffer.from('c')])).toBe(2);
    expect((await third).map(({ base }) => base)).toEqual([2]);
  });
});

describe('PostgreSQL: segments of the log', () => {
  it('takes over topics that were made before batches named their traces', async () => {
    await using database = await freshDatabase();
    await using postgres = await openPostgres(database.url, {
      applicationName: 'conformance',
      connectionsMax: 3,
    });
    const { log, tables } = postgres;
    await postgres.migrate([]);
    await log.createTopic('t', { partitions: 1 });
    await log.append('t', 0, [Buffer.from('old')]);
    await tables.query('alter table tandem_log_1 drop column trace');
    await tables.query(`delete from tandem_migration where owner = 'postgres.log' and number = 2`);
    await postgres.migrate([]);
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    await log.append('t', 0, [Buffer.from('new')], { traceparent });
    const batches = await log.read('t', 0, 0);
    expect(batches.map((batch) => Buffer.from(batch.record(0)).toString())).toEqual(['old', 'new']);
    expect(batches.map(({ traceparents }) => traceparents)).toEqual([[], [traceparent]]);
  });

  it('reads over the border between days and drops only the older day', async () => {
    await using database = await freshDatabase();
    const options = { applicationName: 'conformance', connectionsMax: 3 };
    await using one = await openPostgres(database.url, options);
    await using two = await openPostgres(database.url, options);
    await one.migrate([]);
    await one.log.createTopic('t', { partitions: 1 });
    const append = (count: number): Promise<number> =>
      one.log.append(
        't',
        0,
        Array.from({ length: count }, (_, index) => Buffer.from(`${index}`)),
      );
    await append(10);
    expect((await two.log.read('t', 0, 0)).length).toBe(1);
    const today = Math.floor(Date.now() / 86_400_000);
    // As if the first ten were of the day before yesterday, and the last five were stored past midnight.
    await one.tables.query(createSegment(1, today - 2));
    await one.tables.query(
      `update tandem_log_1 set day = day - 2, appended_at = appended_at - interval '2 days'`,
    );
    await append(20);
    await one.tables.query('update tandem_log_head set day = day + 1');
    expect(await append(5)).toBe(30);
    const days = await one.tables.query(
      `select distinct day - date '1970-01-01' as day from tandem_log_1 order by 1`,
    );
    expect(days).toEqual([{ day: today - 2 }, { day: today }, { day: today + 1 }]);
    for (const { log } of [one, two]) {
      expect((await log.read('t', 0, 5)).map(({ base, count }) => [base, count])).toEqual([
        [0, 10],
        [10, 20],
        [30, 5],
      ]);
      expect((await log.read('t', 0, 31)).map(({ base }) => base)).toEqual([30]);
    }
    expect(await one.log.retain('t', today * 86_400_000, [35])).toBe(10);
    expect(await two.log.ranges('t')).toEqual([{ first: 10, next: 35 }]);
    expect(await rejectionCode(two.log.read('t', 0, 9))).toBe('OFFSET_OUT_OF_RANGE');
    expect((await two.log.read('t', 0, 10)).map(({ base }) => base)).toEqual([10, 30]);
  });

  it('finds records that a clock which went back has put into older segments', async () => {
    await using database = await freshDatabase();
    await using postgres = await openPostgres(database.url, {
      applicationName: 'conformance',
      connectionsMax: 3,
    });
    const { log, tables } = postgres;
    await postgres.migrate([]);
    await log.createTopic('t', { partitions: 1 });
    const day = Math.floor(Date.now() / 86_400_000);
    await tables.query(createSegment(1, day + 5));
    for (let offset = 0; offset < 40; offset += 10) {
      expect(
        await log.append(
          't',
          0,
          Array.from({ length: 10 }, () => Buffer.from('x')),
        ),
      ).toBe(offset);
    }
    await tables.query('update tandem_log_1 set day = day + 5 where base in (0, 20)');
    const bases: number[] = [];
    for (let next = 0; next < 40;) {
      const batches = await log.read('t', 0, next, { maxRecords: 15 });
      expect(batches.length).toBeGreaterThan(0);
      for (const { base, count } of batches) {
        bases.push(base);
        next = base + count;
      }
    }
    expect(bases).toEqual([0, 10, 20, 30]);
    expect((await log.read('t', 0, 25)).map(({ base }) => base)).toEqual([20, 30]);
    await tables.query(`update tandem_log_head set day = day + 100`);
    expect(await log.append('t', 0, [Buffer.from('x')])).toBe(40);
    expect(
      await tables.query(`select day - date '1970-01-01' as day from tandem_log_1 where base = 40`),
    ).toEqual([{ day: day + 1 }]);
  });
});
