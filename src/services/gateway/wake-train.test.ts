import { afterEach, describe, expect, it, vi } from 'vitest';
import { PlatformError, type Schedule, sourceTopic } from '../../contract/index.ts';
import { defineApp, defineModel, every, type RetrainRule } from '../../define/index.ts';
import type { Clock, ServiceHost } from '../../runtime/index.ts';
import { app as shop } from '../train/test-host.ts';
import type { GatewayOptions } from './options.ts';
import { TrainWaker } from './wake-train.ts';

const START = Date.parse('2026-11-28T00:00:00Z');
const HOUR_MS = 3_600_000;
/** Looks after which a call that is to come has come. */
const LOOKS = 8;

function appWith(...retrain: RetrainRule[]): ServiceHost['app'] {
  const linear = shop.models.get('linear');
  if (linear === undefined) throw new Error('the shop has other models');
  const { vector, label, trainer, split } = linear;
  return defineApp('scheduled', {
    decisions: {},
    models: [defineModel('linear', { vector, label, trainer, split, retrain })],
  });
}

/** What the gateway sees: a train that says when it is due, and a log. */
class World {
  nowMs = START;
  sleeps = 0;
  calls = 0;
  outcomes = 0;
  counted = 0;
  wake: () => void = () => undefined;
  away = false;
  readonly warnings: string[] = [];
  schedule: Schedule = {
    model: 'linear',
    pausedAt: null,
    notBefore: null,
    lastRun: null,
    rules: [
      {
        rule: 'every 1h',
        reason: 'scheduled',
        lastDueAt: START,
        nextDueAt: START + HOUR_MS,
        isDue: false,
        labels: null,
      },
    ],
  };
  readonly #clock: Clock = {
    now: () => this.nowMs,
    monotonic: () => this.nowMs,
    sleep: async (ms, signal) => {
      if (signal?.aborted === true) return;
      await new Promise((resolve) => setTimeout(resolve, 1));
      this.nowMs += ms;
      this.sleeps += 1;
    },
  };

  host(app: ServiceHost['app']): ServiceHost<GatewayOptions> {
    const host = {
      app,
      clock: this.#clock,
      signals: {
        subscribe: (_channel: string, wake: () => void) => {
          this.wake = wake;
          return () => undefined;
        },
      },
      log: {
        ranges: (topic: string) => {
          this.counted += 1;
          return topic === sourceTopic('reports') && this.outcomes > 0
            ? Promise.resolve([{ first: 0, next: this.outcomes }])
            : Promise.reject(new PlatformError('TOPIC_NOT_FOUND', topic));
        },
      },
      call: () => {
        this.calls += 1;
        if (this.away) return Promise.reject(new PlatformError('UNAVAILABLE', 'no train'));
        return Promise.resolve({ schedules: [this.schedule] });
      },
      logger: { info: () => undefined, warn: (text: string) => void this.warnings.push(text) },
    };
    return host as unknown as ServiceHost<GatewayOptions>;
  }

  async look(times = LOOKS): Promise<void> {
    const until = this.sleeps + times;
    await vi.waitUntil(() => this.sleeps >= until, { timeout: 30_000, interval: 1 });
  }
}

let waker: TrainWaker | undefined;
afterEach(() => waker?.stop());

function start(world: World, app = appWith(every('1h'))): void {
  waker = new TrainWaker(world.host(app));
  waker.start();
}

describe('train', () => {
  it('is asked once at a start, and again when it is due or says that something changed', async () => {
    const world = new World();
    start(world);
    await world.look(60);
    expect(world.calls).toBe(1);
    world.nowMs = START + HOUR_MS;
    await world.look();
    expect(world.calls).toBeGreaterThan(1);
    const [rule] = world.schedule.rules;
    if (rule !== undefined) {
      world.schedule = { ...world.schedule, rules: [{ ...rule, nextDueAt: START + 2 * HOUR_MS }] };
    }
    await world.look();
    const { calls } = world;
    await world.look(60);
    expect(world.calls).toBe(calls);
    world.wake();
    await world.look();
    expect(world.calls).toBe(calls + 1);
  });

  it('is left asleep while its schedule is paused, but for a look once an hour', async () => {
    const world = new World();
    world.schedule = { ...world.schedule, pausedAt: START };
    start(world);
    await world.look();
    world.nowMs = START + HOUR_MS - 60_000;
    await world.look();
    expect(world.calls).toBe(1);
    world.nowMs = START + 2 * HOUR_MS;
    await world.look();
    expect(world.calls).toBe(2);
  });

  it('is asked when enough outcomes have come, which are counted once a minute', async () => {
    const world = new World();
    const labels = { source: 'reports', seen: 0, dueAt: 500 };
    world.schedule = {
      ...world.schedule,
      rules: [
        {
          rule: '500 new labels',
          reason: 'new-labels',
          lastDueAt: null,
          nextDueAt: null,
          isDue: false,
          labels,
        },
      ],
    };
    start(world);
    await world.look(300);
    expect(world.counted).toBeLessThanOrEqual(6);
    world.outcomes = 499;
    await world.look(130);
    expect(world.calls).toBe(1);
    world.outcomes = 500;
    await world.look(70);
    expect(world.calls).toBeGreaterThan(1);
  });

  it('is asked again and again while it does not come, and after a minute the log says so', async () => {
    const world = new World();
    world.away = true;
    start(world);
    await world.look(30);
    expect(world.warnings).toEqual([]);
    await world.look(60);
    expect(world.warnings).toEqual(['Train could not be woken for its schedules']);
    expect(world.calls).toBeGreaterThan(10);
    world.away = false;
    await world.look();
    const { calls } = world;
    await world.look(30);
    expect(world.calls).toBe(calls);
  });

  it('of an app without rules is never asked', async () => {
    const world = new World();
    start(world, appWith());
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(world.calls).toBe(0);
  });
});
