import { afterAll, describe, expect, it } from 'vitest';
import { createMetrics } from './metrics.ts';

const registry = createMetrics();
afterAll(() => registry.close());

describe('createMetrics', () => {
  it('puts the prefix before names and keeps labels', async () => {
    const metrics = registry.of('features');
    metrics.counter('records_total', 'Records', ['source']).add(2, { source: 'payments' });
    metrics.gauge('lag_records', 'Lag').set(7);
    metrics.histogram('read_seconds', 'Reads', [], [0.1, 1]).observe(0.5);
    const text = await registry.text();
    expect(text).toContain('features_records_total{source="payments"} 2');
    expect(text).toContain('features_lag_records 7');
    expect(text).toContain('features_read_seconds_bucket{le="1"} 1');
    expect(registry.mediaType).toContain('text/plain');
  });

  it('gives the same metric for the same name, and refuses another kind', async () => {
    registry.of('train').counter('runs_total', 'Runs').add();
    registry.of('train').counter('runs_total', 'Runs').add();
    expect(await registry.text()).toContain('train_runs_total 2');
    expect(() => registry.of('train').gauge('runs_total', 'Runs')).toThrow('is not a Gauge');
  });

  it('has the delay of the event loop once, without the interval of its timer', async () => {
    await new Promise((resolve) => void setTimeout(resolve, 60));
    const text = await registry.text();
    expect(text).toContain('process_event_loop_delay_seconds{quantile="0.5"}');
    expect(text).not.toContain('nodejs_eventloop_lag');
    expect(text).toContain('process_resident_memory_bytes');
  });
});
