import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { usePostgres } from '../../../test/support/postgres.ts';
import { duckdbWarehouse } from '../../adapters/duckdb/index.ts';
import { systemClock, systemRandom } from '../../adapters/system/index.ts';
import { PlatformError } from '../../contract/index.ts';
import type { EventLog, Warehouse } from '../../runtime/index.ts';
import { PARQUET } from './forms.ts';
import { ingest } from './index.ts';
import { chunksOf, cutUp, failureOf, ingestOn, list, NOW, type TestIngest } from './test-host.ts';

const postgres = usePostgres(ingest.migrations);
const onStore = ingestOn(() => ({ ...postgres(), clock: systemClock(), random: systemRandom() }));

let folder: string;
let warehouse: Warehouse;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tandem-parquet-'));
  warehouse = duckdbWarehouse({ directory: folder });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A file with the rows of a query. */
async function parquet(sql: string, options = 'format parquet'): Promise<Buffer> {
  await using session = await warehouse.session();
  const path = join(session.scratch, 'made.parquet');
  await session.run(`copy (${sql}) to '${path}' (${options})`);
  return readFile(path);
}

const withIngest = (work: (service: TestIngest) => Promise<void>, limits = {}): Promise<void> =>
  onStore({ warehouse, limits }, work);

const GOOD = `'2024-05-01T10:00:00Z'::timestamptz as at, 'c' as customerId, 1.50::decimal(10, 2) as total`;

async function records(service: TestIngest): Promise<Record<string, unknown>[]> {
  const logged = await service.logged();
  return logged
    .map(({ text }) => JSON.parse(text) as Record<string, unknown>)
    .toSorted((left, right) => (String(left['orderId']) < String(right['orderId']) ? -1 : 1));
}

describe('Parquet', () => {
  it('becomes records of the kinds that the fields have, exactly', async () => {
    const body = await parquet(`
      select 9007199254740993::bigint as orderId, '2024-05-01 10:00:00.123456'::timestamp as at, 'c' as customerId,
        90071992547409.91::decimal(18, 2) as total, 3::tinyint as pieces, 0.1::double as weight, true as gift, 'ä"' as note
      union all select 7, '2024-05-01 12:00:00+02'::timestamptz::timestamp, 'c', -0.01, null, 1e-300, false, null
      union all select 8, '2024-05-01'::timestamp, 'c', 0, 4, null, null, ''`);
    await withIngest(async (service) => {
      expect(await service.post(PARQUET, body)).toMatchObject({ results: [{}, {}, {}], accepted: 3 });
      expect(await records(service)).toEqual([
        {
          orderId: '7',
          at: '2024-05-01T10:00:00.000000Z',
          customerId: 'c',
          total: '-0.01',
          weight: 1e-300,
          gift: false,
        },
        {
          orderId: '8',
          at: '2024-05-01T00:00:00.000000Z',
          customerId: 'c',
          total: '0.00',
          pieces: 4,
          note: '',
        },
        {
          orderId: '9007199254740993',
          at: '2024-05-01T10:00:00.123456Z',
          customerId: 'c',
          total: '90071992547409.91',
          pieces: 3,
          weight: 0.1,
          gift: true,
          note: 'ä"',
        },
      ]);
    });
  });

  it('reads instants with and without a zone, days, and other widths of numbers', async () => {
    const body = await parquet(`
      select 'a' as orderId, '2024-05-01 10:00:00+02'::timestamptz as at, 'c' as customerId, 2::utinyint as total,
        4::hugeint as pieces, 0.5::real as weight`);
    await withIngest(async (service) => {
      await service.post(PARQUET, body);
      expect(await records(service)).toEqual([
        {
          orderId: 'a',
          at: '2024-05-01T08:00:00.000000Z',
          customerId: 'c',
          total: '2',
          pieces: 4,
          weight: 0.5,
        },
      ]);
    });
  });

  it('puts a bad row into quarantine, with its place and its field', async () => {
    const body = await parquet(`
      select * from (values ('a', 0.5::double), ('b', 'nan'), ('c', 'inf'), ('d', null)) as t (orderId, weight),
        (select ${GOOD}) as rest`);
    await withIngest(async (service) => {
      const { results } = await service.post(PARQUET, body);
      expect(results).toMatchObject([
        { status: 'accepted', index: 0 },
        { status: 'quarantined', index: 1, code: 'FIELD_TYPE', field: 'weight' },
        { status: 'quarantined', index: 2, code: 'FIELD_TYPE', field: 'weight' },
        { status: 'accepted', index: 3 },
      ]);
      const [waiting] = (await list(service)).records;
      expect(JSON.parse(waiting?.text ?? '')).toMatchObject({ orderId: 'b', weight: 'nan', total: '1.50' });
    });
  });

  it.each([
    [`select 1 as orderId, ${GOOD}, 5 as colour`, "no field for the column 'colour'"],
    [`select 1 as orderId, 'c' as customerId, 1 as total`, "no column 'at'"],
    [`select 1 as orderId, ${GOOD}, {'a': 1} as note`, "The column 'note' is STRUCT"],
    [`select 1 as orderId, ${GOOD}, ['a'] as note`, "The column 'note' is VARCHAR[]"],
  ])('is refused when no row could be right: %s', async (sql, text) => {
    const body = await parquet(sql);
    await withIngest(async (service) => {
      const failure = await failureOf(service.post(PARQUET, body));
      expect(failure).toMatchObject({ code: 'UNPROCESSABLE', details: { accepted: 0, done: 0 } });
      expect(failure.message).toContain(text);
    });
  });

  it('keeps the order of the file, over row groups and batches', async () => {
    const body = await parquet(
      `select range::varchar as orderId, make_timestamp(1714557600000000 + range) as at, 'c' as customerId, 1 as total from range(60000)`,
      'format parquet, row_group_size 10000',
    );
    await withIngest(async (service) => {
      const pieces = cutUp(
        body,
        Array.from({ length: Math.floor(body.length / 9_973) }, () => 9_973),
      );
      expect(await service.post(PARQUET, chunksOf(pieces), 'quarantined')).toMatchObject({
        accepted: 60_000,
      });
      const ids = (await service.logged()).map(({ text }) =>
        Number((JSON.parse(text) as { orderId: string }).orderId),
      );
      expect(ids).toEqual(Array.from({ length: 60_000 }, (_, index) => index));
    });
  });

  it('that is none, or is broken, is refused; rows before the fault stay', async () => {
    const body = await parquet(
      `select range::varchar as orderId, ${GOOD}, md5(range::varchar) as note from range(200000)`,
      'format parquet, row_group_size 20000, compression zstd',
    );
    await withIngest(async (service) => {
      for (const bad of [
        Buffer.from('x'),
        Buffer.from('PAR1'),
        body.subarray(0, body.length - 20),
        Buffer.alloc(0),
      ]) {
        expect(await failureOf(service.post(PARQUET, bad))).toMatchObject({
          code: 'BAD_REQUEST',
          details: { accepted: 0 },
        });
      }
      const damaged = Buffer.from(body);
      damaged.fill(0xff, Math.floor(body.length * 0.7), Math.floor(body.length * 0.75));
      const failure = await failureOf(service.post(PARQUET, damaged, 'quarantined'));
      const stored = (await service.logged()).length;
      expect(failure).toMatchObject({ code: 'BAD_REQUEST', details: { accepted: stored } });
      expect(failure.message).toMatch(/cannot be read as Parquet after row \d+/);
      expect(stored).toBeGreaterThan(50_000);
    });
  });

  it('frees what it held when the store fails in the middle', async () => {
    const body = await parquet(`select range::varchar as orderId, ${GOOD} from range(50000)`);
    let appends = 0;
    const log: EventLog = {
      ...postgres().log,
      append: (topic, partition, items) => {
        appends += 1;
        return appends % 3 === 0
          ? Promise.reject(new PlatformError('STORAGE_FULL', 'no room'))
          : postgres().log.append(topic, partition, items);
      },
    };
    // More often than there are sessions.
    await onStore({ warehouse, log }, async (service) => {
      for (let round = 0; round < 4; round += 1)
        expect(await failureOf(service.post(PARQUET, body))).toMatchObject({ code: 'STORAGE_FULL' });
    });
  });

  it('has a largest size, and none without rows', async () => {
    const body = await parquet(`select range::varchar as orderId, ${GOOD} from range(10000)`);
    await withIngest(
      async (service) => {
        expect(await failureOf(service.post(PARQUET, body))).toMatchObject({
          code: 'BODY_TOO_LARGE',
          details: { bytesMax: 5_000, accepted: 0 },
        });
        const empty = await parquet(`select 'a' as orderId, ${GOOD} where false`);
        expect(await failureOf(service.post(PARQUET, empty))).toMatchObject({ code: 'BAD_REQUEST' });
      },
      { parquetBytesMax: 5_000 },
    );
  });

  it('never fails otherwise than with a code, whatever bytes come', async () => {
    const body = await parquet(`select range::varchar as orderId, ${GOOD} from range(100)`);
    await withIngest(async (service) => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.nat(body.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
          async (changes) => {
            const mutant = Buffer.from(body);
            for (const [at, byte] of changes) mutant[at] = byte;
            const outcome = await service
              .post(PARQUET, mutant, 'quarantined')
              .catch((error: unknown) => error);
            expect(outcome).toMatchObject(
              outcome instanceof Error
                ? { code: expect.stringMatching(/^(BAD_REQUEST|UNPROCESSABLE)$/) as string }
                : { accepted: expect.any(Number) as number },
            );
          },
        ),
        { numRuns: 40, seed: NOW },
      );
    });
  });
});
