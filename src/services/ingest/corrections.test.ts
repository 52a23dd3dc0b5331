import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { usePostgres } from '../../../test/support/postgres.ts';
import { duckdbWarehouse } from '../../adapters/duckdb/index.ts';
import { systemClock, systemRandom } from '../../adapters/system/index.ts';
import { routes } from '../../contract/index.ts';
import { id, key, money, source, type Source, timestamp } from '../../define/index.ts';
import { PARQUET } from './forms.ts';
import { ingest } from './index.ts';
import { CSV, failureOf, ingestOn, JSON_TYPE, NDJSON, list, NOW, type TestIngest } from './test-host.ts';

const postgres = usePostgres(ingest.migrations);
const withIngest = ingestOn(() => ({ ...postgres(), clock: systemClock(), random: systemRandom() }));

function corrected(name: string): Source {
  return source(name, {
    id: 'orderId',
    time: 'at',
    key: 'customerId',
    corrections: true,
    fields: { orderId: id(), at: timestamp(), customerId: key(), total: money('EUR') },
  });
}

async function logged(service: TestIngest): Promise<unknown[]> {
  return (await service.logged()).map(({ text }) => JSON.parse(text) as unknown);
}

const ORDER = { orderId: 'a', at: NOW, customerId: 'c', total: '1.50' };

describe('corrections and deletions', () => {
  it('come as JSON and NDJSON, and are records of the log like others, in the order of the request', async () => {
    await withIngest({ define: corrected }, async (service) => {
      const changes = [
        ORDER,
        { ...ORDER, total: '2.50', _revision: 1 },
        { orderId: 'a', customerId: 'c', _revision: 2, _deleted: true },
      ];
      const lines = changes.map((record) => JSON.stringify(record)).join('\n');
      expect(await service.post(NDJSON, lines)).toMatchObject({ accepted: 3, quarantined: 0 });
      expect(await service.post(JSON_TYPE, JSON.stringify(changes))).toMatchObject({ accepted: 3 });
      expect(await logged(service)).toEqual([...changes, ...changes]);
    });
  });

  it('come as CSV and Parquet, where what is empty is an event', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'tandem-corrections-'));
    try {
      const warehouse = duckdbWarehouse({ directory });
      const parquet = async (sql: string): Promise<Buffer> => {
        await using session = await warehouse.session();
        const path = join(session.scratch, 'made.parquet');
        await session.run(`copy (${sql}) to '${path}' (format parquet)`);
        return readFile(path);
      };
      const expected = [
        { orderId: 'a', at: NOW, customerId: 'c', total: '1.50' },
        { orderId: 'a', at: NOW, customerId: 'c', total: '2.50', _revision: 1_714_557_600_123_456 },
        { orderId: 'a', customerId: 'c', _revision: 1_714_557_600_123_457, _deleted: true },
      ];
      const csv = `orderId,at,customerId,total,_revision,_deleted
a,${String(NOW)},c,1.50,,
a,${String(NOW)},c,2.50,1714557600123456,
a,,c,,1714557600123457,TRUE
`;
      await withIngest({ define: corrected, warehouse }, async (service) => {
        expect(await service.post(CSV, csv)).toMatchObject({ accepted: 3, quarantined: 0 });
        expect(await logged(service)).toEqual(expected);
      });
      const file =
        await parquet(`select 'a' as orderId, ${String(NOW)}::bigint as at, 'c' as customerId, 1.50::decimal(10, 2) as total,
          null::bigint as _revision, null::boolean as _deleted
        union all select 'a', ${String(NOW)}, 'c', 2.50, 1714557600123456, null
        union all select 'a', null, 'c', null, 1714557600123457, true`);
      const deletions = await parquet(
        `select 'b' as orderId, 'c' as customerId, 7 as _revision, true as _deleted`,
      );
      await withIngest({ define: corrected, warehouse }, async (service) => {
        expect(await service.post(PARQUET, file)).toMatchObject({ accepted: 3, quarantined: 0 });
        expect(await service.post(PARQUET, deletions)).toMatchObject({ accepted: 1, quarantined: 0 });
        const gone = { orderId: 'b', customerId: 'c', _revision: 7, _deleted: true };
        expect(await logged(service)).toEqual([...expected, gone]);
      });
      await withIngest({ warehouse }, async (service) => {
        expect(await failureOf(service.post(PARQUET, file))).toMatchObject({
          code: 'UNPROCESSABLE',
          details: { unknown: ['_revision', '_deleted'] },
        });
      });
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  it('go to quarantine when they are wrong, can be corrected there, and take no good record with them', async () => {
    await withIngest({ define: corrected }, async (service) => {
      const broken = { orderId: 'a', customerId: 'c', _deleted: true };
      const body = [broken, ORDER].map((record) => JSON.stringify(record)).join('\n');
      expect(await service.post(NDJSON, body)).toMatchObject({
        accepted: 1,
        results: [{ status: 'quarantined', code: 'FIELD_MISSING', field: '_revision' }, {}],
      });
      const [waiting] = (await list(service)).records;
      const params = { source: service.source, id: waiting?.id ?? '' };
      const record = { ...broken, _revision: 1 };
      await service.call(routes.correctQuarantined, { params, query: {}, body: { record } });
      await service.call(routes.replayQuarantine, {
        params: { source: service.source },
        query: {},
        body: { records: [{ id: params.id }] },
      });
      expect(await logged(service)).toEqual([ORDER, record]);
    });
    await withIngest({}, async (service) => {
      const result = await service.post(NDJSON, JSON.stringify({ ...ORDER, _revision: 1 }));
      expect(result.results).toMatchObject([{ code: 'NO_CORRECTIONS', field: '_revision' }]);
      const description = await service.call(routes.describeSource, {
        params: { source: service.source },
        query: {},
        body: {},
      });
      expect(description.contract.corrections).toBe(false);
    });
  });
});
