import { describe, expect, it } from 'vitest';
import { usePostgres } from '../../../test/support/postgres.ts';
import { systemClock, systemRandom } from '../../adapters/system/index.ts';
import { PlatformError, type QuarantinedRecord, routes } from '../../contract/index.ts';
import type { Tables } from '../../runtime/index.ts';
import { ingest } from './index.ts';
import { dropRefused } from './quarantine.ts';
import {
  CSV,
  failureOf,
  ingestOn,
  JSON_TYPE,
  line,
  list,
  NDJSON,
  NOW,
  order,
  replay,
  type TestIngest,
} from './test-host.ts';

const postgres = usePostgres(ingest.migrations);
const withIngest = ingestOn(() => ({ ...postgres(), clock: systemClock(), random: systemRandom() }));

/** Refuses these lines and gives the ids under which they wait. */
async function refuse(service: TestIngest, lines: readonly string[]): Promise<string[]> {
  const { results } = await service.post(NDJSON, lines.join('\n'));
  return results.map((result) => (result.status === 'quarantined' ? result.quarantineId : ''));
}

function correct(
  service: TestIngest,
  id: string,
  record: Record<string, unknown>,
): Promise<QuarantinedRecord> {
  const input = { params: { source: service.source, id }, query: {}, body: { record } };
  return service.call(routes.correctQuarantined, input);
}

function dismiss(
  service: TestIngest,
  ids: readonly string[],
  reason: string,
): Promise<{ dismissed: number }> {
  const input = { params: { source: service.source }, query: {}, body: { ids: [...ids], reason } };
  return service.call(routes.dismissQuarantined, input);
}

function show(service: TestIngest, id: string): Promise<QuarantinedRecord> {
  return service.call(routes.getQuarantined, { params: { source: service.source, id }, query: {}, body: {} });
}

describe('an operator', () => {
  it('finds records by reason, field and time', async () => {
    await withIngest({}, async (service) => {
      await refuse(service, ['x', line('a', { total: 1.234 })]);
      service.clock.now = NOW + 1_000;
      await refuse(service, [line('b', { gift: 1 }), 'y']);
      const found = async (query: Parameters<typeof list>[1]): Promise<(string | null)[]> =>
        (await list(service, query)).records.map(({ text }) => text);
      expect(await found({ code: 'NOT_JSON' })).toEqual(['x', 'y']);
      expect(await found({ code: 'NOT_JSON', limit: 1 })).toEqual(['x']);
      expect(await found({ field: 'gift' })).toEqual([line('b', { gift: 1 })]);
      expect(await found({ from: NOW + 1_000 })).toEqual([line('b', { gift: 1 }), 'y']);
      expect(await found({ until: NOW + 1_000, code: 'FIELD_RANGE' })).toEqual([line('a', { total: 1.234 })]);
      expect(await found({ state: 'dismissed' })).toEqual([]);
    });
  });

  it('corrects a record, and a replay puts the correction in with its own time', async () => {
    await withIngest({}, async (service) => {
      const [id = ''] = await refuse(service, [line('a', { total: 'x' })]);
      const fixed = { ...order('a'), total: '1.50' };
      expect(await correct(service, id, fixed)).toMatchObject({
        state: 'waiting',
        text: line('a', { total: 'x' }),
        correction: { record: fixed, by: 'test', at: NOW },
      });
      expect(await show(service, id)).toMatchObject({ correction: { record: fixed } });
      expect(await service.logged()).toEqual([]);
      expect(await replay(service, [{ id }])).toMatchObject({ accepted: 1, quarantined: 0 });
      expect((await service.logged()).map(({ text }) => JSON.parse(text))).toEqual([fixed]);
      expect(await failureOf(show(service, id))).toMatchObject({ code: 'RECORD_NOT_FOUND' });
    });
  });

  it('cannot keep a correction that breaks the contract, such as one without an id', async () => {
    await withIngest({}, async (service) => {
      const [id = ''] = await refuse(service, ['x']);
      const { orderId, ...rest } = order('a');
      expect(orderId).toBe('a');
      expect(await failureOf(correct(service, id, rest))).toMatchObject({
        code: 'UNPROCESSABLE',
        details: { reasonCode: 'FIELD_MISSING', field: 'orderId' },
      });
      expect(await failureOf(correct(service, 'nonsense', { ...order('a') }))).toMatchObject({
        code: 'RECORD_NOT_FOUND',
      });
      expect(await show(service, id)).toMatchObject({ correction: null });
    });
  });

  it('dismisses records with a reason: they wait no more and cannot be replayed', async () => {
    await withIngest({}, async (service) => {
      const [x = '', y = ''] = await refuse(service, ['x', 'y']);
      expect(await dismiss(service, [x], 'noise')).toEqual({ dismissed: 1 });
      // Again it changes nothing: the first reason stays.
      expect(await dismiss(service, [x], 'other')).toEqual({ dismissed: 1 });
      const unknown = '018f0000-0000-7000-8000-000000000000';
      expect(await failureOf(dismiss(service, [unknown], 'noise'))).toMatchObject({
        code: 'RECORD_NOT_FOUND',
        details: { ids: [unknown] },
      });
      expect((await list(service)).records.map(({ id }) => id)).toEqual([y]);
      expect((await list(service, { state: 'dismissed' })).records).toMatchObject([
        { id: x, text: 'x', dismissal: { reason: 'noise', by: 'test', at: NOW } },
      ]);
      expect(await failureOf(replay(service, [{ id: x }]))).toMatchObject({ code: 'RECORD_NOT_FOUND' });
      expect(
        await service.call(routes.describeSource, {
          params: { source: service.source },
          query: {},
          body: {},
        }),
      ).toMatchObject({ quarantined: 1 });
    });
  });

  it('sees a record once however often it was sent', async () => {
    await withIngest({}, async (service) => {
      const [first] = await refuse(service, ['x', 'y', 'x']);
      const again = await refuse(service, ['y', 'x']);
      expect((await list(service)).records.map(({ text }) => text)).toEqual(['x', 'y']);
      expect(again[1]).toBe(first);
      await dismiss(service, [first ?? ''], 'noise');
      // What comes after that is a new matter.
      await refuse(service, ['x']);
      expect((await list(service)).records.map(({ text }) => text)).toEqual(['y', 'x']);
    });
  });

  it('sees records that are cut as several, because what was cut may differ', async () => {
    await withIngest({ limits: { recordBytesMax: 1_024 } }, async (service) => {
      await refuse(service, ['x'.repeat(2_000), 'x'.repeat(2_000)]);
      expect((await list(service)).records.length).toBe(2);
    });
  });
});

describe('the limits of the quarantine', () => {
  const limits = { quarantineSweepMs: 100, quarantineAgeMsMax: 60_000, quarantineBytesMax: 1_048_576 };
  const texts = async (service: TestIngest, state: 'waiting' | 'dismissed' = 'waiting'): Promise<string[]> =>
    (await list(service, { state })).records.map(({ text }) => (text ?? '').slice(0, 1));

  it('drop what is too old, and count it', async () => {
    await withIngest({ limits }, async (service) => {
      await refuse(service, ['x']);
      service.clock.now = NOW + 60_001;
      await refuse(service, ['y']);
      await expect.poll(() => texts(service), { timeout: 20_000 }).toEqual(['y']);
      expect(await service.metrics.text()).toContain(
        `ingest_quarantine_dropped_total{source="${service.source}",limit="age"} 1`,
      );
    });
  });

  it('drop what was dismissed and then the oldest beyond their bytes', async () => {
    await withIngest({ limits: { ...limits, quarantineSweepMs: 3_600_000 } }, async (service) => {
      const large = (letter: string): string => letter.repeat(400_000);
      const ids = await refuse(service, ['a', 'b', 'c', 'd'].map(large));
      await dismiss(service, [ids[3] ?? ''], 'noise');
      const context = { source: service.source, before: 0, bytesMax: 1_048_576 };
      expect(await dropRefused(postgres().tables, context.source, context)).toEqual({ age: 0, bytes: 2 });
      expect([await texts(service), await texts(service, 'dismissed')]).toEqual([['b', 'c'], []]);
    });
  });
});

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
