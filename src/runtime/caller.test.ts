import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ErrorCode, PlatformError, type ServiceName, toProblem } from '../contract/index.ts';
import { BytesBody } from './call.ts';
import { combinedCaller, localCaller } from './caller.ts';
import { CALL_LIMITS, httpCaller, type HttpCaller } from './http/client.ts';
import {
  serveTest,
  testClock,
  testRandom,
  testRoutes,
  type TestServer,
  testService,
} from './http/test-service.ts';
import type { Caller, RunningService } from './service.ts';

const tools = { clock: testClock, random: testRandom };
const nothing = { params: {}, query: {}, body: {} };
const failing = (name: string) => ({ ...nothing, params: { name } });

let server: TestServer;
let remote: HttpCaller;
let local: Caller;
const localTest = testService();

beforeAll(async () => {
  server = await serveTest();
  remote = httpCaller({ addresses: () => [server.http.url], ...tools });
  local = localCaller(new Map<ServiceName, RunningService>([['serve', localTest.service]]), tools);
});
afterAll(async () => {
  await remote.close();
  await server[Symbol.asyncDispose]();
});

async function errorOf(call: Promise<unknown>): Promise<PlatformError> {
  const error: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!PlatformError.is(error)) throw new TypeError(`Expected a PlatformError, got ${String(error)}`);
  return error;
}

describe.each(['in one process', 'over HTTP'])('a call %s', (way) => {
  const call: Caller = (...parameters) =>
    way === 'over HTTP' ? remote.call(...parameters) : local(...parameters);
  const waiting = () => (way === 'over HTTP' ? server.test : localTest).waiting;

  it('gives the result', async () => {
    const greeting = await call(testRoutes.greet, {
      params: { name: 'a/b?c' },
      query: { times: 2 },
      body: {},
    });
    expect(greeting.text).toBe('hello a/b?c hello a/b?c');
    const order = { params: {}, query: {}, body: { items: [{ id: 'ä', count: 4 }] } };
    expect(await call(testRoutes.order, order)).toEqual({ count: 4 });
  });

  it('hands over raw bodies', async () => {
    const body = new BytesBody('text/csv', Buffer.from('a,b\n1,2\n'));
    expect(await call(testRoutes.upload, { params: {}, query: {}, body })).toEqual({
      mediaType: 'text/csv',
      bytes: 8,
    });
  });

  it.each<[string, ErrorCode, string]>([
    ['conflict', 'CONFLICT', 'It moved on'],
    ['crash', 'INTERNAL', 'An unexpected error happened; quote the request id to the operator'],
    ['busy', 'TOO_MANY_REQUESTS', 'Slow down'],
  ])('rejects with the same error: %s', async (name, code, message) => {
    const error = await errorOf(call(testRoutes.failOnce, failing(name)));
    expect(error).toMatchObject({ code, message });
    if (name === 'conflict') expect(error.details).toEqual({ expected: 1, got: 2 });
  });

  it('ends at its deadline and tells the handler', async () => {
    const error = await errorOf(call(testRoutes.wait, nothing, { timeoutMs: 60 }));
    expect(error.code).toBe('DEADLINE_EXCEEDED');
    await expect.poll(() => waiting().at(-1)?.context.signal.aborted).toBe(true);
    expect((await errorOf(call(testRoutes.wait, nothing, { timeoutMs: 0 }))).code).toBe('DEADLINE_EXCEEDED');
  });

  it('ends when its caller stops waiting, with the reason if it is one of ours', async () => {
    const before = waiting().length;
    const stop = new AbortController();
    const reason = new PlatformError('UNAVAILABLE', 'We are stopping');
    const pending = errorOf(call(testRoutes.wait, nothing, { signal: stop.signal }));
    await expect.poll(() => waiting().length).toBe(before + 1);
    stop.abort(reason);
    expect(await pending).toBe(reason);
    await expect.poll(() => waiting().at(-1)?.context.signal.aborted).toBe(true);
    const never = await errorOf(call(testRoutes.wait, nothing, { signal: AbortSignal.abort() }));
    expect(never.code).toBe('DEADLINE_EXCEEDED');
  });
});

describe('localCaller', () => {
  it('says that a service is not there, and finds it when it is', async () => {
    const services = new Map<ServiceName, RunningService>();
    const call = localCaller(services, tools);
    expect(
      await errorOf(call(testRoutes.greet, { params: { name: 'a' }, query: { times: 1 }, body: {} })),
    ).toMatchObject({
      code: 'UNAVAILABLE',
    });
    services.set('serve', testService().service);
    expect(
      (await call(testRoutes.greet, { params: { name: 'a' }, query: { times: 1 }, body: {} })).text,
    ).toBe('hello a');
  });
});

describe('httpCaller', () => {
  it('tries an idempotent call again while the answer is retryable, within bounds', async () => {
    server.test.tries.clear();
    expect((await errorOf(remote.call(testRoutes.fail, failing('away')))).code).toBe('UNAVAILABLE');
    expect(server.test.tries.get('away')).toBe(4);
    expect((await errorOf(remote.call(testRoutes.fail, failing('twice')))).code).toBe('CONFLICT');
    expect(server.test.tries.get('twice')).toBe(3);
    expect((await errorOf(remote.call(testRoutes.fail, failing('conflict')))).code).toBe('CONFLICT');
    expect(server.test.tries.get('conflict')).toBe(1);
  });

  it('never repeats a call that is not idempotent, nor a stream', async () => {
    server.test.tries.clear();
    expect((await errorOf(remote.call(testRoutes.failOnce, failing('away')))).code).toBe('UNAVAILABLE');
    expect(server.test.tries.get('away')).toBe(1);
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('{}\n');
      yield Buffer.from('{}\n');
    }
    const body = { mediaType: 'application/x-ndjson', chunks: chunks() };
    expect(await remote.call(testRoutes.upload, { params: {}, query: {}, body })).toEqual({
      mediaType: 'application/x-ndjson',
      bytes: 6,
    });
  });

  it('gives up a call that waits for a connection, and never sends it', async () => {
    const open: (() => void)[] = [];
    let asked = 0;
    const slow = createServer((_request, answer) => {
      asked += 1;
      open.push(() => answer.setHeader('content-type', 'application/json').end('{"waited":true}'));
    });
    await new Promise<void>((resolve) => void slow.listen(0, '127.0.0.1', resolve));
    const { port } = slow.address() as AddressInfo;
    const caller = httpCaller({ addresses: () => [new URL(`http://127.0.0.1:${String(port)}`)], ...tools });
    const held = Array.from({ length: CALL_LIMITS.connectionsMax }, () =>
      caller.call(testRoutes.wait, nothing, { timeoutMs: 60_000 }),
    );
    await expect.poll(() => asked, { timeout: 60_000 }).toBe(CALL_LIMITS.connectionsMax);
    const late = await errorOf(caller.call(testRoutes.wait, nothing, { timeoutMs: 50 }));
    expect(late.code).toBe('DEADLINE_EXCEEDED');
    for (const answer of open.splice(0)) answer();
    await Promise.all(held);
    expect(asked).toBe(CALL_LIMITS.connectionsMax);
    await caller.close();
    slow.close();
  });

  it('does not wait longer for a retry than the call may take', async () => {
    server.test.tries.clear();
    const error = await errorOf(remote.call(testRoutes.fail, failing('busy'), { timeoutMs: 1_000 }));
    expect(error.code).toBe('TOO_MANY_REQUESTS');
    expect(server.test.tries.get('busy')).toBe(1);
  });

  it('names the service, not its address, when it cannot be reached', async () => {
    const away = httpCaller({ addresses: () => [new URL('http://127.0.0.1:1')], ...tools });
    const error = await errorOf(away.call(testRoutes.failOnce, failing('x')));
    expect(error).toMatchObject({
      code: 'UNAVAILABLE',
      message: 'The serve service cannot be reached (ECONNREFUSED)',
    });
    await away.close();
    const none = httpCaller({ addresses: () => [], ...tools });
    expect((await errorOf(none.call(testRoutes.failOnce, failing('x')))).code).toBe('UNAVAILABLE');
    await none.close();
  });

  it.each<[number, ErrorCode]>([
    [502, 'UNAVAILABLE'],
    [504, 'DEADLINE_EXCEEDED'],
    [418, 'INTERNAL'],
    [200, 'INTERNAL'],
  ])('makes sense of a proxy that answers %i in its own words', async (status, code) => {
    const proxy: Server = createServer((_request, answer) => {
      answer.writeHead(status, { 'content-type': 'text/html' });
      answer.end('<h1>sorry</h1>');
    });
    await new Promise<void>((resolve) => void proxy.listen(0, '127.0.0.1', resolve));
    const { port } = proxy.address() as AddressInfo;
    const caller = httpCaller({
      addresses: () => [new URL(`http://127.0.0.1:${String(port)}/base/`)],
      ...tools,
    });
    expect((await errorOf(caller.call(testRoutes.failOnce, failing('x')))).code).toBe(code);
    await caller.close();
    proxy.close();
  });
});

describe('several instances', () => {
  it('answers every idempotent call while one of two is dead, and soon leaves that one alone', async () => {
    const dead = createServer((request) => request.socket.destroy());
    let asked = 0;
    dead.on('connection', () => (asked += 1));
    await new Promise<void>((resolve) => void dead.listen(0, '127.0.0.1', resolve));
    const { port } = dead.address() as AddressInfo;
    const both = [server.http.url, new URL(`http://127.0.0.1:${String(port)}`)];
    const caller = httpCaller({ addresses: () => both, ...tools });
    for (let call = 0; call < 60; call += 1) {
      const error = await errorOf(caller.call(testRoutes.fail, failing('conflict')));
      expect(error.code).toBe('CONFLICT');
    }
    // Without leaving it out, about half of the calls would have gone there first.
    expect(asked).toBeLessThan(15);
    await caller.close();
    dead.close();
  });
});

/** What may have got the port of a process that died. */
const STRANGERS: Readonly<Record<string, RequestListener | undefined>> = {
  'another service': undefined,
  'a service that does not let us in': (_request, answer) => {
    answer.writeHead(401, { 'content-type': 'application/problem+json' });
    answer.end(JSON.stringify(toProblem(new PlatformError('UNAUTHENTICATED', 'authorization: no'), 'r')));
  },
  'another program': (_request, answer) => void answer.writeHead(404).end(),
};

describe('an address at which somebody else answers', () => {
  it.each(Object.keys(STRANGERS))(
    'costs no call when it is %s, whether or not it may be repeated',
    async (who) => {
      const listener = STRANGERS[who];
      await using other = await serveTest({}, 'another service');
      const program = createServer(listener);
      await new Promise<void>((resolve) => void program.listen(0, '127.0.0.1', resolve));
      const { port } = program.address() as AddressInfo;
      const strange = listener === undefined ? other.http.url : new URL(`http://127.0.0.1:${String(port)}`);
      const caller = httpCaller({ addresses: () => [strange, server.http.url], ...tools });
      for (let call = 0; call < 40; call += 1) {
        expect((await caller.call(testRoutes.book, nothing)).booking).toBeGreaterThan(0);
      }
      const alone = httpCaller({ addresses: () => [strange], ...tools });
      expect(await errorOf(alone.call(testRoutes.book, nothing))).toMatchObject({
        code: 'UNAVAILABLE',
        details: { service: 'serve' },
      });
      await Promise.all([caller.close(), alone.close()]);
      program.close();
    },
  );

  it('tells whoever calls with a key of his own why that is refused', async () => {
    const program = createServer(STRANGERS['a service that does not let us in']);
    await new Promise<void>((resolve) => void program.listen(0, '127.0.0.1', resolve));
    const { port } = program.address() as AddressInfo;
    const addresses = [new URL(`http://127.0.0.1:${String(port)}`)];
    const caller = httpCaller({ addresses: () => addresses, asUser: true, ...tools });
    const error = await errorOf(caller.call(testRoutes.book, nothing));
    expect([error.code, error.message]).toEqual(['UNAUTHENTICATED', 'authorization: no']);
    await caller.close();
    program.close();
  });

  it('is not suspected when a handler finds nothing', async () => {
    const caller = httpCaller({ addresses: () => [server.http.url], ...tools });
    server.test.tries.clear();
    const error = await errorOf(caller.call(testRoutes.fail, failing('absent')));
    expect(error.code).toBe('MODEL_NOT_FOUND');
    expect(server.test.tries.get('absent')).toBe(1);
    await caller.close();
  });
});

describe('a call that names an instance', () => {
  it('goes there and nowhere else, once, and fails when the instance is not known', async () => {
    const elsewhere = [new URL('http://127.0.0.1:1')];
    const known = new Map([
      ['one', server.http.url],
      ['gone', new URL('http://127.0.0.1:1')],
    ]);
    const caller = httpCaller({ addresses: () => elsewhere, addressOf: (_, id) => known.get(id), ...tools });
    const failure = async (instance: string): Promise<string> =>
      (await errorOf(caller.call(testRoutes.fail, failing('conflict'), { instance }))).code;
    expect([await failure('one'), await failure('gone'), await failure('other')]).toEqual([
      'CONFLICT',
      'UNAVAILABLE',
      'UNAVAILABLE',
    ]);
    await caller.close();
  });
});

describe('an instance that hangs', () => {
  it('is left alone after calls have timed out there, and the others answer', async () => {
    const hung = createServer(() => undefined);
    let asked = 0;
    hung.on('request', () => (asked += 1));
    await new Promise<void>((resolve) => void hung.listen(0, '127.0.0.1', resolve));
    const { port } = hung.address() as AddressInfo;
    const both = [server.http.url, new URL(`http://127.0.0.1:${String(port)}`)];
    const caller = httpCaller({ addresses: () => both, ...tools });
    const codes: string[] = [];
    for (let call = 0; call < 60; call += 1) {
      const failed = await errorOf(caller.call(testRoutes.fail, failing('conflict'), { timeoutMs: 300 }));
      codes.push(failed.code);
    }
    expect(asked).toBe(codes.filter((code) => code === 'DEADLINE_EXCEEDED').length);
    expect(asked).toBeLessThan(15);
    await caller.close();
    hung.closeAllConnections();
    hung.close();
  });
});

describe('combinedCaller', () => {
  it('prefers the service of this process', async () => {
    const here = testService();
    const services = new Map<ServiceName, RunningService>([['serve', here.service]]);
    const addresses = (): readonly URL[] => [server.http.url];
    const both = combinedCaller(services, new Set<ServiceName>(['serve']), { addresses, ...tools });
    await errorOf(both.call(testRoutes.failOnce, failing('conflict')));
    expect(here.tries.get('conflict')).toBe(1);
    const remoteOnly = combinedCaller(services, new Set<ServiceName>(), { addresses, ...tools });
    server.test.tries.clear();
    await errorOf(remoteOnly.call(testRoutes.failOnce, failing('conflict')));
    expect(server.test.tries.get('conflict')).toBe(1);
    await Promise.all([both.close(), remoteOnly.close()]);
  });
});
