import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ERROR_CODES, PlatformError, type Problem } from '../../contract/index.ts';
import { createLogger } from '../logger.ts';
import { createMetrics } from '../metrics.ts';
import { openGate } from '../auth/index.ts';
import { httpLimits, mountHttp } from './index.ts';
import { serveTest, testClock, testRandom, type TestServer, WHOLE_TAKEN_MAX } from './test-service.ts';

let server: TestServer;
beforeAll(async () => {
  server = await serveTest();
});
afterAll(() => server[Symbol.asyncDispose]());

const json = { 'content-type': 'application/json' };

async function problemOf(answer: Response): Promise<Problem> {
  expect(answer.headers.get('content-type')).toContain('application/problem+json');
  const problem = (await answer.json()) as Problem;
  expect(problem.status).toBe(answer.status);
  expect(problem.title).toBe(ERROR_CODES[problem.code].text);
  return problem;
}

function post(
  path: string,
  body: NonNullable<RequestInit['body']>,
  headers: Record<string, string> = json,
): Promise<Response> {
  return fetch(server.url(path), { method: 'POST', body, headers });
}

/** A request with headers that `fetch` does not let through. */
function rawGet(
  path: string,
  headers: Record<string, string>,
  method = 'GET',
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(server.url(path), { method, headers }, (answer) => {
      let text = '';
      answer.on('data', (chunk) => (text += String(chunk)));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
    });
    request.on('error', reject);
    request.end();
  });
}

/** Sends bytes as they are and gives everything that comes back. */
function talk(url: URL, ...texts: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(url.port), url.hostname, () => void say());
    const say = async (): Promise<void> => {
      for (const text of texts) {
        socket.write(text);
        await testClock.sleep(20);
      }
    };
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk.toString('latin1')));
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}

describe('requests', () => {
  it('hands parameters, query and body to the handler, with defaults', async () => {
    const greeting = await fetch(server.url('/v1/greetings/J%C3%B6rg%2Fx?times=2'));
    expect(await greeting.json()).toMatchObject({ text: 'hello Jörg/x hello Jörg/x' });
    const order = await post(
      '/v1/orders',
      JSON.stringify({
        items: [
          { id: 'a', count: 2 },
          { id: 'b', count: 3 },
        ],
      }),
    );
    expect(order.status).toBe(200);
    expect(await order.json()).toEqual({ count: 5 });
  });

  it('takes over a request id, makes one otherwise, and never echoes a strange one', async () => {
    const given = await fetch(server.url('/v1/greetings/a'), { headers: { 'x-request-id': 'abc-1' } });
    expect(given.headers.get('x-request-id')).toBe('abc-1');
    expect(await given.json()).toMatchObject({ requestId: 'abc-1' });
    const made = await fetch(server.url('/v1/greetings/a'), { headers: { 'x-request-id': 'a b"<script>' } });
    expect(made.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('says to other services only what they do not know, on connections that stay', async () => {
    const request = 'GET /v1/greetings/a HTTP/1.1\r\nhost: localhost\r\n';
    const asService = 'x-tandem-principal: reader key%3Aa\r\n';
    const twice = `${request}${asService}\r\n${request}${asService}connection: close\r\n\r\n`;
    const [first = '', second = ''] = (await talk(server.http.url, twice)).split(/(?=HTTP\/1.1 )/);
    expect(first.split('\r\n\r\n')[0]).toMatch(
      /^HTTP\/1.1 200 OK\r\ncontent-type: application\/json; charset=utf-8\r\ncontent-length: \d+$/,
    );
    expect(second).toContain('HTTP/1.1 200 OK');
    const other = await talk(server.http.url, `${request}connection: close\r\n\r\n`);
    for (const name of ['Date', 'Connection', 'x-request-id', 'x-content-type-options'])
      expect(other).toContain(`\r\n${name}: `);
  });

  it('takes a JSON body that is compressed', async () => {
    const body = JSON.stringify({ items: [{ id: 'a', count: 7 }] });
    const answer = await post('/v1/orders', gzipSync(body), { ...json, 'content-encoding': 'gzip' });
    expect(await answer.json()).toEqual({ count: 7 });
  });
});

describe('wrong requests', () => {
  it.each([
    [
      'body.items[1].count: expected a whole number, got a number',
      {
        items: [
          { id: 'a', count: 1 },
          { id: 'b', count: 1.5 },
        ],
      },
    ],
    ['body.items[0].id: expected a string, got nothing', { items: [{ count: 1 }] }],
    ['body.items: expected at least 1 items, got an array of 0', { items: [] }],
    [
      "body: expected only fields that the route knows, got 'colour'",
      { items: [{ id: 'a', count: 1 }], colour: 'red' },
    ],
    ['body: expected an object, got an array of 0', []],
  ])('%s', async (detail, body) => {
    const problem = await problemOf(await post('/v1/orders', JSON.stringify(body)));
    expect(problem).toMatchObject({ code: 'BAD_REQUEST', detail });
  });

  it('says what is wrong in a query and repeats its value', async () => {
    const problem = await problemOf(await fetch(server.url('/v1/greetings/a?times=9')));
    expect(problem).toMatchObject({
      code: 'BAD_REQUEST',
      detail: "query.times: expected at most 3, got '9'",
    });
    const unknown = await problemOf(await fetch(server.url('/v1/greetings/a?colour=red')));
    expect(unknown.detail).toContain("'colour'");
  });

  it('does not repeat values of a body', async () => {
    const answer = await post('/v1/orders', JSON.stringify({ items: [{ id: 4111111111111111, count: 1 }] }));
    const text = await answer.text();
    expect(answer.status).toBe(400);
    expect(text).not.toContain('4111');
    const broken = await post('/v1/orders', '{"items":[{"id":"4111111111111111",}]}');
    expect(broken.status).toBe(400);
    expect(await broken.text()).not.toContain('4111');
  });

  it.each([
    ['nothing', '', 'body.items: expected an array, got nothing'],
    ['half a document', '{"items":', 'body: expected JSON, got something else'],
    ['bytes that are not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]), 'body: expected UTF-8'],
    ['33 levels', '['.repeat(33) + ']'.repeat(33), 'nested at most 32 deep'],
    ['a prototype', '{"__proto__":{"isAdmin":true}}', '__proto__'],
  ])('refuses %s', async (_, body, detail) => {
    const problem = await problemOf(await post('/v1/orders', body));
    expect(problem.code).toBe('BAD_REQUEST');
    expect(problem.detail).toContain(detail);
  });

  it('counts depth outside of texts only', async () => {
    const answer = await post(
      '/v1/orders',
      JSON.stringify({ items: [{ id: `"\\${'['.repeat(100)}`, count: 1 }] }),
    );
    expect(answer.status).toBe(200);
  });

  it('answers an unknown route with 404 and a wrong method with 405', async () => {
    expect(await problemOf(await fetch(server.url('/v1/nothing')))).toMatchObject({
      code: 'ROUTE_NOT_FOUND',
    });
    const answer = await fetch(server.url('/v1/orders'), { method: 'DELETE' });
    expect(answer.headers.get('allow')).toBe('POST');
    expect(await problemOf(answer)).toMatchObject({
      code: 'METHOD_NOT_ALLOWED',
      detail: 'method: expected POST, got DELETE',
    });
    expect((await post('/livez', '{}')).status).toBe(405);
    expect((await fetch(server.url('/v1/greetings/%zz'))).status).toBe(400);
  });

  it('answers a body that is too large with 413 and keeps the connection usable', async () => {
    const answer = await post('/v1/orders', JSON.stringify({ items: [], pad: 'x'.repeat(2_000) }));
    expect(await problemOf(answer)).toMatchObject({ code: 'BODY_TOO_LARGE', details: { bytesMax: 1_000 } });
    const chunked = new ReadableStream({
      start(controller) {
        for (let index = 0; index < 50; index += 1) controller.enqueue(new Uint8Array(1_000));
        controller.close();
      },
    });
    const init: RequestInit & { duplex: 'half' } = {
      method: 'POST',
      body: chunked,
      headers: json,
      duplex: 'half',
    };
    expect((await fetch(server.url('/v1/orders'), init)).status).toBe(413);
  });

  it.each([
    ['text/plain', {}],
    ['application/json; charset=latin1', {}],
    ['application/json', { 'content-encoding': 'zip' }],
  ])('answers %s %o with 415', async (type, more) => {
    const problem = await problemOf(await post('/v1/orders', '{}', { 'content-type': type, ...more }));
    expect(problem.code).toBe('UNSUPPORTED_MEDIA_TYPE');
  });

  it('answers what is no HTTP', async () => {
    const answer = await talk(server.http.url, 'HELLO THERE\r\n\r\n');
    expect(answer).toContain('HTTP/1.1 400');
    expect(answer).toContain('BAD_REQUEST');
    const huge = await talk(
      server.http.url,
      `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`,
    );
    expect(huge).toContain('HTTP/1.1 431');
  });
});

describe('errors', () => {
  it('says nothing of an unexpected error, but logs it with the request id', async () => {
    const answer = await post('/v1/failures/crash', '{}', { ...json, 'x-request-id': 'crash-1' });
    const text = await answer.text();
    expect(answer.status).toBe(500);
    expect(text).toContain('INTERNAL');
    expect(text).not.toContain('secret detail');
    const line = server.log.find((entry) => entry.includes('crash-1'));
    expect(line).toContain('secret detail');
  });

  it('passes on a coded error with its details', async () => {
    const problem = await problemOf(await post('/v1/failures/conflict', '{}'));
    expect(problem).toMatchObject({
      code: 'CONFLICT',
      detail: 'It moved on',
      details: { expected: 1, got: 2 },
    });
    expect(problem.requestId).toBeTypeOf('string');
  });

  it('says when to come back on 429 and 503', async () => {
    expect((await post('/v1/failures/busy', '{}')).headers.get('retry-after')).toBe('2');
    expect((await post('/v1/failures/away', '{}')).headers.get('retry-after')).toBe('1');
  });
});

describe('raw bodies', () => {
  const text = JSON.stringify({ id: 'a', value: 1 }).repeat(100);
  const ndjson = { 'content-type': 'application/x-ndjson; charset=utf-8' };

  it.each([
    ['identity', Buffer.from(text)],
    ['gzip', gzipSync(text)],
    ['deflate', deflateSync(text)],
    ['br', brotliCompressSync(text)],
  ])('decodes %s', async (encoding, body) => {
    const answer = await post('/v1/uploads', body, { ...ndjson, 'content-encoding': encoding });
    expect(await answer.json()).toEqual({ mediaType: 'application/x-ndjson', bytes: text.length });
  });

  it('gives a small body as a whole, however it comes', async () => {
    const json = { 'content-type': 'application/json' };
    const whole = { mediaType: 'application/json, whole', bytes: 700 };
    expect(await (await post('/v1/uploads', 'x'.repeat(700), json)).json()).toEqual(whole);
    const head =
      'POST /v1/uploads HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n';
    const slowly = talk(server.http.url, `${head}content-length: 700\r\n\r\n`, 'x'.repeat(699), 'x');
    expect(await slowly).toContain(JSON.stringify(whole));
    // Nobody knows how large these are before they are there.
    const chunked = talk(
      server.http.url,
      `${head}transfer-encoding: chunked\r\n\r\n`,
      '2\r\nxx\r\n',
      '0\r\n\r\n',
    );
    expect(await chunked).toContain(JSON.stringify({ mediaType: 'application/json', bytes: 2 }));
    const packed = await post('/v1/uploads', gzipSync('xx'), { ...json, 'content-encoding': 'gzip' });
    expect(await packed.json()).toEqual({ mediaType: 'application/json', bytes: 2 });
  });

  it('lets the handler refuse a body while it comes, and goes on on the same connection', async () => {
    const head = 'POST /v1/uploads HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n';
    const refused = `${head}content-length: ${String(WHOLE_TAKEN_MAX + 1)}\r\n\r\n${'x'.repeat(WHOLE_TAKEN_MAX + 1)}`;
    const taken = `${head}connection: close\r\ncontent-length: 1\r\n\r\nx`;
    const answers = await talk(server.http.url, refused, taken);
    expect(answers).toContain('HTTP/1.1 503');
    expect(answers).toContain('No more than that');
    expect(answers).toContain('HTTP/1.1 200');
  });

  it('limits everything but NDJSON by the route', async () => {
    expect((await post('/v1/uploads', text, ndjson)).status).toBe(200);
    expect(await problemOf(await post('/v1/uploads', text, { 'content-type': 'text/csv' }))).toMatchObject({
      code: 'BODY_TOO_LARGE',
    });
    const packed = await post('/v1/uploads', gzipSync(text), {
      'content-type': 'text/csv',
      'content-encoding': 'gzip',
    });
    expect(await problemOf(packed)).toMatchObject({ code: 'BODY_TOO_LARGE' });
  });

  it.each([
    [
      'ends early',
      gzipSync(Buffer.from(Array.from({ length: 5_000 }, (_, index) => index % 251))).subarray(0, 150),
    ],
    ['is damaged', Buffer.from('this is not gzip at all')],
    ['is empty', Buffer.alloc(0)],
  ])('refuses gzip that %s', async (_, body) => {
    const problem = await problemOf(
      await post('/v1/uploads', body, { ...ndjson, 'content-encoding': 'gzip' }),
    );
    expect(problem).toMatchObject({
      code: 'BAD_REQUEST',
      detail: 'body: the gzip stream is damaged or ends early',
    });
  });

  it('refuses a body that grows too much when it is decoded', async () => {
    const bomb = gzipSync(Buffer.alloc(50_000_000));
    const problem = await problemOf(
      await post('/v1/uploads', bomb, { ...ndjson, 'content-encoding': 'gzip' }),
    );
    expect(problem).toMatchObject({ code: 'BODY_TOO_LARGE', details: { ratioMax: 100 } });
  });

  it('answers although the handler left the body unread', async () => {
    const problem = await problemOf(await post('/v1/refusals', Buffer.alloc(3_000_000), ndjson));
    expect(problem.code).toBe('UNPROCESSABLE');
  });
});

describe('who may ask', () => {
  it.each([
    ['localhost', 200],
    ['localhost:8080', 200],
    ['127.0.0.1:1', 200],
    ['[::1]:7717', 200],
    ['evil.example', 403],
    ['localhost.evil.example', 403],
    ['127.0.0.1.evil.example', 403],
    ['evil.example:7717', 403],
    ['a@localhost', 403],
  ])('host %s gets %i', async (host, status) => {
    expect((await rawGet('/v1/greetings/a', { host })).status).toBe(status);
    expect((await rawGet('/v1/nothing', { host })).status).toBe(status === 200 ? 404 : 403);
  });

  it.each([
    ['none', {}, 200],
    ['its own', { origin: 'http://localhost:7717', host: 'localhost:7717' }, 200],
    ['another port', { origin: 'http://localhost:3000', host: 'localhost:7717' }, 403],
    ['another site', { origin: 'https://evil.example' }, 403],
    ['a sandbox', { origin: 'null' }, 403],
    ['another site without a name', { 'sec-fetch-site': 'cross-site' }, 403],
  ])('origin of a change: %s', async (_, headers, status) => {
    const given = { host: 'localhost', ...headers };
    expect((await rawGet('/v1/orders', given, 'POST')).status).toBe(status === 200 ? 400 : 403);
    // Reading is the browser's own business: without permission it shows a foreign page nothing.
    expect((await rawGet('/v1/greetings/a', given)).status).toBe(200);
  });

  it('lets configured names and origins in', async () => {
    await using other = await serveTest({
      hostNames: ['tandem.example'],
      origins: ['https://console.example'],
    });
    const headers = { host: 'tandem.example', origin: 'https://console.example' };
    const answer = await talk(
      other.http.url,
      `POST /v1/orders HTTP/1.1\r\nhost: ${headers.host}\r\norigin: ${headers.origin}\r\nconnection: close\r\n\r\n`,
    );
    expect(answer).toContain('HTTP/1.1 400');
  });

  it.each(['0.0.0.0', '::', '192.168.1.5', 'example.org', '127.evil.example'])(
    'does not listen on %s',
    async (host) => {
      const metrics = createMetrics();
      const mounting = mountHttp(new Map(), {
        host,
        port: 0,
        gate: openGate,
        limits: httpLimits.parse({}),
        info: { title: 'test', version: '1' },
        clock: testClock,
        random: testRandom,
        logger: createLogger({ level: 'silent' }),
        metrics,
      });
      await expect(mounting).rejects.toSatisfy(
        (error) => PlatformError.is(error) && error.code === 'CONFIGURATION',
      );
      metrics.close();
    },
  );
});

describe('time and load', () => {
  it("ends a call at the caller's deadline and tells the handler", async () => {
    const answer = await post('/v1/waits', '', { 'x-tandem-timeout-ms': '50' });
    expect(await problemOf(answer)).toMatchObject({ code: 'DEADLINE_EXCEEDED', details: { timeoutMs: 50 } });
    const last = server.test.waiting.at(-1);
    expect(last?.context.signal.aborted).toBe(true);
  });

  it('tells the handler when the caller goes away', async () => {
    const before = server.test.waiting.length;
    const gone = new AbortController();
    const call = fetch(server.url('/v1/waits'), { method: 'POST', signal: gone.signal });
    call.catch(() => undefined);
    await expect.poll(() => server.test.waiting.length).toBe(before + 1);
    const signal = server.test.waiting.at(-1)?.context.signal;
    expect(signal?.aborted).toBe(false);
    gone.abort();
    await expect.poll(() => signal?.aborted).toBe(true);
  });

  it('refuses more requests than it can hold, and recovers', async () => {
    await using small = await serveTest({ requestsMax: 2 });
    const held = [1, 2].map(() => fetch(small.url('/v1/waits'), { method: 'POST' }));
    await expect.poll(() => small.test.waiting.length).toBe(2);
    const refused = await fetch(small.url('/v1/greetings/a'));
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await problemOf(refused)).toMatchObject({ code: 'OVERLOADED', details: { requestsMax: 2 } });
    expect((await fetch(small.url('/livez'))).status).toBe(200);
    for (const { release } of small.test.waiting) release();
    for (const call of held) expect((await call).status).toBe(200);
    expect((await fetch(small.url('/v1/greetings/a'))).status).toBe(200);
  });

  it('gives up on clients that send too slowly', async () => {
    await using strict = await serveTest({ headerMs: 200, bodyMs: 200 });
    const headers = talk(strict.http.url, 'GET /livez HTTP/1.1\r\nhost: localhost\r\nx-slow: ');
    const head =
      'POST /v1/orders HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{';
    const body = talk(strict.http.url, head);
    const upload =
      'POST /v1/uploads HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/csv\r\ncontent-length: 50\r\n\r\na';
    const stream = talk(strict.http.url, upload);
    const whole = talk(strict.http.url, upload.replace('text/csv', 'application/json'));
    expect(await body).toContain('body: expected all of it within 200 ms');
    expect(await headers).toContain('HTTP/1.1 408');
    await Promise.all([stream, whole]);
  });

  it('answers what has come before it stops, and refuses what comes later', async () => {
    const stopping = await serveTest();
    const held = fetch(stopping.url('/v1/waits'), { method: 'POST' });
    await expect.poll(() => stopping.test.waiting.length).toBe(1);
    const stopped = stopping.http.stop(5_000);
    stopping.test.waiting[0]?.release();
    const answer = await held;
    expect(answer.status).toBe(200);
    expect(answer.headers.get('connection')).toBe('close');
    await stopped;
    await expect(fetch(stopping.url('/livez'))).rejects.toThrow();
  });

  it('cuts off what is not done within the grace period', async () => {
    const stopping = await serveTest();
    const held = fetch(stopping.url('/v1/waits'), { method: 'POST' });
    held.catch(() => undefined);
    await expect.poll(() => stopping.test.waiting.length).toBe(1);
    await stopping.http.stop(50);
    await expect(held).rejects.toThrow();
  });
});

describe('operations', () => {
  it('lives, and is ready when every service is', async () => {
    expect(await (await fetch(server.url('/livez'))).json()).toEqual({ alive: true });
    expect(await (await fetch(server.url('/readyz'))).json()).toEqual({
      ready: true,
      services: { serve: { ready: true } },
    });
    server.test.ready = false;
    const answer = await fetch(server.url('/readyz'));
    server.test.ready = true;
    expect(await problemOf(answer)).toMatchObject({
      code: 'UNAVAILABLE',
      detail: 'serve: warming up',
      details: { ready: false, services: { serve: { ready: false, reason: 'warming up' } } },
    });
  });

  it('counts requests by route and status', async () => {
    await fetch(server.url('/v1/greetings/secret-name'));
    await fetch(server.url('/v1/no-such-route'));
    const text = await (await fetch(server.url('/metrics'))).text();
    expect(text).toMatch(/http_requests_total\{route="greet",status="200"\} \d+/);
    expect(text).toMatch(/http_requests_total\{route="none",status="404"\} \d+/);
    expect(text).toMatch(/http_request_seconds_bucket\{le="0.0005",route="greet"\} \d+/);
    expect(text).toMatch(/process_event_loop_delay_seconds\{quantile="0.99"\}/);
    expect(text).toContain('process_cpu_seconds_total');
    expect(text).toContain('http_requests_in_flight');
    expect(text).not.toContain('secret-name');
  });

  it('describes exactly the routes that it answers', async () => {
    const document = (await (await fetch(server.url('/openapi.json'))).json()) as {
      openapi: string;
      paths: Record<
        string,
        Record<string, { parameters?: { name: string; in: string; required: boolean }[] }>
      >;
    };
    const described = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(described.toSorted()).toEqual([...server.http.routes].toSorted());
    expect(document.openapi).toBe('3.1.0');
    expect(document.paths['/v1/greetings/{name}']?.['get']?.parameters).toMatchObject([
      { name: 'name', in: 'path', required: true },
      { name: 'times', in: 'query', required: false },
    ]);
  });
});
