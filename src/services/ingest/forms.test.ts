import { describe, expect, it } from 'vitest';
import { usePostgres } from '../../../test/support/postgres.ts';
import { systemClock, systemRandom } from '../../adapters/system/index.ts';
import { partitionOf, routes } from '../../contract/index.ts';
import { PARQUET } from './forms.ts';
import { ingest } from './index.ts';
import {
  chunksOf,
  CSV,
  cutUp,
  deep,
  failureOf,
  ingestOn,
  JSON_TYPE,
  line,
  list,
  NDJSON,
  NOW,
} from './test-host.ts';

const postgres = usePostgres(ingest.migrations);
const withIngest = ingestOn(() => ({ ...postgres(), clock: systemClock(), random: systemRandom() }));

describe('forms of a body', () => {
  it('takes one JSON object and keeps its bytes', async () => {
    await withIngest({}, async (service) => {
      const body = ` {"orderId": 7, "at":1714557600000,\n "customerId":"ä", "total":"1.50"}\n`;
      const result = await service.post(JSON_TYPE, body);
      const partition = partitionOf('ä', 8);
      const heads = Array.from({ length: 8 }, (_, index) => (index === partition ? 1 : 0));
      expect(result).toEqual({
        accepted: 1,
        quarantined: 0,
        positions: { [service.source]: heads },
        results: [{ status: 'accepted', index: 0, partition, offset: 0 }],
      });
      expect(await service.logged()).toEqual([{ partition, offset: 0, text: body.trim() }]);
    });
  });

  it('takes an array, NDJSON and CSV, however the bytes come', async () => {
    const csv =
      'orderId,at,customerId,total,pieces,gift,note\r\na,2024-05-01T10:00:00Z,007,12.50,3,true,"x, ""y"""\r\nb,1714557600000,c,1,,,\r\n';
    const bodies: readonly [string, string][] = [
      [JSON_TYPE, `[${line('a')} , ${line('b')}]`],
      [JSON_TYPE, '[]'],
      [NDJSON, `${line('a')}\r\n\n${line('b')}`],
      [CSV, csv],
      [CSV, 'orderId,at,customerId,total'],
    ];
    for (const [type, body] of bodies) {
      await withIngest({}, async (service) => {
        const chunks = cutUp(
          Buffer.from(`\ufeff${body}`),
          Array.from({ length: 40 }, () => 1),
        );
        const expected = body === '[]' || !body.includes('a') || body.endsWith('total') ? [] : ['a', 'b'];
        expect(await service.post(type, chunksOf(chunks))).toMatchObject({
          accepted: expected.length,
          quarantined: 0,
        });
        expect(await service.loggedIds()).toEqual(expected);
      });
    }
    await withIngest({}, async (service) => {
      await service.post(CSV, csv);
      const texts = (await service.logged()).map(({ text }) => text);
      expect(texts).toContain(
        '{"orderId":"a","at":"2024-05-01T10:00:00Z","customerId":"007","total":"12.50","pieces":3,"gift":true,"note":"x, \\"y\\""}',
      );
      expect(texts).toContain('{"orderId":"b","at":1714557600000,"customerId":"c","total":"1"}');
    });
  });

  it('refuses other forms, empty bodies and sources that do not exist', async () => {
    await withIngest({}, async (service) => {
      expect(await failureOf(service.post('text/plain', 'x'))).toMatchObject({
        code: 'UNSUPPORTED_MEDIA_TYPE',
        details: { expected: [JSON_TYPE, NDJSON, CSV, PARQUET] },
      });
      const empty: readonly [string, string][] = [
        [JSON_TYPE, ''],
        [JSON_TYPE, ' \n'],
        [NDJSON, ''],
        [NDJSON, '\n\n'],
        [CSV, '\n'],
      ];
      for (const [type, body] of empty) {
        expect(await failureOf(service.post(type, body))).toMatchObject({ code: 'BAD_REQUEST' });
      }
      const input = { params: { source: 'nobody' }, query: {}, body: {} };
      const failure = await failureOf(service.call(routes.describeSource, input));
      expect(failure).toMatchObject({ code: 'SOURCE_NOT_FOUND', details: { sources: [service.source] } });
      expect(await service.logged()).toEqual([]);
    });
  });

  it('lists only quarantined records on request, and no more accepted ones than the limit', async () => {
    await withIngest({ limits: { resultsMax: 2 } }, async (service) => {
      const body = [line('a'), 'x', line('b'), line('c'), 'y'].join('\n');
      const all = await service.post(NDJSON, body);
      expect(all.results.map(({ index, status }) => [index, status])).toEqual([
        [0, 'accepted'],
        [1, 'quarantined'],
        [4, 'quarantined'],
      ]);
      expect(all).toMatchObject({ accepted: 3, quarantined: 2 });
      const few = await service.post(NDJSON, body, 'quarantined');
      expect(few.results.map(({ index }) => index)).toEqual([1, 4]);
    });
  });
});

describe('bad records', () => {
  /** Records in NDJSON that stand between two good ones, and why they are refused. */
  const lines: readonly [name: string, record: string | Buffer, code: string, field?: string][] = [
    ['a wrong type', line('x', { gift: 'yes' }), 'FIELD_TYPE', 'gift'],
    ['a missing field', line('x', { total: undefined }), 'FIELD_MISSING', 'total'],
    ['an extra field', line('x', { extra: 1 }), 'FIELD_UNKNOWN', 'extra'],
    ['an extra field that no table can name', line('x', { 'a\u0000b': 1 }), 'FIELD_UNKNOWN', 'a\ufffdb'],
    ['NaN', line('x').replace('12.5', 'NaN'), 'NOT_JSON'],
    ['2^53 + 1', line('x').replace('}', ',"pieces":9007199254740993}'), 'FIELD_RANGE', 'pieces'],
    ['2^53 + 1 as an id', line('x').replace('"x"', '9007199254740993'), 'FIELD_RANGE', 'orderId'],
    ['money with three decimals', line('x', { total: 1.234 }), 'FIELD_RANGE', 'total'],
    ['a time in the future', line('x', { at: NOW + 300_001 }), 'TIME_IN_FUTURE', 'at'],
    ['a day that does not exist', line('x', { at: '2024-02-30T00:00:00Z' }), 'FIELD_RANGE', 'at'],
    ['no object', '[1]', 'NOT_AN_OBJECT'],
    ['a 100,000-deep value', `{"note":${deep(100_000)}}`, 'TOO_DEEP'],
    ['a 100,000-deep value without an end', '['.repeat(100_000), 'TOO_DEEP'],
    ['invalid UTF-8', Buffer.from(line('x').replace('x', '\xff'), 'latin1'), 'NOT_UTF8'],
    ['half a record', line('x').slice(0, 20), 'NOT_JSON'],
    ['more than a mebibyte', `{"note":"${'x'.repeat(1_048_576)}"}`, 'TOO_LARGE'],
  ];
  it.each(lines)('%s is quarantined alone', async (_, record, code, field) => {
    await withIngest({}, async (service) => {
      const body = Buffer.concat([
        Buffer.from(`${line('a')}\n`),
        Buffer.from(record),
        Buffer.from(`\n${line('b')}`),
      ]);
      const result = await service.post(NDJSON, body);
      expect(result).toMatchObject({ accepted: 2, quarantined: 1 });
      expect(result.results[1]).toMatchObject({
        status: 'quarantined',
        index: 1,
        code,
        ...(field && { field }),
      });
      expect(await service.loggedIds()).toEqual(['a', 'b']);
      const { records } = await list(service);
      const kept = Buffer.from(record).subarray(0, 1_048_576);
      expect(records).toMatchObject([{ code, field: field ?? null, at: NOW }]);
      expect(Buffer.from(records[0]?.bytes ?? '', 'base64').equals(kept)).toBe(true);
    });
  });

  it('accepts a time as far ahead as the source allows, by the clock at which it came', async () => {
    await withIngest({}, async (service) => {
      const trickle = async function* (): AsyncGenerator<Uint8Array> {
        yield Buffer.from(`${line('a', { at: NOW + 300_000 })}\n`.repeat(400));
        service.clock.now = NOW + 3_600_000;
        yield Buffer.from(`${line('b', { at: NOW + 3_900_000 })}\n`.repeat(400));
        await Promise.resolve();
      };
      expect(await service.post(NDJSON, trickle(), 'quarantined')).toMatchObject({
        accepted: 800,
        results: [],
      });
    });
  });

  it('accepts a repeated id: it is dropped where state is kept', async () => {
    await withIngest({}, async (service) => {
      expect(await service.post(NDJSON, `${line('a')}\n${line('a')}`)).toMatchObject({ accepted: 2 });
      expect(await service.loggedIds()).toEqual(['a', 'a']);
    });
  });

  it('never repeats what a personal field held', async () => {
    await withIngest({}, async (service) => {
      const body = [line('x', { customerId: ['Ada Lovelace'] }), `{"customerId":"Ada Lovelace",oops}`].join(
        '\n',
      );
      const { results } = await service.post(NDJSON, body);
      expect(JSON.stringify(results)).not.toContain('Ada');
    });
  });
});

describe('bad JSON bodies', () => {
  const bodies: readonly [name: string, body: string, accepted: string[], codes: string[]][] = [
    ['a broken object', line('a').replace('12.5', 'NaN'), [], ['NOT_JSON']],
    ['a 100,000-deep body', deep(100_000), [], ['TOO_DEEP']],
    ['a 100,000-deep body without an end', '{"a":'.repeat(100_000), [], ['TOO_DEEP']],
    ['a value that is no object', '42', [], ['NOT_AN_OBJECT']],
    [
      'an element with NaN',
      `[${line('a')},${line('x').replace('12.5', 'NaN')},${line('b')}]`,
      ['a', 'b'],
      ['NOT_JSON'],
    ],
    ['an element that is too deep', `[${line('a')},${deep(40)},${line('b')}]`, ['a', 'b'], ['TOO_DEEP']],
    [
      'an array that is cut off',
      `[${line('a')},${line('b')},${line('c').slice(0, 30)}`,
      ['a', 'b'],
      ['NOT_JSON'],
    ],
    ['an array with a missing quote', `[${line('a')},{"orderId":"x},${line('b')}]`, ['a'], ['NOT_JSON']],
  ];
  it.each(bodies)('%s', async (_, body, accepted, codes) => {
    await withIngest({}, async (service) => {
      const { results } = await service.post(JSON_TYPE, body);
      expect(results.flatMap((result) => (result.status === 'quarantined' ? result.code : []))).toEqual(
        codes,
      );
      expect(await service.loggedIds()).toEqual(accepted);
    });
  });

  it('keeps the beginning of a broken body and says so', async () => {
    await withIngest({}, async (service) => {
      const body = `[${line('a')},{"note":"${'ü'.repeat(700_000)}`;
      const { results } = await service.post(JSON_TYPE, body);
      expect(results[1]).toMatchObject({
        reason: expect.stringMatching(/ \(1048575 of 1400009 bytes are kept\)$/),
      });
      const { records } = await list(service);
      expect(records[0]?.text).toMatch(/^\{"note":"ü+$/);
    });
  });
});

describe('bad CSV bodies', () => {
  const header = 'orderId,at,customerId,total\n';
  const row = (orderId: string): string => `${orderId},2024-05-01T10:00:00Z,c,1.5`;

  it.each([
    ['a quote in the middle', 'x,2024-05-01T10:00:00Z,5" pipe,1', 'NOT_CSV'],
    ['a quote that is not closed', 'x,2024-05-01T10:00:00Z,"c,1', 'NOT_CSV'],
    ['something after a quote', 'x,2024-05-01T10:00:00Z,"c"d,1', 'NOT_CSV'],
    ['too few cells', 'x,2024-05-01T10:00:00Z,c', 'NOT_CSV'],
    ['a wrong type', 'x,yesterday,c,1', 'FIELD_TYPE'],
    ['an empty cell', 'x,,c,1', 'FIELD_MISSING'],
    ['NaN', 'x,2024-05-01T10:00:00Z,c,NaN', 'FIELD_TYPE'],
  ])('%s takes no other row with it', async (_, bad, code) => {
    await withIngest({}, async (service) => {
      const { results } = await service.post(
        CSV,
        `${header}${row('a')}\n${bad}\n${row('b')}\n"c",${row('').slice(1)}\n`,
      );
      expect(results[1]).toMatchObject({ status: 'quarantined', index: 1, code });
      expect(await service.loggedIds()).toEqual(['a', 'b', 'c']);
      const { records } = await list(service);
      if (code === 'NOT_CSV') expect(records[0]?.text).toBe(bad);
      else expect(JSON.parse(records[0]?.text ?? '')).toMatchObject({ orderId: 'x' });
    });
  });

  it('refuses bytes that are not UTF-8 in their row, and a header that cannot be read as a whole', async () => {
    await withIngest({}, async (service) => {
      const bad = Buffer.from(`${header}${row('a')}\n\xff${row('b')}\n${row('c')}`, 'latin1');
      expect(await service.post(CSV, bad)).toMatchObject({ accepted: 2, quarantined: 1 });
      expect(await service.loggedIds()).toEqual(['a', 'c']);
      for (const wrong of ['a,a\n1,2', 'a,\n1,2', '"a\n1,2', Buffer.from('\xff,b\n1,2', 'latin1')]) {
        expect(await failureOf(service.post(CSV, wrong))).toMatchObject({ code: 'BAD_REQUEST' });
      }
      expect(await service.post(CSV, `extra,${header}x,${row('x')}\n,${row('d')}`)).toMatchObject({
        accepted: 1,
        results: [{ code: 'FIELD_UNKNOWN', field: 'extra' }, { status: 'accepted' }],
      });
    });
  });
});
