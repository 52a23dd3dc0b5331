import { describe, expect, it } from 'vitest';
import { usePostgres } from '../../../test/support/postgres.ts';
import { withScope } from '../call.ts';
import { testClock, testRandom, testRoutes } from '../http/test-service.ts';
import { traceOptions } from './options.ts';
import { tracedJobs } from './traced-jobs.ts';
import { tracedLog } from './traced-log.ts';
import { Tracer } from './tracer.ts';

const postgres = usePostgres();
const SAMPLED = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const UNSAMPLED = SAMPLED.replace(/1$/, '0');

function makeTracer(): Tracer {
  return new Tracer({ clock: testClock, random: testRandom, options: traceOptions.parse({ ratio: 0 }) });
}

describe('the log', () => {
  it('carries the traces that are exported to whoever reads the records, and no others', async () => {
    const tracer = makeTracer();
    const log = tracedLog(postgres().log, tracer, 'ingest');
    await log.createTopic('traced', { partitions: 1 });
    const append = (headers: Record<string, string>, text: string): Promise<number> =>
      withScope({ span: tracer.server(testRoutes.order, headers) }, () =>
        log.append('traced', 0, [Buffer.from(text)]),
      );
    await log.append('traced', 0, [Buffer.from('outside of any request')]);
    await append({ traceparent: UNSAMPLED }, 'a');
    await append({ traceparent: SAMPLED }, 'b');
    const batches = await log.read('traced', 0, 0);
    const spans = [...tracer.spans()].filter(({ kind }) => kind === 'producer');
    expect(spans).toHaveLength(2);
    const [sampled] = spans;
    expect(sampled).toMatchObject({
      name: 'send traced',
      attributes: { 'messaging.batch.message_count': 1 },
    });
    expect(batches.map(({ traceparents }) => traceparents)).toEqual([
      [],
      [],
      [`00-${sampled?.traceId ?? ''}-${sampled?.spanId ?? ''}-01`],
    ]);
    await expect(append({ traceparent: SAMPLED }, 'x'.repeat(2_000_000))).rejects.toMatchObject({
      code: 'BAD_REQUEST',
    });
    expect([...tracer.spans()][0]).toMatchObject({ kind: 'producer', error: 'BAD_REQUEST' });
  });
});

describe('jobs', () => {
  it('are traces of their own that name who sent them, and get their payload as it was', async () => {
    const tracer = makeTracer();
    const jobs = tracedJobs(postgres().jobs, tracer, 'train');
    await jobs.createQueue('traced', { heartbeatSeconds: 10, retries: 0, expireSeconds: 60 });
    const payloads: unknown[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const stop = await jobs.work('traced', 1, async ({ payload }) => {
      payloads.push(payload);
      await tracer.of('train').span('step', async () => undefined);
      resolve();
    });
    const sender = tracer.server(testRoutes.order, { traceparent: SAMPLED });
    await withScope({ span: sender }, () => jobs.send('traced', { run: 'r1' }));
    await promise;
    await stop(5_000);
    expect(payloads).toEqual([{ run: 'r1' }]);
    const [job, step] = [...tracer.spans()].filter(({ kind }) => kind !== 'server');
    expect(job).toMatchObject({
      name: 'process traced',
      kind: 'consumer',
      links: [{ traceId: sender.traceId, spanId: sender.spanId }],
    });
    expect(job?.traceId).not.toBe(sender.traceId);
    expect(step).toMatchObject({ name: 'step', parentId: job?.spanId });
  });
});
