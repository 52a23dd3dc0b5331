import { createGunzip, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { usePostgres } from '../../../test/support/postgres.ts';
import { systemClock, systemRandom } from '../../adapters/system/index.ts';
import { PlatformError, routes } from '../../contract/index.ts';
import type { EventLog, Tables } from '../../runtime/index.ts';
import { ingest } from './index.ts';
import {
  chunksOf,
  CSV,
  cutUp,
  failureOf,
  ingestOn,
  JSON_TYPE,
  line,
  NDJSON,
  type Body,
  type Order,
} from './test-host.ts';

const postgres = usePostgres(ingest.migrations);
const withIngest = ingestOn(() => ({ ...postgres(), clock: systemClock(), random: systemRandom() }));

describe('bodies that cannot be read to their end', () => {
  const many = (count: number): string[] => Array.from({ length: count }, (_, index) => line(String(index)));

  it('refuses a JSON body of 11 MB; nothing is stored', async () => {
    await withIngest({}, async (service) => {
      const body = `[${line('a')},"${'x'.repeat(11_000_000)}"]`;
      const failure = await failureOf(service.post(JSON_TYPE, body));
      expect(failure).toMatchObject({
        code: 'BODY_TOO_LARGE',
        details: { bytesMax: 10_485_760, accepted: 0, done: 0 },
      });
      expect(await service.logged()).toEqual([]);
    });
  });

  it('refuses a CSV body of 11 MB and keeps the rows before the limit', async () => {
    await withIngest({}, async (service) => {
      const filler = `x,2024-05-01T10:00:00Z,c,1,${'n'.repeat(999)}\n`;
      const rows = `orderId,at,customerId,total,note\n${filler.repeat(11_000)}`;
      const chunks = cutUp(
        Buffer.from(rows),
        Array.from({ length: 169 }, () => 65_536),
      );
      const failure = await failureOf(service.post(CSV, chunksOf(chunks)));
      const stored = (await service.logged()).length;
      expect(failure).toMatchObject({ code: 'BODY_TOO_LARGE', details: { accepted: stored, done: stored } });
      expect(stored).toBeGreaterThan(10_000);
    });
  });

  it('takes an NDJSON body of 11 MB, up to a limit of its own', async () => {
    const body = Buffer.from(`${line('x', { note: 'n'.repeat(900) })}\n`.repeat(11_000));
    const pieces = cutUp(
      body,
      Array.from({ length: 168 }, () => 65_536),
    );
    await withIngest({}, async (service) => {
      expect(await service.post(NDJSON, chunksOf(pieces), 'quarantined')).toMatchObject({ accepted: 11_000 });
    });
    await withIngest({ limits: { streamBytesMax: 1_000_000 } }, async (service) => {
      const failure = await failureOf(service.post(NDJSON, chunksOf(pieces)));
      expect(failure).toMatchObject({
        code: 'BODY_TOO_LARGE',
        details: { accepted: (await service.logged()).length },
      });
    });
  });

  it('keeps the good records before the place where a compressed body is cut off', async () => {
    const packed = gzipSync(many(5_000).join('\n'));
    const unpack = async function* (): AsyncGenerator<Uint8Array> {
      const stream = createGunzip();
      stream.end(packed.subarray(0, packed.length - 5_000));
      try {
        for await (const chunk of stream) yield chunk as Buffer;
      } catch (cause) {
        throw new PlatformError('BAD_REQUEST', 'The compressed body ends too early', { cause });
      }
    };
    const bodies: readonly [string, Body][] = [
      [NDJSON, unpack()],
      [JSON_TYPE, unpack()],
    ];
    for (const [type, body] of bodies) {
      await withIngest({}, async (service) => {
        const failure = await failureOf(service.post(type, body));
        const stored = await service.logged();
        expect(failure).toMatchObject({
          code: 'BAD_REQUEST',
          details: { accepted: stored.length, done: stored.length },
        });
        if (type === NDJSON) expect(stored.length).toBeGreaterThan(1_000);
        else expect(stored.length).toBe(0);
      });
    }
  });

  it('gives up a request that sends nothing but bad records', async () => {
    await withIngest({ limits: { quarantinedMax: 3 } }, async (service) => {
      const failure = await failureOf(service.post(NDJSON, `${line('a')}\nx\nx\nx\nx\n${line('b')}`));
      expect(failure).toMatchObject({
        code: 'UNPROCESSABLE',
        details: { accepted: 1, quarantined: 3, done: 4 },
      });
      expect(await service.loggedIds()).toEqual(['a']);
    });
  });

  it('stores nothing for a caller who is gone', async () => {
    await withIngest({ limits: { batchRecordsMax: 100 } }, async (service) => {
      const gone = new AbortController();
      const chunks = async function* (): AsyncGenerator<Uint8Array> {
        yield Buffer.from(`${many(400).join('\n')}\n`);
        gone.abort();
        yield Buffer.from(many(400).join('\n'));
        await Promise.resolve();
      };
      const body = { mediaType: NDJSON, chunks: chunks() };
      const input = { params: { source: service.source }, query: { results: 'all' as const }, body };
      const failure = await failureOf(service.call(routes.ingestEvents, input, gone.signal));
      expect(failure).toMatchObject({
        code: 'DEADLINE_EXCEEDED',
        details: { accepted: (await service.logged()).length },
      });
      expect((await service.logged()).length).toBeLessThan(800);
    });
  });
});

describe('the store', () => {
  it('keeps the order of each key within a request, over batches', async () => {
    await withIngest({ limits: { batchRecordsMax: 50 } }, async (service) => {
      const body = Array.from({ length: 1_000 }, (_, index) =>
        line(String(index), { customerId: `c${String(index % 7)}` }),
      );
      const result = await service.post(NDJSON, body.join('\n'));
      expect(result.results.map(({ index }) => index)).toEqual(body.map((_, index) => index));
      const logged = await service.logged();
      for (const entry of result.results) {
        if (entry.status !== 'accepted') throw new Error('quarantined');
        const found = logged.find(
          (item) => item.partition === entry.partition && item.offset === entry.offset,
        );
        expect(found?.text).toBe(body[entry.index]);
      }
      const heads = (await postgres().log.ranges(`source.${service.source}`)).map(({ next }) => next);
      expect(result.positions).toEqual({ [service.source]: heads });
      for (let customer = 0; customer < 7; customer += 1) {
        const ids = logged
          .map(({ text }) => JSON.parse(text) as Order)
          .filter(({ customerId }) => customerId === `c${String(customer)}`)
          .map(({ orderId }) => Number(orderId));
        expect(ids).toEqual(ids.toSorted((left, right) => left - right));
      }
    });
  });

  it('does not read on while a batch is being stored and the next one is full', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const log: EventLog = {
      ...postgres().log,
      append: async (topic, partition, records) => {
        await held;
        return postgres().log.append(topic, partition, records);
      },
    };
    await withIngest({ log, limits: { batchRecordsMax: 100 } }, async (service) => {
      let read = 0;
      const chunks = async function* (): AsyncGenerator<Uint8Array> {
        for (; read < 50; read += 1)
          yield Buffer.from(`${line('x', { note: 'n'.repeat(900) })}\n`.repeat(50));
        await Promise.resolve();
      };
      const answer = service.post(NDJSON, chunks(), 'quarantined');
      await systemClock().sleep(50);
      expect(read).toBeLessThan(6);
      release();
      expect(await answer).toMatchObject({ accepted: 2_500 });
    });
  });

  it.each(['STORAGE_FULL', 'UNAVAILABLE', 'OVERLOADED'] as const)(
    'passes %s on with what was accepted',
    async (code) => {
      let appends = 0;
      const log: EventLog = {
        ...postgres().log,
        append: (topic, partition, records) => {
          appends += 1;
          if (appends > 1)
            return Promise.reject(new PlatformError(code, 'no room', { details: { state: '53100' } }));
          return postgres().log.append(topic, partition, records);
        },
      };
      await withIngest({ log, limits: { batchRecordsMax: 10 } }, async (service) => {
        const body = Array.from({ length: 100 }, (_, index) => line(String(index), { customerId: 'c' })).join(
          '\n',
        );
        const failure = await failureOf(service.post(NDJSON, body));
        expect(failure).toMatchObject({
          code,
          details: { state: '53100', accepted: 10, quarantined: 0, done: 10 },
        });
        expect(failure.details?.['positions']).toMatchObject({
          [service.source]: expect.arrayContaining([10]) as number[],
        });
        expect(appends).toBe(2);
        expect((await service.logged()).length).toBe(10);
      });
    },
  );

  it('does not acknowledge while the quarantine cannot be written', async () => {
    const tables: Tables = {
      ...postgres().tables,
      query: (sql, parameters) =>
        sql.includes('insert into ingest_quarantine')
          ? Promise.reject(new PlatformError('UNAVAILABLE', 'gone'))
          : postgres().tables.query(sql, parameters),
    };
    await withIngest({ tables }, async (service) => {
      const failure = await failureOf(service.post(NDJSON, `${line('a')}\nx`));
      expect(failure).toMatchObject({
        code: 'UNAVAILABLE',
        details: { accepted: 1, quarantined: 0, done: 0 },
      });
    });
  });

  it('refuses more requests and bytes than it may hold, and frees what it held', async () => {
    await withIngest({ limits: { requestsMax: 1, heldBytesMax: 1_048_576 } }, async (service) => {
      const large = Buffer.from(`[${line('a')},"${'x'.repeat(1_100_000)}"]`);
      for (let attempt = 0; attempt < 2; attempt += 1) {
        expect(await failureOf(service.post(JSON_TYPE, large))).toMatchObject({ code: 'OVERLOADED' });
        expect(await service.post(JSON_TYPE, `[${line('b')},"${'x'.repeat(900_000)}"]`)).toMatchObject({
          accepted: 1,
        });
        // As a stream it needs no more than a batch.
        const stream = Buffer.from(`${line('c', { note: 'n'.repeat(900) })}\n`.repeat(2_000));
        const pieces = cutUp(
          stream,
          Array.from({ length: 40 }, () => 50_000),
        );
        expect(
          await service.post(NDJSON, chunksOf(pieces), 'quarantined').catch((error: unknown) => error),
        ).toMatchObject({ code: 'OVERLOADED' });
      }
      const first = service.post(JSON_TYPE, line('d'));
      expect(await failureOf(service.post(JSON_TYPE, line('e')))).toMatchObject({ code: 'OVERLOADED' });
      expect(await first).toMatchObject({ accepted: 1 });
    });
    await withIngest({ limits: { heldBytesMax: 1_048_576, batchBytesMax: 100_000 } }, async (service) => {
      const stream = Buffer.from(`${line('c', { note: 'n'.repeat(900) })}\n`.repeat(5_000));
      const pieces = cutUp(
        stream,
        Array.from({ length: 95 }, () => 50_000),
      );
      expect(await service.post(NDJSON, chunksOf(pieces), 'quarantined')).toMatchObject({ accepted: 5_000 });
    });
  });
});
