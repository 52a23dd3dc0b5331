import { createServer, type IncomingMessage, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import type { ServiceName } from '../../contract/index.ts';
import { openGate } from '../auth/index.ts';
import { createLogger } from '../logger.ts';
import { createMetrics } from '../metrics.ts';
import type { RunningService } from '../service.ts';
import { httpCaller } from './client.ts';
import { makeForward } from './forward.ts';
import { httpLimits, mountHttp } from './index.ts';
import { serveTest, testClock, testRandom, testRoutes, type TestServer } from './test-service.ts';

const MIB = 1_048_576;

const opened: (() => PromiseLike<unknown>)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

/** A server that passes everything on to these addresses. */
async function front(addresses: readonly string[]): Promise<string> {
  const options = {
    addresses: () => addresses.map((address) => new URL(address)),
    clock: testClock,
    random: testRandom,
    authorize: () => 'Bearer ours',
  };
  const caller = httpCaller(options);
  const metrics = createMetrics();
  const service: RunningService = {
    handlers: [],
    forwards: Object.values(testRoutes),
    ready: async () => ({ ready: true }),
    stop: async () => undefined,
  };
  const http = await mountHttp(new Map<ServiceName, RunningService>([['gateway', service]]), {
    host: '127.0.0.1',
    port: 0,
    gate: openGate,
    limits: httpLimits.parse({}),
    forward: makeForward(caller, options),
    info: { title: 'front', version: '1' },
    build: { id: 'front', contract: async () => 'c' },
    clock: testClock,
    random: testRandom,
    logger: createLogger({ level: 'silent' }),
    metrics,
  });
  opened.push(async () => {
    await http.stop(500);
    await caller.close();
    metrics.close();
  });
  return http.url.origin;
}

async function back(): Promise<TestServer> {
  const server = await serveTest();
  opened.push(() => server[Symbol.asyncDispose]());
  return server;
}

/** A server of a test's own making. */
async function raw(answer: Parameters<typeof createServer>[1]): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  opened.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
}

/** An address where nobody listens. */
async function nobody(): Promise<string> {
  const address = await raw(() => undefined);
  await opened.pop()?.();
  return address;
}

function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  const given = { 'content-type': 'application/json', ...headers };
  return fetch(url, { method: 'POST', headers: given, body: JSON.stringify(body) });
}

describe('what is passed on', () => {
  it('arrives as it was sent, and so does the answer', async () => {
    const behind = await back();
    const url = await front([behind.http.url.href]);
    const greeted = await fetch(`${url}/v1/greetings/J%C3%BCrgen%2F1?times=2`, {
      headers: { 'x-request-id': 'r-1' },
    });
    expect(await greeted.json()).toEqual({ text: 'hello Jürgen/1 hello Jürgen/1', requestId: 'r-1' });
    expect(greeted.headers.get('x-request-id')).toBe('r-1');
    const ordered = await post(`${url}/v1/orders`, { items: [{ id: 'ä', count: 2 }] });
    expect(await ordered.json()).toEqual({ count: 2 });
    const refused = await post(`${url}/v1/orders`, { items: [] });
    expect(refused.status).toBe(400);
    expect(refused.headers.get('content-type')).toContain('problem+json');
    expect(await refused.json()).toMatchObject({ code: 'BAD_REQUEST' });
    const busy = await post(`${url}/v1/failures/busy`, {});
    expect(busy.status).toBe(429);
    expect(busy.headers.get('retry-after')).toBe('2');
    const head = await fetch(`${url}/v1/greetings/a`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });

  it('is the same byte for byte, whether it leaves as a whole or as it comes', async () => {
    const bytes = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, index) => index & 0xff));
    const behind = await raw((request, response) => {
      const length = Number(new URL(request.url ?? '', 'http://x').searchParams.get('bytes'));
      response.setHeader('x-two', ['1', '2']).setHeader('content-length', length);
      // Both sides say these: what speaks of the answer is the other side's, what speaks of the request is ours.
      response.setHeader('x-tandem-build', 'behind').setHeader('x-request-id', 'theirs');
      // In two pieces, so that the second comes later.
      response.write(bytes(length).subarray(0, 300));
      setTimeout(() => response.end(bytes(length).subarray(300)), 20);
    });
    const url = await front([behind]);
    for (const length of [512, 16_384, 16_385, 300_000]) {
      const answer = await fetch(`${url}/v1/greetings/a?bytes=${String(length)}`);
      expect(Buffer.from(await answer.arrayBuffer()).equals(bytes(length))).toBe(true);
      expect(answer.headers.get('x-two')).toBe('1, 2');
      expect(answer.headers.get('content-length')).toBe(String(length));
      expect(answer.headers.get('x-tandem-build')).toBe('behind');
      expect(answer.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  it('is without credentials of the client, and with ours', async () => {
    let seen: IncomingMessage['headers'] = {};
    const behind = await raw((request, response) => {
      seen = request.headers;
      response.setHeader('content-type', 'application/json').end('{"text":"","requestId":""}');
    });
    const url = await front([behind]);
    const headers = {
      authorization: 'Bearer theirs',
      cookie: 'session=1',
      'x-tandem-principal': 'admin root',
      'x-forwarded-for': '1.2.3.4',
      'x-other': 'other',
    };
    expect((await fetch(`${url}/v1/greetings/a`, { headers })).status).toBe(200);
    expect(seen).toMatchObject({
      authorization: 'Bearer ours',
      'x-tandem-principal': 'admin local',
    });
    expect(Object.keys(seen)).not.toContain('cookie');
    expect(Object.keys(seen)).not.toContain('x-other');
    expect(Object.keys(seen)).not.toContain('x-forwarded-for');
    expect(Number(seen['x-tandem-timeout-ms'])).toBeGreaterThan(0);
  });

  it('streams in both directions, no faster than the other side takes it', async () => {
    const chunk = Buffer.alloc(MIB, 'x');
    const total = 96;
    /** What pipes and buffers hold on two hops is less than this, in chunks. */
    const underWay = total / 2;
    let answered = 0;
    const reading = Promise.withResolvers<undefined>();
    const behind = await raw((request, response) => {
      void (async () => {
        await reading.promise;
        let bytes = 0;
        for await (const part of request) bytes += (part as Buffer).length;
        response.setHeader('x-bytes', String(bytes));
        const chunks = function* (): Generator<Buffer> {
          for (; answered < total; answered += 1) yield chunk;
        };
        Readable.from(chunks()).pipe(response);
      })();
    });
    const url = await front([behind]);
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent === total) return controller.close();
        controller.enqueue(chunk);
        sent += 1;
      },
    });
    const headers = { 'content-type': 'application/x-ndjson', 'x-tandem-timeout-ms': '120000' };
    const sending = fetch(`${url}/v1/uploads`, {
      method: 'POST',
      headers,
      body,
      duplex: 'half',
    } as RequestInit);
    await testClock.sleep(700);
    // Nobody reads: the client is held up.
    expect(sent).toBeGreaterThan(0);
    expect(sent).toBeLessThan(underWay);
    reading.resolve(undefined);
    const answer = await sending;
    expect(answer.headers.get('x-bytes')).toBe(String(total * MIB));
    await testClock.sleep(700);
    // The client does not read: the service is held up.
    expect(answered).toBeLessThan(underWay);
    let received = 0;
    for await (const part of answer.body as unknown as AsyncIterable<Uint8Array>) received += part.byteLength;
    expect(received).toBe(total * MIB);
  });

  it('is bounded by the limit of its route, however its size is said', async () => {
    const behind = await back();
    const url = await front([behind.http.url.href]);
    const large = 'x'.repeat(2_000);
    const announced = await post(`${url}/v1/orders`, { large });
    expect(announced.status).toBe(413);
    const body = Readable.toWeb(Readable.from([Buffer.from(large)]));
    const chunked = await fetch(`${url}/v1/uploads`, {
      method: 'POST',
      headers: { 'content-type': 'text/csv' },
      body,
      duplex: 'half',
    } as unknown as RequestInit);
    expect(chunked.status).toBe(413);
    const lines = await fetch(`${url}/v1/uploads`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: large.repeat(300),
    });
    expect(await lines.json()).toEqual({ mediaType: 'application/x-ndjson', bytes: 600_000 });
  });
});

describe('when an instance fails', () => {
  it('what was not begun goes to another one', async () => {
    const behind = await back();
    const url = await front([await nobody(), behind.http.url.href]);
    for (let count = 0; count < 8; count += 1) {
      expect((await post(`${url}/v1/fail-once/${String(count)}`, {})).status).toBe(503);
      expect(behind.test.tries.get(String(count))).toBe(1);
      expect((await post(`${url}/v1/orders`, { items: [{ id: 'a', count: 1 }] })).status).toBe(200);
    }
  });

  it('what may be repeated is, within bounds; the rest is answered as it is', async () => {
    const behind = await back();
    const url = await front([behind.http.url.href]);
    const twice = await post(`${url}/v1/failures/twice`, {});
    expect([twice.status, behind.test.tries.get('twice')]).toEqual([409, 3]);
    const never = await post(`${url}/v1/failures/never`, {});
    expect([never.status, behind.test.tries.get('never')]).toEqual([503, 4]);
    const once = await post(`${url}/v1/fail-once/x`, {});
    expect([once.status, behind.test.tries.get('x')]).toEqual([503, 1]);
    expect(await once.json()).toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('says so when no address is known, or none can be reached', async () => {
    for (const addresses of [[], [await nobody()]]) {
      const answer = await fetch(`${await front(addresses)}/v1/greetings/a`);
      expect(answer.status).toBe(503);
      expect(answer.headers.get('retry-after')).not.toBeNull();
      expect(await answer.json()).toMatchObject({ code: 'UNAVAILABLE' });
    }
  });

  it('takes a refusal of itself for an absence, not for a mistake of the client', async () => {
    const behind = await raw((_request, response) => response.writeHead(401).end('{}'));
    const answer = await fetch(`${await front([behind])}/v1/greetings/a`);
    expect(answer.status).toBe(503);
  });

  it('turns to another instance when a stranger has got the port of one', async () => {
    const service = await serveTest({}, 'another service');
    opened.push(() => service[Symbol.asyncDispose]());
    const behind = await back();
    const program = await raw((_request, response) => response.writeHead(404).end());
    for (const strange of [service.http.url.href, program]) {
      const url = await front([strange, behind.http.url.href]);
      for (let call = 0; call < 20; call += 1) {
        expect((await post(`${url}/v1/bookings`, {})).status).toBe(200);
      }
      const alone = await post(`${await front([strange])}/v1/bookings`, {});
      expect([alone.status, (await alone.json()) as unknown]).toEqual([
        503,
        expect.objectContaining({ code: 'UNAVAILABLE' }),
      ]);
    }
  });

  it('passes on what a service does not find', async () => {
    const behind = await back();
    const answer = await post(`${await front([behind.http.url.href])}/v1/failures/absent`, {});
    expect([answer.status, behind.test.tries.get('absent')]).toEqual([404, 1]);
  });

  it('breaks off the large answer that broke off', async () => {
    const behind = await raw((_request, response) => {
      response.writeHead(200, { 'content-length': '100000' });
      response.write('only this');
      setTimeout(() => response.destroy(), 50);
    });
    const url = await front([behind]);
    await expect(fetch(`${url}/v1/greetings/a`).then((answer) => answer.text())).rejects.toThrow();
  });

  it('asks again when a small answer broke off, where that is harmless, and says so where it is not', async () => {
    let asked = 0;
    const behind = await raw((_request, response) => {
      asked += 1;
      response.writeHead(200, { 'content-length': '20', 'content-type': 'application/json' });
      if (asked > 1) return void response.end('{"text":"whole now"}');
      response.write('{"text":"only');
      setTimeout(() => response.destroy(), 50);
    });
    const url = await front([behind]);
    const answer = await fetch(`${url}/v1/greetings/a`);
    expect([answer.status, await answer.json(), asked]).toEqual([200, { text: 'whole now' }, 2]);
    asked = 0;
    const once = await post(`${url}/v1/fail-once/x`, {});
    expect([once.status, asked]).toEqual([503, 1]);
    expect(once.headers.get('x-tandem-begun')).toBeNull();
  });
});

describe('time', () => {
  it('ends with the deadline, which the other side is told', async () => {
    const behind = await back();
    const url = await front([behind.http.url.href]);
    const late = await post(`${url}/v1/waits`, {}, { 'x-tandem-timeout-ms': '200' });
    expect(late.status).toBe(504);
    await expect.poll(() => behind.test.waiting[0]?.context.signal.aborted).toBe(true);
  });

  it('ends when the client goes away', async () => {
    const behind = await back();
    const url = new URL(await front([behind.http.url.href]));
    const sent = httpRequest({ port: url.port, method: 'POST', path: '/v1/waits' });
    sent.on('error', () => undefined).end();
    await expect.poll(() => behind.test.waiting.length).toBe(1);
    sent.destroy();
    await expect.poll(() => behind.test.waiting[0]?.context.signal.aborted).toBe(true);
  });
});
