import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, vi } from 'vitest';
import type { FinishedSpan } from '../../src/runtime/index.ts';
import { product } from '../support/product.ts';
import { ROOT } from '../tidy/tree.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';

/** Another verb; its standard output. */
async function tandem(...parameters: readonly string[]): Promise<string> {
  const command = ['--conditions=tandem-source', join(ROOT, 'src/cli/main.ts'), ...parameters];
  return (await promisify(execFile)(process.execPath, command, { cwd: ROOT })).stdout;
}

describe('tracing', () => {
  it('follows a record from the request through the log into the features, and exports it', async () => {
    const names = new Set<string>();
    const collector = createServer((request, answer) => {
      let body = '';
      request.on('data', (chunk) => (body += String(chunk)));
      request.on('end', () => {
        for (const [, name = ''] of body.matchAll(/"name":"([^"]+)"/g)) names.add(name);
        answer.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      });
    });
    await new Promise<void>((resolve) => void collector.listen(0, '127.0.0.1', resolve));
    const { port } = collector.address() as AddressInfo;
    vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', `http://127.0.0.1:${String(port)}`);
    vi.stubEnv('OTEL_TRACES_SAMPLER_ARG', '0');
    try {
      await using running = await product('examples/fraud/app.ts');
      await running.start();
      const record = { transactionId: 'a', at: Date.now(), customerId: 'c', terminalId: 't', amount: 1 };
      const answer = await fetch(`${running.url}/v1/sources/transactions/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', traceparent: `00-${TRACE}-00f067aa0ba902b7-01` },
        body: JSON.stringify(record),
      });
      expect(answer.status).toBe(200);
      expect(answer.headers.get('x-trace-id')).toBe(TRACE);
      const spans = async (): Promise<FinishedSpan[]> => {
        const json = await tandem('trace', TRACE, '--url', running.url, '--json');
        return (JSON.parse(json) as { readonly spans: FinishedSpan[] }).spans;
      };
      await expect
        .poll(async () => (await spans()).map(({ service, name }) => `${service} ${name}`), {
          timeout: 30_000,
        })
        .toContain('features apply batch');
      const [request, append, batch] = await spans();
      expect(request).toMatchObject({
        name: 'POST /v1/sources/{source}/events',
        service: 'ingest',
        kind: 'server',
      });
      expect(append).toMatchObject({ kind: 'producer', parentId: request?.spanId });
      expect(batch).toMatchObject({ links: [{ traceId: TRACE, spanId: append?.spanId }] });
      const tree = await tandem('trace', TRACE, '--url', running.url);
      expect(tree).toMatch(/POST \/v1\/sources\/\{source\}\/events +ingest/);
      expect(tree).toMatch(/└─ send .+ ingest/);
      expect(tree).toMatch(/~ apply batch +features/);
      expect(await tandem('trace', '--route', '/v1/sources/{source}/events', '--url', running.url)).toContain(
        TRACE,
      );
      await expect
        .poll(() => [...names], { timeout: 30_000 })
        .toEqual(expect.arrayContaining(['POST /v1/sources/{source}/events', 'apply batch']));
    } finally {
      vi.unstubAllEnvs();
      collector.close();
    }
  }, 180_000);
});
