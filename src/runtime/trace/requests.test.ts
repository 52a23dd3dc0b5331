import { afterEach, describe, expect, it } from 'vitest';
import { openGate } from '../auth/index.ts';
import { until } from '../../../test/conformance/expectations.ts';
import type { Problem, ServiceName } from '../../contract/index.ts';
import { localCaller } from '../caller.ts';
import { httpCaller, type HttpCaller } from '../http/client.ts';
import { httpLimits, type HttpServer, mountHttp } from '../http/index.ts';
import { testClock, testRandom, testRoutes, testService } from '../http/test-service.ts';
import { createLogger } from '../logger.ts';
import { createMetrics } from '../metrics.ts';
import type { FinishedSpan } from '../ports/index.ts';
import { handler, type HandlerEntry, type RunningService } from '../service.ts';
import { traceOptions } from './options.ts';
import type { TraceList, TraceSpans } from './routes.ts';
import { Tracer } from './tracer.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const TRACEPARENT = `00-${TRACE}-00f067aa0ba902b7-01`;
const metrics = createMetrics();

const open: { stop(graceMs: number): Promise<void> }[] = [];
const callers: HttpCaller[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.stop(1_000)));
  await Promise.all(callers.splice(0).map((caller) => caller.close()));
});

function makeTracer(): Tracer {
  return new Tracer({ clock: testClock, random: testRandom, options: traceOptions.parse({ ratio: 0 }) });
}

async function serveWith(tracer: Tracer, service: RunningService, log: string[] = []): Promise<HttpServer> {
  const server = await mountHttp(new Map<ServiceName, RunningService>([['serve', service]]), {
    host: '127.0.0.1',
    port: 0,
    limits: httpLimits.parse({}),
    gate: openGate,
    info: { title: 'test', version: '1' },
    clock: testClock,
    random: testRandom,
    logger: createLogger({ write: (line) => void log.push(line) }),
    metrics,
    tracer,
  });
  open.push(server);
  return server;
}

/** A server whose `greet` calls `order` of another, over HTTP or as a function. */
async function chain(way: 'over HTTP' | 'in one process') {
  const [front, back] = [makeTracer(), makeTracer()];
  const target = testService().service;
  const behind = await serveWith(back, target);
  const tools = { clock: testClock, random: testRandom, tracer: front };
  const remote = httpCaller({ addresses: () => [behind.url], ...tools });
  callers.push(remote);
  const local = localCaller(new Map<ServiceName, RunningService>([['serve', target]]), tools);
  const log: string[] = [];
  const logger = createLogger({ write: (line) => void log.push(line) });
  const handlers: HandlerEntry[] = [
    handler(testRoutes.greet, async ({ params }, context) => {
      const call = way === 'over HTTP' ? remote.call : local;
      logger.info('asked');
      const body = { items: [{ id: params.name, count: 1 }] };
      await call(testRoutes.order, { params: {}, query: {}, body });
      return { text: 'done', requestId: context.requestId };
    }),
    handler(testRoutes.fail, async () => {
      throw new TypeError('secret');
    }),
  ];
  const server = await serveWith(front, { ...target, handlers }, log);
  return { server, front, back, log };
}

const spansOf = (tracer: Tracer): FinishedSpan[] => [...tracer.spans({ traceId: TRACE })];

describe('a request', () => {
  it('is one trace over the processes that it reaches', async () => {
    const { server, front, back } = await chain('over HTTP');
    const answer = await fetch(new URL('/v1/greetings/you', server.url), {
      headers: { traceparent: TRACEPARENT, tracestate: 'vendor=x' },
    });
    expect(answer.headers.get('x-trace-id')).toBe(TRACE);
    await until(() => spansOf(front).length === 2 && spansOf(back).length === 1);
    const [outer, call] = spansOf(front);
    const [inner] = spansOf(back);
    expect(outer).toMatchObject({
      name: 'GET /v1/greetings/{name}',
      kind: 'server',
      parentId: '00f067aa0ba902b7',
    });
    expect(call).toMatchObject({
      name: 'POST /v1/orders',
      kind: 'client',
      parentId: outer?.spanId,
      attributes: {
        'url.template': '/v1/orders',
        'http.response.status_code': 200,
        'server.address': '127.0.0.1',
      },
    });
    expect(inner).toMatchObject({ name: 'POST /v1/orders', kind: 'server', parentId: call?.spanId });
  });

  it('has a span for a call within its process too, and its id in the log', async () => {
    const { server, front, log } = await chain('in one process');
    await fetch(new URL('/v1/greetings/you', server.url), { headers: { traceparent: TRACEPARENT } });
    await until(() => spansOf(front).length === 2);
    const [outer, call] = spansOf(front);
    expect(call).toMatchObject({ name: 'POST /v1/orders', kind: 'internal', parentId: outer?.spanId });
    expect(log.map((line) => (JSON.parse(line) as { traceId?: string }).traceId)).toContain(TRACE);
  });

  it('that fails says with which code, and its log line names the trace', async () => {
    const { server, front, log } = await chain('in one process');
    const failed = await fetch(new URL('/v1/failures/x', server.url), {
      method: 'POST',
      headers: { traceparent: TRACEPARENT },
    });
    expect(failed.status).toBe(500);
    const wrong = await fetch(new URL('/v1/greetings/x?times=9', server.url), {
      headers: { traceparent: TRACEPARENT },
    });
    expect(wrong.status).toBe(400);
    await until(() => spansOf(front).length === 2);
    expect(spansOf(front).map(({ status, error }) => [status, error])).toEqual([
      ['unset', 'BAD_REQUEST'],
      ['error', 'INTERNAL'],
    ]);
    expect(JSON.stringify(spansOf(front))).not.toContain('secret');
    const line = log.find((text) => text.includes('A request failed unexpectedly'));
    expect(JSON.parse(line ?? '{}')).toMatchObject({ traceId: TRACE });
  });
});

describe('what a process shows of its traces', () => {
  it('lists them by duration, failure, route and service, and gives the spans of one', async () => {
    const { server, front } = await chain('in one process');
    const get = async <TAnswer>(path: string): Promise<TAnswer> =>
      (await (await fetch(new URL(path, server.url))).json()) as TAnswer;
    await fetch(new URL('/v1/greetings/a', server.url), { headers: { traceparent: TRACEPARENT } });
    await fetch(new URL('/v1/failures/x', server.url), { method: 'POST' });
    await until(() => [...front.roots()].length === 2);
    const list = async (query: string): Promise<string[]> =>
      (await get<TraceList>(`/v1/traces${query}`)).traces.map(({ name }) => name);
    expect(await list('')).toEqual(['POST /v1/failures/{name}', 'GET /v1/greetings/{name}']);
    expect(await list('?limit=1')).toEqual(['POST /v1/failures/{name}']);
    expect(await list('?error=true')).toEqual(['POST /v1/failures/{name}']);
    expect(await list('?route=/v1/greetings/{name}&service=serve')).toEqual(['GET /v1/greetings/{name}']);
    expect(await list('?service=train')).toEqual([]);
    expect(await list('?minDurationMs=600000')).toEqual([]);
    const one = await get<TraceSpans>(`/v1/traces/${TRACE}`);
    expect(one.spans.map(({ kind }) => kind)).toEqual(['server', 'internal']);
    expect(await get<TraceSpans>(`/v1/traces/${'a'.repeat(32)}`)).toEqual({
      traceId: 'a'.repeat(32),
      spans: [],
    });
  });

  it.each([
    ['/v1/traces?limit=0', 'query.limit'],
    ['/v1/traces?colour=red', "'colour'"],
    ['/v1/traces?error=maybe', 'query.error'],
    ['/v1/traces/XYZ', '32 hexadecimal digits'],
  ])('refuses %s', async (path, text) => {
    const { server } = await chain('in one process');
    const answer = await fetch(new URL(path, server.url));
    expect(answer.status).toBe(400);
    expect(((await answer.json()) as Problem).detail).toContain(text);
  });
});
