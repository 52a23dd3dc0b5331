import { describe, expect, it } from 'vitest';
import { usePostgres } from '../../../test/support/postgres.ts';
import { systemClock, systemRandom } from '../../adapters/system/index.ts';
import { PlatformError } from '../../contract/index.ts';
import type { Tables } from '../../runtime/index.ts';
import { ingest } from './index.ts';
import { CSV, failureOf, ingestOn, JSON_TYPE, line, list, NDJSON, NOW, order, replay } from './test-host.ts';

const postgres = usePostgres(ingest.migrations);
const withIngest = ingestOn(() => ({ ...postgres(), clock: systemClock(), random: systemRandom() }));

describe('the quarantine', () => {
  it('is listed in pages, oldest first, bounded by bytes', async () => {
    await withIngest({ limits: { pageBytesMax: 2_048 } }, async (service) => {
      await service.post(NDJSON, Array.from({ length: 7 }, (_, index) => `x${String(index)}`).join('\n'));
      await service.post(NDJSON, [`y${'y'.repeat(3_000)}`, `z${'z'.repeat(999)}`, 'last'].join('\n'));
      const pages: string[][] = [];
      let after: string | undefined;
      do {
        const page = await list(service, { limit: 5, ...(after && { after }) });
        pages.push(page.records.map(({ text }) => (text ?? '').slice(0, 2)));
        after = page.next ?? undefined;
      } while (after !== undefined);
      expect(pages).toEqual([['x0', 'x1', 'x2', 'x3', 'x4'], ['x5', 'x6'], ['yy'], ['zz', 'la']]);
      expect(await failureOf(list(service, { after: 'x' }))).toMatchObject({ code: 'BAD_REQUEST' });
      expect((await list(service, { limit: 2 })).records[0]).toMatchObject({
        field: null,
        at: NOW,
        code: 'NOT_JSON',
      });
    });
  });

  it('gives corrected records to the log and keeps those that fail again', async () => {
    await withIngest({}, async (service) => {
      const future = line('f', { at: NOW + 1_000_000 });
      const body = [line('a', { total: 1.234 }), future, line('c', { gift: 1 }), 'd'].join('\n');
      const ids = (await service.post(NDJSON, body)).results.map((result) =>
        'quarantineId' in result ? result.quarantineId : '',
      );
      const [a = '', f = '', c = '', d = ''] = ids;
      service.clock.now = NOW + 1_000_000;
      const result = await replay(service, [
        { id: a, record: { ...order('a'), total: 1.23 } },
        { id: f },
        { id: c, record: { ...order('c'), pieces: 0.5 } },
        { id: d },
      ]);
      expect(result).toMatchObject({
        accepted: 2,
        quarantined: 2,
        results: [
          { status: 'accepted', index: 0 },
          { status: 'accepted', index: 1 },
          { status: 'quarantined', index: 2, quarantineId: c, code: 'FIELD_TYPE', field: 'pieces' },
          { status: 'quarantined', index: 3, quarantineId: d, code: 'NOT_JSON' },
        ],
      });
      const logged = (await service.logged()).map(({ text }) => text);
      expect(logged).toContain(future);
      expect(await service.loggedIds()).toEqual(['a', 'f']);
      expect((await list(service)).records).toMatchObject([
        { id: c, code: 'FIELD_TYPE', field: 'pieces', text: line('c', { gift: 1 }) },
        { id: d, code: 'NOT_JSON', text: 'd' },
      ]);
    });
  });

  it('takes rows of CSV back as they came', async () => {
    await withIngest({}, async (service) => {
      const at = NOW + 1_000_000;
      await service.post(CSV, `orderId,at,customerId,total\na,${String(at)},c,1.50\n`);
      const { records } = await list(service);
      service.clock.now = at;
      expect(
        await replay(
          service,
          records.map(({ id }) => ({ id })),
        ),
      ).toMatchObject({ accepted: 1 });
      expect(await service.loggedIds()).toEqual(['a']);
    });
  });

  it('takes one record apart into several', async () => {
    await withIngest({}, async (service) => {
      const [result] = (await service.post(JSON_TYPE, `[${line('a').slice(0, -1)}, ${line('b')}`)).results;
      const id = result?.status === 'quarantined' ? result.quarantineId : '';
      const bad = { ...order('b'), total: 'x' };
      expect(
        await replay(service, [
          { id, record: { ...order('a') } },
          { id, record: bad },
        ]),
      ).toMatchObject({ accepted: 1 });
      expect((await list(service)).records).toMatchObject([{ id, code: 'FIELD_TYPE' }]);
      await replay(service, [
        { id, record: { ...order('a') } },
        { id, record: { ...order('b') } },
      ]);
      expect((await list(service)).records).toEqual([]);
      expect(await service.loggedIds()).toEqual(['a', 'a', 'b']);
    });
  });

  it('knows only its own records, and replays nothing when one is unknown', async () => {
    let other = '';
    await withIngest({}, async (service) => {
      await service.post(NDJSON, 'x');
      other = (await list(service)).records[0]?.id ?? '';
    });
    await withIngest({}, async (service) => {
      await service.post(NDJSON, line('a', { at: NOW + 1_000_000 }));
      const id = (await list(service)).records[0]?.id ?? '';
      service.clock.now = NOW + 1_000_000;
      for (const unknown of [other, 'nonsense', '018f0000-0000-7000-8000-000000000000']) {
        const failure = await failureOf(replay(service, [{ id }, { id: unknown }]));
        expect(failure).toMatchObject({ code: 'RECORD_NOT_FOUND', details: { ids: [unknown] } });
      }
      expect(await service.logged()).toEqual([]);
      expect((await list(service)).records.length).toBe(1);
    });
  });

  it('keeps a record that was appended but not yet taken out: replaying it again is a duplicate', async () => {
    let crash = true;
    const tables: Tables = {
      ...postgres().tables,
      query: (sql, parameters) =>
        crash && sql.startsWith('delete')
          ? Promise.reject(new PlatformError('UNAVAILABLE', 'crashed'))
          : postgres().tables.query(sql, parameters),
    };
    await withIngest({ tables }, async (service) => {
      await service.post(NDJSON, line('a', { at: NOW + 1_000_000 }));
      const id = (await list(service)).records[0]?.id ?? '';
      service.clock.now = NOW + 1_000_000;
      expect(await failureOf(replay(service, [{ id }]))).toMatchObject({
        code: 'UNAVAILABLE',
        details: { accepted: 1 },
      });
      crash = false;
      expect(await replay(service, [{ id }])).toMatchObject({ accepted: 1 });
      expect(await service.loggedIds()).toEqual(['a', 'a']);
      expect((await list(service)).records).toEqual([]);
    });
  });
});
