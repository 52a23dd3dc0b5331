import { describe, expect, it } from 'vitest';
import { PlatformError } from '../../contract/index.ts';
import { Arrivals, ARRIVAL_LIMITS } from './arrivals.ts';
import { testClock } from './test-service.ts';

/** A list of addresses that is empty until somebody arrives, and a clock that tests move. */
function setUp(need: () => Promise<void>) {
  const listeners = new Set<() => void>();
  const list: URL[] = [];
  const state = { said: 0, skewMs: 0 };
  const arrivals = new Arrivals({
    addresses: () => list,
    clock: { ...testClock, monotonic: () => testClock.monotonic() + state.skewMs },
    need: () => {
      state.said += 1;
      return need();
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  });
  const arrive = (): void => {
    list.push(new URL('http://127.0.0.1:1'));
    for (const listener of listeners) listener();
  };
  const leave = (): void => {
    list.length = 0;
    for (const listener of listeners) listener();
  };
  return { arrivals, arrive, leave, state, listeners };
}

describe('calls of a service without an instance', () => {
  it('say once for all of them that it is needed, and go on when one is there', async () => {
    const { arrivals, arrive, state, listeners } = setUp(async () => undefined);
    const calls = Array.from({ length: 50 }, () => arrivals.wait('train', 30_000));
    await testClock.sleep(20);
    arrive();
    expect(new Set(await Promise.all(calls))).toEqual(new Set([true]));
    expect(state.said).toBe(1);
    arrivals.close();
    expect(listeners.size).toBe(0);
  });

  it('say it again while they wait, and give up at their deadline', async () => {
    const { arrivals, state } = setUp(async () => undefined);
    expect(await arrivals.wait('train', ARRIVAL_LIMITS.needMs * 1.5)).toBe(false);
    expect(state.said).toBe(2);
  });

  it('go on waiting when the store goes away after it was told', async () => {
    let told = 0;
    const { arrivals, arrive, state } = setUp(async () => {
      told += 1;
      if (told > 1) throw new PlatformError('UNAVAILABLE', 'away');
    });
    const call = arrivals.wait('train', 600_000);
    await expect.poll(() => state.said, { timeout: 20_000 }).toBe(2);
    arrive();
    expect(await call).toBe(true);
  });

  it('fail at once when it cannot be said, and all that come soon after', async () => {
    const { arrivals, state } = setUp(() => Promise.reject(new PlatformError('UNAVAILABLE', 'away')));
    for (let call = 0; call < 5; call += 1) expect(await arrivals.wait('train', 600_000)).toBe(false);
    expect(state.said).toBe(1);
  });

  it('do not wait for a store that does not answer either, nor for a caller that has gone', async () => {
    const silent = setUp(() => new Promise<void>(() => undefined));
    expect(await silent.arrivals.wait('train', 100)).toBe(false);
    const gone = new AbortController();
    const waiting = setUp(async () => undefined).arrivals.wait('train', 600_000, gone.signal);
    gone.abort();
    expect(await waiting).toBe(false);
  });

  it('fail at once when none came for longer than a start takes, still say that it is needed, and wait again once one was there', async () => {
    const { arrivals, arrive, leave, state } = setUp(async () => undefined);
    expect(await arrivals.wait('train', 10)).toBe(false);
    for (let minute = 0; minute < 2; minute += 1) {
      for (const skewMs of [20_000, 40_000, 60_000]) {
        state.skewMs = minute * 60_000 + skewMs;
        expect(await arrivals.wait('train', 600_000)).toBe(false);
      }
    }
    expect(state.said).toBe(7);
    arrive();
    leave();
    const waiting = arrivals.wait('train', 600_000);
    await testClock.sleep(20);
    arrive();
    expect(await waiting).toBe(true);
  });

  it('wait again when nobody needed it for a while: nobody will have started it', async () => {
    const { arrivals, arrive, state } = setUp(async () => undefined);
    expect(await arrivals.wait('train', 10)).toBe(false);
    state.skewMs = ARRIVAL_LIMITS.forgetMs + 1_000;
    const waiting = arrivals.wait('train', 600_000);
    await testClock.sleep(20);
    arrive();
    expect(await waiting).toBe(true);
  });

  it('are bounded in number', async () => {
    const { arrivals, arrive } = setUp(async () => undefined);
    const calls = Array.from({ length: ARRIVAL_LIMITS.waitersMax }, () => arrivals.wait('train', 600_000));
    expect(await arrivals.wait('train', 600_000)).toBe(false);
    arrive();
    expect(new Set(await Promise.all(calls))).toEqual(new Set([true]));
  });
});
