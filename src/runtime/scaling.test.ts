import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SCALING_SIGNALS } from '../contract/index.ts';
import { SERVICE_NAMES } from '../contract/route.ts';
import { createMetrics, type MetricsRegistry } from './metrics.ts';
import type { Clock } from './ports/index.ts';
import { RecentLevel, RecentSamples } from './recent.ts';
import { during, metered, targetsOf } from './scaling.ts';
import type { CallContext, HandlerEntry } from './service.ts';

let nowMs: number;
const clock: Clock = {
  now: () => nowMs,
  monotonic: () => nowMs,
  sleep: () => Promise.resolve(),
};

beforeEach(() => {
  nowMs = 1_000_000.3;
});

describe('RecentLevel', () => {
  it('is the level when that stays', () => {
    const level = new RecentLevel(clock);
    level.add(3);
    nowMs += 60_000;
    expect(level.average()).toBeCloseTo(3, 9);
  });

  it('sees a burst between two looks, by how long it lasted, and forgets it', () => {
    const level = new RecentLevel(clock);
    nowMs += 5_000;
    level.add(100);
    nowMs += 100;
    level.add(-100);
    nowMs += 400;
    // 100 requests for 100 ms, spread over 0.875 to 1 s.
    expect(level.average()).toBeGreaterThanOrEqual(10);
    expect(level.average()).toBeLessThan(11.5);
    nowMs += 1_000;
    expect(level.average()).toBe(0);
  });

  it('is the average over time of whatever it was', () => {
    const level = new RecentLevel(clock);
    for (let turn = 0; turn < 400; turn += 1) {
      level.add(turn % 2 === 0 ? 4 : -4);
      nowMs += 10;
    }
    expect(level.average()).toBeGreaterThan(1.9);
    expect(level.average()).toBeLessThan(2.1);
  });
});

describe('RecentSamples', () => {
  it('is the average of the last second', () => {
    const samples = new RecentSamples(clock);
    expect(samples.average()).toBe(0);
    samples.add(10);
    nowMs += 500;
    samples.add(20);
    expect(samples.average()).toBe(15);
    nowMs += 650;
    expect(samples.average()).toBe(20);
    nowMs += 500;
    expect(samples.average()).toBe(0);
  });
});

describe('metered', () => {
  let metrics: MetricsRegistry;
  beforeEach(() => {
    metrics = createMetrics();
  });
  afterEach(() => metrics.close());
  const line = async (name: string, signal: string): Promise<number | undefined> => {
    const text = await metrics.text();
    const found = text.split('\n').find((one) => one.startsWith(`${name}{`) && one.includes(`"${signal}"`));
    return found === undefined ? undefined : Number(found.split(' ')[1]);
  };
  const context: CallContext = {
    requestId: '1',
    principal: { subject: 'test', roles: ['service'] },
    deadlineMs: Infinity,
    signal: new AbortController().signal,
  };

  it('counts requests while they are answered, whether they fail or not, and says the other signals', async () => {
    const answer = Promise.withResolvers<unknown>();
    const entry = { route: {}, handle: () => answer.promise } as unknown as HandlerEntry;
    const service = metered(
      'serve',
      {
        handlers: [entry],
        ready: () => Promise.resolve({ ready: true }),
        scalingSignals: () => ({ queue_wait_milliseconds: 12 }),
        stop: () => Promise.resolve(),
      },
      { clock, metrics, targets: { requestsInFlight: 5 } },
    );
    const calls = [1, 2].map(async () => service.handlers[0]?.handle({}, context).catch(() => 'failed'));
    nowMs += 10_000;
    expect(await line('scaling_signal', 'requests_in_flight')).toBeCloseTo(2, 9);
    expect(await line('scaling_signal', 'queue_wait_milliseconds')).toBe(12);
    expect(await line('scaling_target', 'requests_in_flight')).toBe(5);
    expect(await line('scaling_target', 'queue_wait_milliseconds')).toBe(20);
    answer.reject(new Error('on purpose'));
    expect(await Promise.all(calls)).toEqual(['failed', 'failed']);
    nowMs += 10_000;
    expect(await line('scaling_signal', 'requests_in_flight')).toBe(0);
  });

  it('counts what a gateway passes on', async () => {
    const passing = new RecentLevel(clock);
    const idle = {
      handlers: [],
      ready: () => Promise.resolve({ ready: true }),
      stop: () => Promise.resolve(),
    };
    metered('gateway', { ...idle, forwards: [] }, { clock, metrics, passing });
    const answer = Promise.withResolvers<void>();
    const passed = [1, 2, 3].map(() => during(passing, () => answer.promise));
    nowMs += 10_000;
    expect(await line('scaling_signal', 'requests_in_flight')).toBeCloseTo(3, 9);
    answer.resolve();
    await Promise.all(passed);
    nowMs += 10_000;
    expect(await line('scaling_signal', 'requests_in_flight')).toBe(0);
  });

  it('tells services of one process apart', async () => {
    const idle = {
      handlers: [],
      ready: () => Promise.resolve({ ready: true }),
      stop: () => Promise.resolve(),
    };
    metered('serve', idle, { clock, metrics });
    metered('ingest', idle, { clock, metrics });
    const text = await metrics.text();
    expect(text).toContain('scaling_signal{service="serve",signal="requests_in_flight"} 0');
    expect(text).toContain('scaling_signal{service="ingest",signal="requests_in_flight"} 0');
  });
});

describe('the table of signals', () => {
  it('has at least one signal for each service, with units in the names and targets above zero', () => {
    for (const service of SERVICE_NAMES) {
      expect(SCALING_SIGNALS[service].length).toBeGreaterThan(0);
      for (const { name, target } of SCALING_SIGNALS[service]) {
        expect(target).toBeGreaterThan(0);
        expect(targetsOf(service).get(name)).toBe(target);
      }
    }
  });
});
