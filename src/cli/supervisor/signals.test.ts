import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../adapters/system/index.ts';
import { createMetrics, type MetricsRegistry } from '../../runtime/index.ts';
import { metered } from '../../runtime/scaling.ts';
import { askSignals, combineSignals, readSignals } from './signals.ts';

let registry: MetricsRegistry | undefined;
afterEach(() => registry?.close());

/** What processes really write. */
async function metricsText(): Promise<string> {
  registry = createMetrics();
  for (const name of ['serve', 'ingest'] as const) {
    metered(
      name,
      {
        handlers: [],
        ready: () => Promise.resolve({ ready: true }),
        scalingSignals: () => ({ queue_wait_milliseconds: 7.5 }),
        stop: () => Promise.resolve(),
      },
      { clock: systemClock(), metrics: registry, targets: { requestsInFlight: 3 } },
    );
  }
  return registry.text();
}

/** As a process is asked by the supervisor. */
async function metricsByName(): Promise<string> {
  await metricsText();
  return registry?.text(['scaling_signal', 'scaling_target', 'no_such_metric']) ?? '';
}

describe('readSignals', () => {
  it('reads what a process writes, of the service alone', async () => {
    const text = await metricsText();
    expect(Object.fromEntries(readSignals(text, 'serve'))).toEqual({
      requests_in_flight: { value: 0, target: 3 },
      queue_wait_milliseconds: { value: 7.5, target: 20 },
    });
    expect([...readSignals(text, 'ingest').keys()]).toEqual(['requests_in_flight']);
    expect(readSignals(text, 'train').size).toBe(0);
  });

  it('reads the same out of these metrics alone', async () => {
    const text = await metricsByName();
    expect(text).not.toContain('process_cpu');
    expect(Object.fromEntries(readSignals(text, 'serve'))).toEqual({
      requests_in_flight: { value: 0, target: 3 },
      queue_wait_milliseconds: { value: 7.5, target: 20 },
    });
  });

  it.each(['', 'scaling_signal', 'scaling_signal{service="serve",signal="requests_in_flight"} NaN', '{}} 1'])(
    'makes nothing of %o',
    (text) => {
      expect(readSignals(text, 'serve').size).toBe(0);
    },
  );
});

describe('askSignals', () => {
  it('knows nothing of a process that does not answer, answers with an error or refuses the key', async () => {
    const text = await metricsText();
    let status = 200;
    const paths = new Set<string | undefined>();
    const server = createServer(({ url: path }, response) => {
      paths.add(path);
      response.writeHead(status).end(text);
    });
    const refused: (string | undefined)[] = [];
    const key = {
      accepted: { key: 'a key' } as { readonly key: string } | undefined,
      refused: (given?: string) => void refused.push(given),
    };
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
    expect((await askSignals(url, 'serve', key))?.size).toBe(2);
    status = 503;
    expect(await askSignals(url, 'serve', key)).toBeUndefined();
    expect(refused).toEqual([]);
    status = 401;
    expect(await askSignals(url, 'serve', key)).toBeUndefined();
    expect(refused).toEqual(['a key']);
    expect([...paths]).toEqual(['/metrics?name[]=scaling_signal&name[]=scaling_target']);
    // It is not shown again what it refuses.
    key.accepted = undefined;
    status = 200;
    expect(await askSignals(url, 'serve', key)).toBeUndefined();
    key.accepted = { key: 'another key' };
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    expect(await askSignals(url, 'serve', key)).toBeUndefined();
  });
});

describe('combineSignals', () => {
  it('averages what processes have, and takes the most of what all of them say of the service', () => {
    const train = (open: number, calls: number) =>
      new Map([
        ['open_jobs', { value: open, target: 1 }],
        ['requests_in_flight', { value: calls, target: 32 }],
      ]);
    expect(combineSignals('train', [train(3, 4), train(2, 0)])).toEqual([
      { name: 'open_jobs', value: 3, target: 1, of: 'service' },
      { name: 'requests_in_flight', value: 2, target: 32, of: 'process' },
    ]);
    expect(combineSignals('train', [])).toEqual([]);
  });
});
