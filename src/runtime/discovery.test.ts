import { describe, expect, it } from 'vitest';
import { PlatformError } from '../contract/index.ts';
import { Discovery, DISCOVERY } from './discovery.ts';
import { noFailPoints } from './fail-points.ts';
import type { Clock, Instance, Instances, Signals } from './ports/index.ts';

/** A clock that stands still until it is moved, and then wakes who slept long enough. */
class ManualClock implements Clock {
  #ms = 0;
  readonly #sleepers = new Set<{ readonly until: number; readonly wake: () => void }>();

  now(): number {
    return this.#ms;
  }

  monotonic(): number {
    return this.#ms;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const sleeper = { until: this.#ms + ms, wake: resolve };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  /** Lets `ms` pass in steps, with time for whoever wakes to do its work. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 100) {
      this.#ms += 100;
      for (const sleeper of this.#sleepers) {
        if (sleeper.until > this.#ms) continue;
        this.#sleepers.delete(sleeper);
        sleeper.wake();
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

const ingest: Instance = { service: 'ingest', id: 'a', url: 'http://127.0.0.1:1/' };
const features: Instance = { service: 'features', id: 'b', url: 'http://127.0.0.1:2/' };
const signals: Signals = { notify: () => Promise.resolve(), subscribe: () => () => undefined };
const logger = { info: () => undefined, warn: () => undefined, error: () => undefined };

function store(): Instances & { rows: readonly Instance[]; away: boolean } {
  return {
    rows: [],
    away: false,
    announce: () => Promise.resolve(),
    withdraw: () => Promise.resolve(),
    need: () => Promise.resolve(),
    needs: () => Promise.resolve([]),
    introduce: () => Promise.resolve(),
    find: () => Promise.resolve([]),
    live() {
      return this.away
        ? Promise.reject(new PlatformError('UNAVAILABLE', 'away'))
        : Promise.resolve(this.rows);
    },
  };
}

describe('discovery', () => {
  it('gives everybody time to come back after the store was away', async () => {
    const clock = new ManualClock();
    const instances = store();
    instances.rows = [ingest, features];
    const discovery = new Discovery({ instances, signals, clock, logger, failPoints: noFailPoints });
    await discovery.start();
    const known = (): number => discovery.addresses('ingest').length + discovery.addresses('features').length;
    expect(known()).toBe(2);
    instances.away = true;
    await clock.pass(30_000);
    expect(known()).toBe(2);
    // It is back; all leases ran out, and only one instance has extended its own yet.
    instances.rows = [ingest];
    instances.away = false;
    await clock.pass(2_000);
    expect(known()).toBe(2);
    await clock.pass(DISCOVERY.leaseMs + 2_000);
    expect(discovery.addresses('features')).toEqual([]);
    expect(discovery.addresses('ingest').map(({ href }) => href)).toEqual([ingest.url]);
    await discovery.stop();
  });

  it('lets an instance go at once while the store answers', async () => {
    const clock = new ManualClock();
    const instances = store();
    instances.rows = [ingest, features];
    const discovery = new Discovery({ instances, signals, clock, logger, failPoints: noFailPoints });
    await discovery.start();
    await clock.pass(10_000);
    instances.rows = [ingest];
    await clock.pass(DISCOVERY.refreshMs + 100);
    expect(discovery.addresses('features')).toEqual([]);
    await discovery.stop();
  });
});
