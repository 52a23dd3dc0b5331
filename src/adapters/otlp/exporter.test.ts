import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { FinishedSpan } from '../../runtime/index.ts';
import { otlpExporter } from './index.ts';

/** The parts of the OTLP message that are looked at. */
interface Message {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly { readonly key: string; readonly value: object }[] };
    readonly scopeSpans: readonly { readonly spans: readonly Record<string, unknown>[] }[];
  }[];
}

interface Collector {
  readonly url: string;
  readonly messages: Message[];
  readonly requests: IncomingMessage[];
  status: number;
}

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  vi.unstubAllEnvs();
});

/** A collector as far as an exporter sees it: an HTTP server that takes OTLP in JSON. */
async function collector(): Promise<Collector> {
  const seen: Collector = { url: '', messages: [], requests: [], status: 200 };
  const server = createServer((request, answer) => {
    let body = '';
    request.on('data', (chunk) => (body += String(chunk)));
    request.on('end', () => {
      seen.requests.push(request);
      if (seen.status === 200) seen.messages.push(JSON.parse(body) as Message);
      answer.writeHead(seen.status, { 'content-type': 'application/json' }).end('{}');
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return Object.assign(seen, { url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}` });
}

const span: FinishedSpan = {
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  spanId: '00f067aa0ba902b7',
  parentId: '00f067aa0ba902b8',
  name: 'POST /v1/decisions/{decision}',
  kind: 'server',
  service: 'serve',
  startMs: 1_700_000_000_123.5,
  durationMs: 2.25,
  status: 'error',
  error: 'UNAVAILABLE',
  attributes: { 'http.response.status_code': 503, 'http.route': '/v1/decisions/{decision}', ok: false },
  links: [{ traceId: '4bf92f3577b34da6a3ce929d0e0e4737', spanId: '00f067aa0ba902b9' }],
};
const options = { serviceName: 'tandem-serve', version: '1.2.3', instance: 'host-1' };

describe('OTLP', () => {
  it('brings spans to a collector as they are', async () => {
    vi.stubEnv('OTEL_EXPORTER_OTLP_HEADERS', 'x-team=fraud');
    const at = await collector();
    const exporter = otlpExporter({ ...options, endpoint: at.url });
    await exporter.export([span, { ...span, parentId: null, status: 'unset', links: [], kind: 'internal' }]);
    await exporter.close();
    expect(at.requests[0]).toMatchObject({
      method: 'POST',
      url: '/v1/traces',
      headers: { 'x-team': 'fraud' },
    });
    const [resourceSpans] = at.messages[0]?.resourceSpans ?? [];
    expect(resourceSpans?.resource.attributes).toEqual(
      expect.arrayContaining([
        { key: 'service.name', value: { stringValue: 'tandem-serve' } },
        { key: 'service.version', value: { stringValue: '1.2.3' } },
        { key: 'service.instance.id', value: { stringValue: 'host-1' } },
      ]),
    );
    const [first, second] = resourceSpans?.scopeSpans[0]?.spans ?? [];
    expect(first).toMatchObject({
      traceId: span.traceId,
      spanId: span.spanId,
      parentSpanId: span.parentId,
      name: span.name,
      kind: 2,
      startTimeUnixNano: '1700000000123500000',
      endTimeUnixNano: '1700000000125750000',
      status: { code: 2 },
      links: [{ traceId: span.links[0]?.traceId, spanId: span.links[0]?.spanId }],
      attributes: expect.arrayContaining([
        { key: 'http.response.status_code', value: { intValue: 503 } },
        { key: 'ok', value: { boolValue: false } },
        { key: 'tandem.service', value: { stringValue: 'serve' } },
      ]),
    });
    expect(second).toMatchObject({ kind: 1, status: { code: 0 } });
    expect(second?.['parentSpanId']).toBeUndefined();
  });

  it('says when a collector refuses or is away', async () => {
    const at = await collector();
    at.status = 400;
    const refused = otlpExporter({ ...options, endpoint: `${at.url}/` });
    await expect(refused.export([span])).rejects.toThrow();
    const away = otlpExporter({ ...options, endpoint: 'http://127.0.0.1:1' });
    await expect(away.export([span])).rejects.toThrow();
    await Promise.all([refused.close(), away.close()]);
  });
});
