import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { type Method, PlatformError, type Route, type ServiceName } from '../../contract/index.ts';
import { openGate } from '../auth/index.ts';
import { createLogger } from '../logger.ts';
import { createMetrics } from '../metrics.ts';
import type { Clock, Random } from '../ports/index.ts';
import {
  type CallContext,
  handler,
  type HandlerEntry,
  type RawBody,
  type RunningService,
} from '../service.ts';
import { httpLimits, type HttpLimits } from './limits.ts';
import { type HttpServer, mountHttp } from './server.ts';

/** A tiny service for tests of everything that carries calls. */

const nothing = z.object({}).strict();

function route<TParams, TQuery, TBody, TResult>(
  name: string,
  line: `${Method} /${string}`,
  parts: {
    readonly params: z.ZodType<TParams>;
    readonly query: z.ZodType<TQuery>;
    readonly body: z.ZodType<TBody>;
    readonly result: z.ZodType<TResult>;
  },
  rest: { readonly idempotent?: boolean; readonly bodyBytesMax?: number; readonly timeoutMs?: number } = {},
): Route<TParams, TQuery, TBody, TResult> {
  const [method, path] = line.split(' ', 2) as [Method, string];
  const { idempotent = true, bodyBytesMax = 1_000, timeoutMs = 5_000 } = rest;
  return {
    service: 'serve',
    name,
    method,
    path,
    summary: name,
    roles: ['producer', 'service'],
    ...parts,
    idempotent,
    bodyBytesMax,
    timeoutMs,
  };
}

const greetingQuery: z.ZodType<{ readonly times: number }> = z
  .object({ times: z.coerce.number().int().min(1).max(3).default(1) })
  .strict();
const orderBody: z.ZodType<{ readonly items: readonly { readonly id: string; readonly count: number }[] }> = z
  .object({ items: z.array(z.object({ id: z.string(), count: z.number().int() }).strict()).min(1) })
  .strict();
const summary: z.ZodType<{ readonly mediaType: string; readonly bytes: number }> = z.object({
  mediaType: z.string(),
  bytes: z.number(),
});
const empty: z.ZodType<Record<string, never>> = nothing as unknown as z.ZodType<Record<string, never>>;
const named: z.ZodType<{ readonly name: string }> = z.object({ name: z.string().max(200) }).strict();

export const testRoutes = {
  greet: route('greet', 'GET /v1/greetings/{name}', {
    params: named,
    query: greetingQuery,
    body: empty,
    result: z.object({ text: z.string(), requestId: z.string() }),
  }),
  order: route('order', 'POST /v1/orders', {
    params: empty,
    query: empty,
    body: orderBody,
    result: z.object({ count: z.number() }),
  }),
  fail: route('fail', 'POST /v1/failures/{name}', {
    params: named,
    query: empty,
    body: empty,
    result: z.object({}),
  }),
  failOnce: route(
    'failOnce',
    'POST /v1/fail-once/{name}',
    { params: named, query: empty, body: empty, result: z.object({ tries: z.number() }) },
    { idempotent: false },
  ),
  upload: route('upload', 'POST /v1/uploads', {
    params: empty,
    query: empty,
    body: z.unknown(),
    result: summary,
  }),
  refuse: route('refuse', 'POST /v1/refusals', {
    params: empty,
    query: empty,
    body: z.unknown(),
    result: summary,
  }),
  book: route(
    'book',
    'POST /v1/bookings',
    {
      params: empty,
      query: empty,
      body: empty,
      result: z.object({ pid: z.number(), booking: z.number() }),
    },
    { idempotent: false, timeoutMs: 20_000 },
  ),
  wait: route(
    'wait',
    'POST /v1/waits',
    { params: empty, query: empty, body: empty, result: z.object({ waited: z.boolean() }) },
    { timeoutMs: 2_000 },
  ),
};

/** Bytes that the handler of `upload` takes of a body that it has as a whole. */
export const WHOLE_TAKEN_MAX = 900;

/** What happened inside the service. */
export interface TestService {
  readonly service: RunningService;
  /** Calls of `wait` that are open. */
  readonly waiting: { readonly context: CallContext; readonly release: () => void }[];
  /** How often `fail` and `failOnce` were called, by name. */
  readonly tries: Map<string, number>;
  ready: boolean;
}

export function testService(): TestService {
  const waiting: TestService['waiting'][number][] = [];
  const tries = new Map<string, number>();
  const count = (name: string): number => {
    tries.set(name, (tries.get(name) ?? 0) + 1);
    return tries.get(name) ?? 0;
  };
  const state = { ready: true };
  const handlers: HandlerEntry[] = [
    handler(testRoutes.greet, async ({ params, query }, context) => ({
      text: `hello ${params.name} `.repeat(query.times).trim(),
      requestId: context.requestId,
    })),
    handler(testRoutes.order, async ({ body }) => ({
      count: body.items.reduce((sum, item) => sum + item.count, 0),
    })),
    handler(testRoutes.fail, async ({ params }) => failAs(params.name, count(params.name))),
    handler(testRoutes.failOnce, async ({ params }) => {
      const tried = count(params.name);
      if (tried === 1) failAs(params.name, tried);
      return { tries: tried };
    }),
    handler(testRoutes.upload, async ({ body }) => {
      const { mediaType, chunks, whole } = body as RawBody;
      let bytes = 0;
      if (mediaType === 'application/json' && whole !== undefined) {
        const all = await whole((count) => {
          bytes += count;
          if (bytes > WHOLE_TAKEN_MAX) throw new PlatformError('OVERLOADED', 'No more than that');
        });
        return { mediaType: `${mediaType}, whole`, bytes: all.byteLength };
      }
      for await (const chunk of chunks) bytes += chunk.byteLength;
      return { mediaType, bytes };
    }),
    handler(testRoutes.refuse, async () => {
      throw new PlatformError('UNPROCESSABLE', 'Not today');
    }),
    handler(testRoutes.book, async () => {
      const booking = count('book');
      await testClock.sleep(2);
      return { pid: process.pid, booking };
    }),
    handler(testRoutes.wait, (_input, context) => {
      const { promise, resolve } = Promise.withResolvers<{ waited: boolean }>();
      waiting.push({ context, release: () => resolve({ waited: true }) });
      return promise;
    }),
  ];
  const service: RunningService = {
    handlers,
    ready: async () => (state.ready ? { ready: true } : { ready: false, reason: 'warming up' }),
    stop: async () => undefined,
  };
  return {
    service,
    waiting,
    tries,
    get ready() {
      return state.ready;
    },
    set ready(value) {
      state.ready = value;
    },
  };
}

function failAs(name: string, tried: number): never {
  if (name === 'crash') throw new TypeError('secret detail');
  if (name === 'twice' && tried > 2) throw new PlatformError('CONFLICT', 'The third try arrived');
  if (name === 'absent') throw new PlatformError('MODEL_NOT_FOUND', 'There is none');
  if (name === 'busy')
    throw new PlatformError('TOO_MANY_REQUESTS', 'Slow down', { details: { retryAfterMs: 1_500 } });
  if (name === 'conflict')
    throw new PlatformError('CONFLICT', 'It moved on', { details: { expected: 1, got: 2 } });
  throw new PlatformError('UNAVAILABLE', 'Not now');
}

export const testClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      signal?.addEventListener('abort', () => {
        clearTimeout(timer);
        resolve();
      });
    }),
};

export const testRandom: Random = { float: () => Math.random(), id: () => randomUUID() };

export interface TestServer extends AsyncDisposable {
  readonly http: HttpServer;
  readonly test: TestService;
  readonly log: string[];
  url(path: string): string;
}

/** Serves the test service on a free loopback port, or one that has none of its routes. */
export async function serveTest(
  limits: Partial<HttpLimits> = {},
  serves: 'the test service' | 'another service' = 'the test service',
): Promise<TestServer> {
  const test = testService();
  const log: string[] = [];
  const metrics = createMetrics();
  const services = new Map<ServiceName, RunningService>([
    serves === 'the test service' ? ['serve', test.service] : ['ingest', { ...test.service, handlers: [] }],
  ]);
  const http = await mountHttp(services, {
    host: '127.0.0.1',
    port: 0,
    gate: openGate,
    limits: { ...httpLimits.parse({}), ...limits },
    info: { title: 'test', version: '1' },
    clock: testClock,
    random: testRandom,
    logger: createLogger({ write: (line) => void log.push(line) }),
    metrics,
  });
  return {
    http,
    test,
    log,
    url: (path) => new URL(path, http.url).href,
    async [Symbol.asyncDispose]() {
      for (const { release } of test.waiting) release();
      await http.stop(1_000);
      metrics.close();
    },
  };
}
