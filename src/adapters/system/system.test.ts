import { MessageChannel } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { systemClock, systemRandom } from './index.ts';

describe('systemRandom', () => {
  it('makes ids of version 7 that sort in the order they were made', () => {
    const random = systemRandom();
    const ids = Array.from({ length: 20_000 }, () => random.id());
    expect([...ids].sort()).toEqual(ids);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids.slice(0, 100)) {
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    }
  });

  it('puts the time into the first 48 bits', () => {
    const before = Date.now();
    const ms = Number.parseInt(systemRandom().id().replaceAll('-', '').slice(0, 12), 16);
    expect(ms).toBeGreaterThanOrEqual(before);
    expect(ms).toBeLessThanOrEqual(Date.now());
  });
});

describe('systemClock', () => {
  it('sleeps at least as long as asked', async () => {
    const clock = systemClock();
    const start = clock.monotonic();
    await clock.sleep(12.5);
    expect(clock.monotonic() - start).toBeGreaterThanOrEqual(12.5);
  });

  it('gives other work its turn when it sleeps for no time at all', async () => {
    const clock = systemClock();
    // Something that waits for the event loop, as a request does that has come while somebody works in turns.
    const { port1, port2 } = new MessageChannel();
    let heard = false;
    port2.once('message', () => (heard = true));
    port1.postMessage('here');
    for (let turn = 0; turn < 10_000 && !heard; turn += 1) await clock.sleep(0);
    expect(heard).toBe(true);
    port1.close();
    // Nobody waits for a turn who was told to stop.
    let passed = false;
    setImmediate(() => (passed = true));
    await clock.sleep(0, AbortSignal.abort());
    expect(passed).toBe(false);
  });

  it('ends a sleep at once when the signal is or gets aborted', async () => {
    const clock = systemClock();
    await clock.sleep(60_000, AbortSignal.abort());
    const controller = new AbortController();
    const sleeping = clock.sleep(60_000, controller.signal);
    controller.abort();
    await sleeping;
  });
});
