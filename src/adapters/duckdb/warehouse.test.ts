import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PlatformError } from '../../contract/errors.ts';
import type { ColumnSpec, Warehouse } from '../../runtime/ports/index.ts';
import { translate } from './failures.ts';
import { duckdbWarehouse } from './index.ts';
import { folderName } from './scratch.ts';

let directory: string;
let warehouse: Warehouse;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'warehouse-'));
  warehouse = duckdbWarehouse({ directory, memoryBytesMax: 256 * 1_048_576 });
});

afterAll(() => rm(directory, { recursive: true, force: true }));

async function failure(work: Promise<unknown>): Promise<PlatformError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!PlatformError.is(error)) throw new Error(`Expected a PlatformError, got ${String(error)}`);
  return error;
}

describe('results', () => {
  const FAILS_LATE =
    "select case when range = 150000 then error('late') else range end as n from range(200000)";

  it('that fail after many rows fail, instead of ending there', async () => {
    await using session = await warehouse.session();
    for (let round = 0; round < 5; round += 1) {
      expect(await failure(session.query(FAILS_LATE))).toMatchObject({ code: 'INTERNAL' });
      const read = async (): Promise<void> => {
        for await (const piece of session.stream(FAILS_LATE)) expect(piece.rows).toBeGreaterThan(0);
      };
      expect(await failure(read())).toMatchObject({ code: 'INTERNAL' });
    }
  });

  it('come piece by piece in their order, also when they are left early', async () => {
    await using session = await warehouse.session();
    for (const count of [0, 1, 2_047, 2_048, 2_049, 8_192, 100_000]) {
      const found: number[] = [];
      for await (const { rows, names, columns } of session.stream(
        `select range as n, range::varchar as t, range % 2 = 0 as b from range(${count})`,
      )) {
        expect(names).toEqual(['n', 't', 'b']);
        const [numbers, texts] = [columns.get('n') as Float64Array, columns.get('t')];
        expect([numbers.length, texts?.length]).toEqual([rows, rows]);
        found.push(...numbers);
      }
      expect(found).toEqual(Array.from({ length: count }, (_, index) => index));
    }
    for await (const piece of session.stream('select range as n from range(10000000)')) {
      expect(piece.rows).toBeGreaterThan(0);
      break;
    }
    expect((await session.query('select 1 as one')).rows).toBe(1);
    // Left without a word: the end of the session does not wait for it.
    await session.stream('select range as n from range(10000000)').next();
    await session[Symbol.asyncDispose]();
  });

  it('that cannot begin say so', async () => {
    await using session = await warehouse.session();
    expect(await failure(session.stream('select nothing').next())).toMatchObject({ code: 'INTERNAL' });
  });

  it('can be of files that are received as they come', async () => {
    await using session = await warehouse.session();
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      for (const text of ['a,b\n', '1,', '2\n']) yield Buffer.from(text);
      await Promise.resolve();
    };
    const path = await session.receive(chunks());
    expect((await session.query(`select a + b as sum from read_csv('${path}')`)).columns.get('sum')).toEqual(
      Float64Array.of(3),
    );
    const broken = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from('a');
      await Promise.resolve();
      throw new PlatformError('BODY_TOO_LARGE', 'too large');
    };
    expect(await failure(session.receive(broken()))).toMatchObject({ code: 'BODY_TOO_LARGE' });
  });

  it('come by column, numbers as float64 with NaN for null', async () => {
    await using session = await warehouse.session();
    const { rows, names, columns } = await session.query(`
      select * from (values
        (1::tinyint, 2::ubigint, -3::bigint, 1.5::float, 0.1::double, true, 'a'),
        (null, null, null, null, null, null, null),
        (-128, 9007199254740991, -9007199254740991, -2.25, 'nan', false, 'ä longer string, outside of the vector')
      ) as t (tiny, unsigned, big, small, double, flag, text)`);
    expect(rows).toBe(3);
    expect(names).toEqual(['tiny', 'unsigned', 'big', 'small', 'double', 'flag', 'text']);
    expect(columns.get('tiny')).toEqual(Float64Array.of(1, Number.NaN, -128));
    expect(columns.get('unsigned')).toEqual(Float64Array.of(2, Number.NaN, Number.MAX_SAFE_INTEGER));
    expect(columns.get('big')).toEqual(Float64Array.of(-3, Number.NaN, -Number.MAX_SAFE_INTEGER));
    expect(columns.get('small')).toEqual(Float64Array.of(1.5, Number.NaN, -2.25));
    expect(columns.get('double')).toEqual(Float64Array.of(0.1, Number.NaN, Number.NaN));
    expect(columns.get('flag')).toEqual([true, null, false]);
    expect(columns.get('text')).toEqual(['a', null, 'ä longer string, outside of the vector']);
  });

  it('keep the columns of an empty result, and are those of the last statement', async () => {
    await using session = await warehouse.session();
    const { rows, columns } = await session.query('create table t (a double, b varchar); select * from t');
    expect(rows).toBe(0);
    expect(columns.get('a')).toEqual(new Float64Array(0));
    expect(columns.get('b')).toEqual([]);
  });

  it('refuse what has no place in a column and say what to do', async () => {
    await using session = await warehouse.session();
    for (const [sql, said] of [
      ['select 1.5::decimal(10, 2) as price', /'price' is DECIMAL\(10,2\): cast it/],
      ['select sum(range) as total from range(3)', /'total' is HUGEINT: cast it/],
      [`select date '2020-01-01' as day`, /'day' is DATE: cast it/],
      ['select 9007199254740992 as large', /'large' has an integer beyond/],
      ['select 1 as a, 2 as a', /two columns of the same name/],
    ] as const) {
      const error = await failure(session.query(sql));
      expect(error.code).toBe('INTERNAL');
      expect(error.message).toMatch(said);
    }
    // The session lives on.
    expect((await session.query('select 1 as one')).columns.get('one')).toEqual(Float64Array.of(1));
  });

  it('of many vectors and Parquet pages are whole', async () => {
    await using session = await warehouse.session();
    const file = join(session.scratch, 'strings.parquet');
    await session.run(`copy (select range as n, case when range % 7 = 0 then null else 'text number ' || (range % 5000) end as few,
        repeat('x', (range % 40)::int) || range as many from range(20000)) to '${file}' (format parquet)`);
    const { columns } = await session.query(`select * from '${file}' order by hash(n)`);
    const numbers = columns.get('n') as Float64Array;
    expect(numbers.length).toBe(20_000);
    numbers.forEach((number, row) => {
      const few = number % 7 === 0 ? null : `text number ${number % 5000}`;
      if (columns.get('few')?.[row] !== few) expect(columns.get('few')?.[row]).toBe(few);
      const many = `${'x'.repeat(number % 40)}${number}`;
      if (columns.get('many')?.[row] !== many) expect(columns.get('many')?.[row]).toBe(many);
    });
  });
});

describe('appending', () => {
  const columns: readonly ColumnSpec[] = [
    { name: 'whole', type: 'int64' },
    { name: 'real', type: 'float64' },
    { name: 'flag', type: 'boolean' },
    { name: 'a "text"', type: 'string' },
  ];
  const row = fc.tuple(
    fc.option(fc.maxSafeInteger()),
    fc.option(fc.double({ noNaN: true })),
    fc.option(fc.boolean()),
    fc.option(fc.string({ unit: 'binary', maxLength: 30 })),
  );

  it('gives back what was put in', async () => {
    await using session = await warehouse.session();
    let table = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(row, { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 200 }),
        async (rows, times) => {
          const name = `table ${(table += 1)}`;
          const appender = await session.append(name, columns);
          for (let time = 0; time < times; time += 1) for (const values of rows) appender.row(values);
          await appender.close();
          const read = await session.query(`select * from "${name}"`);
          expect(read.rows).toBe(rows.length * times);
          columns.forEach((column, index) => {
            const isNumber = column.type === 'int64' || column.type === 'float64';
            const expected = rows.map((values) => values[index] ?? (isNumber ? Number.NaN : null));
            const got = [...(read.columns.get(column.name) ?? [])];
            const last = got.slice(-rows.length);
            expect(last).toEqual(expected);
            for (let at = 0; at < got.length; at += 1) {
              if (!Object.is(got[at], expected[at % rows.length]))
                expect(got[at]).toBe(expected[at % rows.length]);
            }
          });
        },
      ),
      { numRuns: 25 },
    );
  });

  it('forgets a row that was refused', async () => {
    await using session = await warehouse.session();
    const appender = await session.append('t', columns.slice(0, 2));
    expect(() => appender.row([null, 'two'])).toThrow(/Column real takes a number; got string two/);
    appender.row([1, 2]);
    await appender.close();
    expect((await session.query('select whole from t')).columns.get('whole')).toEqual(Float64Array.of(1));
  });

  it('takes bigints of 64 bits and refuses what the column cannot hold', async () => {
    await using session = await warehouse.session();
    const appender = await session.append('t', [{ name: 'n', type: 'int64' }]);
    appender.row([9_223_372_036_854_775_807n]);
    expect(() => appender.row([9_223_372_036_854_775_808n])).toThrow(/safe integer or a bigint/);
    expect(() => appender.row([1.5])).toThrow(/Column n takes a safe integer/);
    expect(() => appender.row(['1'])).toThrow(/got string 1/);
    expect(() => appender.row([1, 2])).toThrow(/has 1 values, not 2/);
    await appender.close();
    await appender.close();
    expect(() => appender.row([1])).toThrow(/closed/);
    const read = await session.query('select n::varchar as n from t');
    expect(read.columns.get('n')).toEqual(['9223372036854775807']);
  });
});

describe('failures', () => {
  it('are INTERNAL and keep statement and message for the log', async () => {
    await using session = await warehouse.session();
    const error = await failure(session.run(`select 'secret'::int${' '.repeat(300)}, 'end'`));
    expect(error.code).toBe('INTERNAL');
    expect(error.message).not.toContain('secret');
    const cause = (error.cause as Error).message;
    expect(cause).toContain(`Could not convert string 'secret'`);
    expect(cause).not.toContain('end');
  });

  it('are STORAGE_FULL when the disk is', async () => {
    await using session = await warehouse.session();
    await session.run(`set memory_limit = '30MB'; set max_temp_directory_size = '1MB'`);
    const error = await failure(
      session.query('select * from (select random() as r, range as n from range(3000000)) order by r'),
    );
    expect(error.code).toBe('STORAGE_FULL');
    expect(translate(new Error('IO Error: Could not write: No space left on device'), '').code).toBe(
      'STORAGE_FULL',
    );
    expect(translate(Object.assign(new Error('write'), { code: 'ENOSPC' }), '').code).toBe('STORAGE_FULL');
  });

  it('load nothing from the network', async () => {
    await using session = await warehouse.session();
    expect((await failure(session.query(`select * from 'https://localhost:1/a.parquet'`))).code).toBe(
      'INTERNAL',
    );
  });
});

describe('sessions', () => {
  it('spill to their scratch folder and leave nothing behind', async () => {
    const session = await warehouse.session();
    await session.run(`set memory_limit = '60MB'`);
    await writeFile(join(session.scratch, 'mine'), 'x');
    const { rows } = await session.query(
      'select n from (select hash(range) as h, range as n from range(2000000)) order by h',
    );
    expect(rows).toBe(2_000_000);
    await session[Symbol.asyncDispose]();
    await session[Symbol.asyncDispose]();
    expect(existsSync(session.scratch)).toBe(false);
    expect((await failure(session.run('select 1'))).message).toContain('ended');
  });

  it('do their statements in order', async () => {
    await using session = await warehouse.session();
    const [, , read] = await Promise.all([
      session.run('create table t as select 1 as n'),
      session.run('insert into t select 2'),
      session.query('select count(*) as n from t'),
    ]);
    expect(read.columns.get('n')).toEqual(Float64Array.of(2));
  });

  it('end at once while a statement runs', async () => {
    const session = await warehouse.session();
    const running = failure(
      session.run('select sum(hash(a.range + b.range)) from range(10000000) a, range(1000) b'),
    );
    await new Promise((resolve) => setTimeout(resolve, 20));
    await session[Symbol.asyncDispose]();
    expect((await running).code).toBe('INTERNAL');
  });

  it('beyond the maximum wait their turn, and not too many of them', async () => {
    const small = duckdbWarehouse({ directory, sessionsMax: 1, waitingMax: 1 });
    const first = await small.session();
    let opened = false;
    const second = small.session().then((session) => {
      opened = true;
      return session;
    });
    expect((await failure(small.session())).code).toBe('OVERLOADED');
    await first.query('select 1');
    expect(opened).toBe(false);
    await first[Symbol.asyncDispose]();
    await (await second)[Symbol.asyncDispose]();
    await (await small.session())[Symbol.asyncDispose]();
  });

  it('clean up after crashed processes only', async () => {
    const place = await mkdtemp(join(directory, 'shared-'));
    const host = hostname().replaceAll(/[^A-Za-z0-9.]/g, '_');
    const names = {
      dead: folderName(host, 2 ** 22 + 1, 1),
      earlier: folderName(host, process.pid, 1),
      alive: folderName(host, process.ppid, 1),
      elsewhere: folderName('another', 2 ** 22 + 1, 1),
      own: folderName(host, process.pid, Math.floor(performance.timeOrigin)),
    };
    for (const name of Object.values(names)) await mkdir(join(place, name, 'session'), { recursive: true });
    await using _session = await duckdbWarehouse({ directory: place }).session();
    expect((await readdir(place)).toSorted()).toEqual([names.alive, names.elsewhere, names.own].toSorted());
  });
});
