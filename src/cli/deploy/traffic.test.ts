import { describe, expect, it } from 'vitest';
import { createMetrics } from '../../runtime/index.ts';
import { httpObserver } from '../../runtime/http/observe.ts';
import { readTraffic, type RouteTraffic, type Traffic, trafficOf, trafficSince, worse } from './traffic.ts';

const of = (requests: number, errors: number, seconds: number): RouteTraffic => ({
  requests,
  errors,
  seconds,
});
const traffic = (routes: Record<string, RouteTraffic>): Traffic => ({
  waiting: 0,
  routes: new Map(Object.entries(routes)),
});

describe('traffic', () => {
  it('is read from what the server itself counts', async () => {
    const metrics = createMetrics();
    const observer = httpObserver(metrics);
    for (const [route, status] of [
      ['decide', 200],
      ['decide', 500],
      ['decide', 499],
      ['getRelease', 404],
      ['/readyz', 503],
      ['none', 404],
    ] as const) {
      observer.begin();
      observer.end(route, status, 0.5);
    }
    observer.begin();
    observer.snapshot();
    const before = readTraffic(await metrics.text());
    expect(before.waiting).toBe(1);
    expect(Object.fromEntries(before.routes)).toEqual({ decide: of(3, 1, 1.5), getRelease: of(1, 0, 0.5) });
    observer.end('decide', 503, 1);
    const now = readTraffic(await metrics.text());
    expect(Object.fromEntries(trafficSince(now, before).routes)).toEqual({
      decide: of(1, 1, 1),
      getRelease: of(0, 0, 0),
    });
    metrics.close();
  });

  it('of several processes is summed', () => {
    const sum = trafficOf([traffic({ a: of(1, 1, 1), b: of(2, 0, 1) }), traffic({ a: of(4, 0, 2) })]);
    expect(Object.fromEntries(sum.routes)).toEqual({ a: of(5, 1, 3), b: of(2, 0, 1) });
  });
});

describe('a new process is worse', () => {
  const good = traffic({ a: of(1_000, 0, 10) });

  it.each([
    [
      'fails now and then, as the old ones do',
      traffic({ a: of(100, 10, 1) }),
      traffic({ a: of(100, 9, 1) }),
      undefined,
    ],
    [
      'fails at times',
      traffic({ a: of(100, 5, 1) }),
      good,
      '5 of 100 answers of the new process were errors',
    ],
    ['fails a few times', traffic({ a: of(1_000, 2, 10) }), good, undefined],
    ['fails every time, with little to go by', traffic({ a: of(2, 2, 0) }), good, '2 of 2 answers'],
    ['is slower, as a cold one may be', traffic({ a: of(100, 0, 8) }), good, undefined],
    ['is slow', traffic({ a: of(100, 0, 200) }), good, 'a took 2.000 s in the mean'],
    ['is slow where nobody compares', traffic({ b: of(100, 0, 200) }), good, undefined],
    ['did nothing', traffic({}), good, undefined],
    ['fails alone', traffic({ a: of(10, 5, 0) }), traffic({}), '5 of 10 answers'],
  ])('when it %s', (_, fresh, old, expected) => {
    const found = worse(fresh, old);
    if (expected === undefined) expect(found).toBeUndefined();
    else expect(found).toContain(expected);
  });
});
