import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { HttpClient, isRepeatable, ProblemError, UnreachableError } from './http-client.ts';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

type Answer = (request: IncomingMessage, body: string, response: ServerResponse) => void;

async function listen(answer: Answer): Promise<HttpClient> {
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => answer(request, body, response));
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return new HttpClient({ url: `http://127.0.0.1:${String(port)}`, up: () => Promise.resolve() });
}

function problem(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'content-type': 'application/problem+json' });
  response.end(JSON.stringify({ code, detail: 'because' }));
}

describe('HttpClient', () => {
  it('sends JSON and reads the answer', async () => {
    using client = await listen((request, body, response) => {
      response.end(
        JSON.stringify({
          method: request.method,
          url: request.url,
          body,
          type: request.headers['content-type'],
        }),
      );
    });
    const answer = await client.once({ method: 'POST', path: '/a?b=1', body: '{}' });
    expect(answer).toEqual({ method: 'POST', url: '/a?b=1', body: '{}', type: 'application/json' });
  });

  it('reads problem documents and knows which requests may be repeated', async () => {
    using client = await listen((request, _, response) => {
      problem(response, Number(request.url?.slice(1)), 'SOME_CODE');
    });
    const error = await client.once({ method: 'GET', path: '/409' }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ProblemError);
    expect(error).toMatchObject({
      status: 409,
      code: 'SOME_CODE',
      message: 'GET /409: 409 SOME_CODE: because',
    });
    expect(isRepeatable(error)).toBe(false);
    const busy = await client.once({ method: 'GET', path: '/503' }).catch((reason: unknown) => reason);
    expect(isRepeatable(busy)).toBe(true);
  });

  it('repeats while the server is busy or cuts the connection', async () => {
    let calls = 0;
    using client = await listen((request, _, response) => {
      calls += 1;
      if (calls === 1) problem(response, 503, 'UNAVAILABLE');
      else if (calls === 2) request.socket.destroy();
      else response.end('{"done":true}');
    });
    expect(await client.repeat({ method: 'POST', path: '/', body: 'x' })).toEqual({ done: true });
    expect(calls).toBe(3);
  });

  it('does not wait for ever', async () => {
    using client = await listen(() => undefined);
    const error = await client
      .once({ method: 'GET', path: '/', timeoutMs: 30 })
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(UnreachableError);
    expect((error as Error).message).toContain('no answer within 30 ms');
  });
});
