import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  IngestResult,
  Problem,
  QuarantinedRecord,
  SourceDescription,
} from '../../src/contract/index.ts';
import { fetchJson, type Product, product } from '../support/product.ts';

/** A good record as text; ids differ by `id`. */
function good(id: string): string {
  return `{"transactionId":"${id}","at":"2018-04-01T12:00:00Z","customerId":"c1","terminalId":"t1","amount":12.5}`;
}

const JSON_TYPE = 'application/json';
const NDJSON_TYPE = 'application/x-ndjson';
const CSV_TYPE = 'text/csv';
const HEADER = 'transactionId,at,customerId,terminalId,amount';

interface Case {
  readonly what: string;
  readonly type: string;
  readonly body: string | Buffer;
  readonly encoding?: string;
  /** Ids of good records in the body, which must all be accepted. */
  readonly goodIds: readonly string[];
  /** Expected code of the one quarantined record, or status and code of the refusal. */
  readonly quarantined?: string;
  readonly refused?: readonly [status: number, code: string];
}

function line(what: string, bad: string | Buffer, code: string): Case {
  const id = what.replaceAll(/[^a-z0-9]/gi, '');
  const parts = [Buffer.from(`${good(`${id}1`)}\n`), Buffer.from(bad), Buffer.from(`\n${good(`${id}2`)}\n`)];
  return {
    what,
    type: NDJSON_TYPE,
    body: Buffer.concat(parts),
    goodIds: [`${id}1`, `${id}2`],
    quarantined: code,
  };
}

const nextYear = new Date(Date.now() + 365 * 86_400_000).toISOString();
const cases: readonly Case[] = [
  line('wrong type', good('x').replace('12.5', 'true'), 'FIELD_TYPE'),
  line('missing field', good('x').replace(',"amount":12.5', ''), 'FIELD_MISSING'),
  line('extra field', good('x').replace('}', ',"colour":"red"}'), 'FIELD_UNKNOWN'),
  line('NaN', good('x').replace('12.5', 'NaN'), 'NOT_JSON'),
  line('2^53+1', good('x').replace('"x"', '9007199254740993'), 'FIELD_RANGE'),
  line('money with three decimals', good('x').replace('12.5', '12.505'), 'FIELD_RANGE'),
  line('future time', good('x').replace('2018-04-01T12:00:00Z', nextYear), 'TIME_IN_FUTURE'),
  line('100,000-deep JSON in a line', `${'['.repeat(100_000)}${']'.repeat(100_000)}`, 'TOO_DEEP'),
  line(
    'invalid UTF-8',
    Buffer.concat([Buffer.from('{"transactionId":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')]),
    'NOT_UTF8',
  ),
  {
    what: 'duplicate id',
    type: JSON_TYPE,
    body: `[${good('twice')},${good('twice')}]`,
    goodIds: ['twice', 'twice'],
  },
  {
    what: 'CSV with a broken quote',
    type: CSV_TYPE,
    body: `${HEADER}\ncsv1,2018-04-01T12:00:00Z,c1,t1,1.25\nx,2018-04-01T12:00:00Z,"c1,t1,2\ncsv2,2018-04-01T12:00:00Z,c1,t1,3\n`,
    goodIds: ['csv1', 'csv2'],
    quarantined: 'NOT_CSV',
  },
  {
    what: '100,000-deep JSON body',
    type: JSON_TYPE,
    body: '['.repeat(100_000),
    goodIds: [],
    quarantined: 'TOO_DEEP',
  },
  {
    what: '11 MB body',
    type: JSON_TYPE,
    body: `[${good('big')},"${'x'.repeat(11 * 1_048_576)}"]`,
    goodIds: [],
    refused: [413, 'BODY_TOO_LARGE'],
  },
  {
    what: 'truncated gzip',
    type: NDJSON_TYPE,
    encoding: 'gzip',
    body: gzipSync(
      Array.from({ length: 2_000 }, (_, index) => good(`zip${String(index)}`)).join('\n'),
    ).subarray(0, 2_000),
    goodIds: [],
    refused: [400, 'BAD_REQUEST'],
  },
  { what: 'empty body', type: JSON_TYPE, body: '', goodIds: [], refused: [400, 'BAD_REQUEST'] },
  {
    what: 'XML',
    type: 'application/xml',
    body: '<a/>',
    goodIds: [],
    refused: [415, 'UNSUPPORTED_MEDIA_TYPE'],
  },
];

describe('bad input, over HTTP', () => {
  let tandem: Product;
  let source: string;
  beforeAll(async () => {
    tandem = await product('examples/fraud/app.ts', ['--clock', 'event']);
    await tandem.start();
    source = `${tandem.url}/v1/sources/transactions`;
  }, 120_000);
  afterAll(() => tandem[Symbol.asyncDispose]());

  it.each(cases)('$what', async (item) => {
    const headers = {
      'content-type': item.type,
      ...(item.encoding && { 'content-encoding': item.encoding }),
    };
    const body = typeof item.body === 'string' ? item.body : new Uint8Array(item.body);
    const response = await fetch(`${source}/events`, { method: 'POST', headers, body });
    if (item.refused !== undefined) {
      const problem = (await response.json()) as Problem;
      expect([response.status, problem.code]).toEqual(item.refused);
      expect(response.headers.get('content-type')).toContain('application/problem+json');
    } else {
      expect(response.status).toBe(200);
      const result = (await response.json()) as IngestResult;
      expect(result.accepted).toBe(item.goodIds.length);
      const bad = result.results.filter((entry) => entry.status === 'quarantined');
      expect(bad.map((entry) => entry.code)).toEqual(
        item.quarantined === undefined ? [] : [item.quarantined],
      );
    }
    expect(await fetchJson(`${tandem.url}/readyz`)).toMatchObject({ ready: true });
  });

  it('keeps bad records with their bytes, takes them corrected, and counts duplicates', async () => {
    const { records } = await fetchJson<{ records: QuarantinedRecord[] }>(`${source}/quarantine`);
    const wrong = records.find((entry) => entry.field === 'amount' && entry.code === 'FIELD_TYPE');
    expect(wrong?.text).toBe(good('x').replace('12.5', 'true'));
    const corrected = { id: wrong?.id, record: JSON.parse(good('corrected')) as unknown };
    const replayed = await fetchJson<IngestResult>(`${source}/quarantine/replay`, {
      method: 'POST',
      headers: { 'content-type': JSON_TYPE },
      body: JSON.stringify({ records: [corrected] }),
    });
    expect(replayed).toMatchObject({ accepted: 1, quarantined: 0 });
    const after = await fetchJson<{ records: QuarantinedRecord[] }>(`${source}/quarantine`);
    expect(after.records.map((entry) => entry.id)).toEqual(
      records.map((entry) => entry.id).filter((id) => id !== wrong?.id),
    );
    await expect
      .poll(async () => (await fetchJson<SourceDescription>(source)).duplicates, { timeout: 10_000 })
      .toBeGreaterThanOrEqual(1);
  });
});
