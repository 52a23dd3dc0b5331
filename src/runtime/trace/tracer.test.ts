import { describe, expect, it } from 'vitest';
import { PlatformError } from '../../contract/index.ts';
import { withScope } from '../call.ts';
import { testRandom, testRoutes } from '../http/test-service.ts';
import { createMetrics } from '../metrics.ts';
import type { Clock, FinishedSpan, SpanExporter } from '../ports/index.ts';
import { ExportQueue } from './export-queue.ts';
import { TRACE_LIMITS, type TraceOptions, traceOptions } from './options.ts';
import { Tracer } from './tracer.ts';

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** A tracer on a clock that is set by hand, with an exporter that keeps what it gets. */
function setUp(changes: Partial<TraceOptions> = {}, exporter?: Partial<SpanExporter>) {
  const time = { ms: 1_000 };
  const clock: Clock = {
    now: () => 1_700_000_000_000 + time.ms,
    monotonic: () => time.ms,
    sleep: (_ms, signal) =>
      new Promise((resolve) => signal?.addEventListener('abort', () => resolve(), { once: true })),
  };
  const options = { ...traceOptions.parse({}), ratio: 0, ...changes };
  const exported: FinishedSpan[] = [];
  const metrics = createMetrics();
  const queue = new ExportQueue({
    exporter: {
      export: async (spans) => void exported.push(...spans),
      close: async () => undefined,
      ...exporter,
    },
    clock,
    logger: silent,
    metrics: metrics.of('trace'),
    queueMax: options.queueMax,
  });
  const tracer = new Tracer({ clock, random: testRandom, options, queue });
  return { tracer, time, exported, metrics };
}

const HEADER = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

describe('a tracer', () => {
  it('goes on with the trace that a request names, and begins one when it names none', () => {
    const { tracer } = setUp();
    const named = tracer.server(testRoutes.order, { traceparent: HEADER, tracestate: 'a=1' });
    expect(named).toMatchObject({
      traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
      parentId: '00f067aa0ba902b7',
      sampled: true,
      state: 'a=1',
    });
    const ids = new Set<string>();
    for (let request = 0; request < 1_000; request += 1) {
      const span = tracer.server(testRoutes.order, { traceparent: 'nonsense', tracestate: 'a=1' });
      expect(span.traceId).toMatch(/^[0-9a-f]{32}$/);
      expect(span.spanId).toMatch(/^[0-9a-f]{16}$/);
      expect([span.parentId, span.state, span.sampled]).toEqual([undefined, undefined, false]);
      ids.add(span.traceId).add(span.spanId);
    }
    expect(ids.size).toBe(2_000);
  });

  it('puts what is measured within a request under it, with times and errors', async () => {
    const { tracer, time } = setUp();
    const trace = tracer.of('serve');
    const span = tracer.server(testRoutes.order, {});
    await withScope({ requestId: 'r', span }, async () => {
      expect(trace.traceId).toBe(span.traceId);
      await trace.span('outer', async (open) => {
        open.set('rows', 3);
        const startMs = time.ms;
        time.ms += 5;
        trace.done('inner', startMs, { attributes: { model: 'm' } });
      });
      const failing = trace.span('bad', () => Promise.reject(new PlatformError('CONFLICT', 'a secret')));
      await expect(failing).rejects.toMatchObject({ code: 'CONFLICT' });
    });
    time.ms += 5;
    span.httpStatus = 200;
    tracer.end(span);
    const spans = [...tracer.spans({ traceId: span.traceId })];
    expect(spans.map(({ name }) => name)).toEqual(['POST /v1/orders', 'bad', 'outer', 'inner']);
    const [server, bad, outer, inner] = spans;
    expect(server).toMatchObject({
      kind: 'server',
      startMs: 1_700_000_001_000,
      durationMs: 10,
      status: 'unset',
      attributes: {
        'http.request.method': 'POST',
        'http.route': '/v1/orders',
        'http.response.status_code': 200,
      },
    });
    expect(outer).toMatchObject({ parentId: server?.spanId, durationMs: 5, attributes: { rows: 3 } });
    expect(inner).toMatchObject({ parentId: outer?.spanId, durationMs: 5, attributes: { model: 'm' } });
    expect(bad).toMatchObject({ parentId: server?.spanId, status: 'error', error: 'CONFLICT' });
    expect(JSON.stringify(spans)).not.toContain('secret');
    expect([...tracer.roots()]).toHaveLength(1);
  });

  it('notes nothing that has ended outside of a request, unless it has links', () => {
    const { tracer } = setUp();
    const trace = tracer.of('features');
    trace.done('alone', 0);
    expect([...tracer.spans()]).toEqual([]);
    trace.done('apply', 0, { links: [HEADER, 'nonsense'] });
    expect([...tracer.spans({ traceId: '4bf92f3577b34da6a3ce929d0e0e4736' })]).toMatchObject([
      { kind: 'consumer', links: [{ spanId: '00f067aa0ba902b7' }], parentId: null },
    ]);
  });

  it('keeps the newest within the limits of number and memory', () => {
    const few = setUp({ spansMax: 10 }).tracer;
    for (let request = 0; request < 25; request += 1) {
      const span = few.server(testRoutes.order, {});
      span.httpStatus = request;
      few.end(span);
      few.end(span);
    }
    expect([...few.spans()].map(({ attributes }) => attributes['http.response.status_code'])).toEqual([
      24, 23, 22, 21, 20, 19, 18, 17, 16, 15,
    ]);
    const { tracer } = setUp({ spansMax: 100_000, bytesMax: 65_536 });
    for (let request = 0; request < 1_000; request += 1) {
      const span = tracer.server(testRoutes.order, {});
      for (let index = 0; index < 100; index += 1) span.set(`name${String(index)}`, 'x'.repeat(5_000));
      tracer.end(span);
    }
    const kept = [...tracer.spans()];
    expect(kept.length).toBeGreaterThan(1);
    expect(kept.length).toBeLessThan(50);
    expect(JSON.stringify(kept[0]).length).toBeLessThan(10_000);
  });

  it('exports what is sampled, and of the rest all that failed or was slow', async () => {
    const { tracer, time, exported } = setUp({ slowMs: 100 });
    const trace = tracer.of('serve');
    const request = async (
      headers: Record<string, string>,
      status: number,
      tookMs: number,
    ): Promise<string> => {
      const span = tracer.server(testRoutes.order, headers);
      await withScope({ span }, () => trace.span('part', async () => void (time.ms += tookMs)));
      span.httpStatus = status;
      if (status >= 500) span.fail('UNAVAILABLE');
      tracer.end(span);
      return span.traceId;
    };
    const ids = [
      await request({ traceparent: HEADER }, 200, 1),
      await request({}, 200, 1),
      await request({}, 503, 1),
      await request({}, 200, 200),
    ];
    await tracer.close();
    const byTrace = ids.map((id) => exported.filter(({ traceId }) => traceId === id).length);
    expect(byTrace).toEqual([2, 0, 2, 2]);
  });

  it('bounds how much an outage exports', async () => {
    const { tracer, exported } = setUp();
    for (let request = 0; request < 1_000; request += 1) {
      const span = tracer.server(testRoutes.order, {});
      span.fail('UNAVAILABLE');
      tracer.end(span);
    }
    await tracer.close();
    expect(exported).toHaveLength(TRACE_LIMITS.exceptionsPerSecondMax);
  });

  it('drops and counts what an exporter does not take, and never waits for it', async () => {
    const { tracer, metrics } = setUp(
      { ratio: 1, queueMax: 100 },
      { export: () => Promise.reject(new Error('away')) },
    );
    for (let request = 0; request < 150; request += 1) tracer.end(tracer.server(testRoutes.order, {}));
    await tracer.close();
    const text = await metrics.text();
    expect(text).toContain('trace_spans_dropped_total{reason="queue full"} 50');
    expect(text).toContain('trace_spans_dropped_total{reason="export failed"} 100');
    expect([...tracer.spans()]).toHaveLength(150);
  });
});
