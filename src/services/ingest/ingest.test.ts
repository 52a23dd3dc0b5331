import { describe, expect, it } from 'vitest';
import { usePostgres } from '../../../test/support/postgres.ts';
import { systemClock, systemRandom } from '../../adapters/system/index.ts';
import { PlatformError, routes } from '../../contract/index.ts';
import type { EventLog } from '../../runtime/index.ts';
import { ingest } from './index.ts';
import { failureOf, ingestOn, line, NDJSON, NOW, type TestHostOptions } from './test-host.ts';

const postgres = usePostgres(ingest.migrations);
const withIngest = ingestOn(() => ({ ...postgres(), clock: systemClock(), random: systemRandom() }));

describe('what the service says of itself', () => {
  it('describes a source by the log, the quarantine and the features service', async () => {
    const source = 'orders_described';
    const input = { params: { source }, query: {}, body: {} };
    const status = {
      clock: NOW,
      sources: [{ source, applied: [0, 0, 0, 0, 0, 0, 0, 0], heads: [], archived: [], duplicates: 4 }],
      groups: [],
    };
    const call = (() => Promise.resolve(status)) as unknown as NonNullable<TestHostOptions['call']>;
    await withIngest({ source, call }, async (service) => {
      await service.post(NDJSON, `${line('a')}\n${line('b')}\nx`);
      expect(await service.call(routes.describeSource, input)).toMatchObject({
        name: source,
        contract: {
          id: 'orderId',
          time: 'at',
          key: 'customerId',
          fields: { total: { kind: 'money', decimals: 2 } },
        },
        partitions: 8,
        accepted: 2,
        quarantined: 1,
        duplicates: 4,
        lag: 2,
      });
    });
    await withIngest({ source }, async (service) => {
      expect(await service.call(routes.describeSource, input)).toMatchObject({
        accepted: 2,
        duplicates: null,
        lag: null,
      });
    });
  });

  it('counts records and bytes by source', async () => {
    await withIngest({}, async (service) => {
      await service.post(NDJSON, `${line('a')}\nx`);
      const text = await service.metrics.text();
      expect(text).toContain(`ingest_records_accepted_total{source="${service.source}"} 1`);
      expect(text).toContain(
        `ingest_records_quarantined_total{source="${service.source}",code="NOT_JSON"} 1`,
      );
      expect(text).toContain(
        `ingest_body_bytes_total{source="${service.source}"} ${String(line('a').length + 2)}`,
      );
      expect(text).toContain('ingest_requests_in_flight 0');
    });
  });

  it('is ready while the log answers, and asks it once for all who ask', async () => {
    let asked = 0;
    let failure: Promise<never> | undefined;
    const log: EventLog = {
      ...postgres().log,
      ranges: (topic) => {
        asked += 1;
        return failure ?? postgres().log.ranges(topic);
      },
    };
    await withIngest({ log }, async ({ service }) => {
      expect(await Promise.all([service.ready(), service.ready()])).toEqual([
        { ready: true },
        { ready: true },
      ]);
      expect(asked).toBe(1);
    });
    failure = Promise.reject(new PlatformError('UNAVAILABLE', 'gone'));
    failure.catch(() => undefined);
    await withIngest({ log }, async ({ service }) => {
      expect(await service.ready()).toEqual({ ready: false, reason: 'The event log does not answer: gone' });
    });
    failure = new Promise<never>(() => undefined);
    await withIngest({ log, limits: { readyTimeoutMs: 10 } }, async ({ service }) => {
      expect(await service.ready()).toEqual({
        ready: false,
        reason: 'The event log did not answer within 10 ms',
      });
    });
  });

  it('finishes what it began when it is stopped, and begins no more', async () => {
    await withIngest({}, async (service) => {
      const answer = service.post(NDJSON, line('a'));
      await service.service.stop(5_000);
      expect(await answer).toMatchObject({ accepted: 1 });
      expect(await failureOf(service.post(NDJSON, line('b')))).toMatchObject({ code: 'UNAVAILABLE' });
      expect(await service.service.ready()).toMatchObject({ ready: false });
    });
  });

  it('refuses options that it does not know', () => {
    expect(ingest.options.safeParse({ recordBytes: 1 }).success).toBe(false);
    expect(ingest.options.parse({})).toMatchObject({
      recordBytesMax: 1_048_576,
      streamBytesMax: 1_073_741_824,
    });
  });
});
