import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Signals, Tables } from '../../src/runtime/ports/index.ts';
import { rejectionCode, until } from './expectations.ts';

export interface SignalsOpening {
  readonly signals: Signals;
  readonly tables: Tables;
  close(): Promise<void>;
}

/** What every adapter of the port Signals must do. */
export function signalsConformance(name: string, open: () => Promise<SignalsOpening>): void {
  describe(`${name}: Signals`, () => {
    let one: SignalsOpening;
    let two: SignalsOpening;
    beforeAll(async () => {
      one = await open();
      two = await open();
    });
    afterAll(async () => {
      await Promise.all([one.close(), two.close()]);
    });

    /**
     * Signals may get lost, above all while the subscription is being set up: so it is sent until it arrives.
     */
    const heard = async (count: () => number, send: () => Promise<void>): Promise<void> => {
      const before = count();
      await until(async () => {
        await send();
        return count() > before ? true : undefined;
      });
    };

    it('wakes the subscribers of a channel in every process, and only those', async () => {
      let here = 0;
      let there = 0;
      let elsewhere = 0;
      const ends = [
        one.signals.subscribe('alpha', () => (here += 1)),
        two.signals.subscribe('alpha', () => (there += 1)),
        two.signals.subscribe('beta', () => (elsewhere += 1)),
      ];
      await heard(
        () => Math.min(here, there),
        () => one.signals.notify('alpha'),
      );
      expect(elsewhere).toBe(0);
      await heard(
        () => elsewhere,
        () => one.signals.notify('beta'),
      );
      for (const end of ends) end();
    });

    it('stops waking who has ended the subscription', async () => {
      let first = 0;
      let second = 0;
      const endFirst = two.signals.subscribe('gamma', () => (first += 1));
      const endSecond = two.signals.subscribe('gamma', () => (second += 1));
      await heard(
        () => Math.min(first, second),
        () => one.signals.notify('gamma'),
      );
      endFirst();
      const before = first;
      await heard(
        () => second,
        () => one.signals.notify('gamma'),
      );
      expect(first).toBe(before);
      endSecond();
    });

    it('sends with the commit, and not when it is rolled back', async () => {
      let woken = 0;
      let marker = 0;
      const end = two.signals.subscribe('delta', () => (woken += 1));
      const endMarker = two.signals.subscribe('marker', () => (marker += 1));
      // Signals arrive in the order of their commits: after the marker, everything before it has arrived.
      const settle = (): Promise<void> =>
        heard(
          () => marker,
          () => one.signals.notify('marker'),
        );
      await heard(
        () => woken,
        () => one.tables.transaction((tx) => one.signals.notify('delta', tx)),
      );
      await settle();
      const before = woken;
      const failing = one.tables.transaction(async (tx) => {
        await one.signals.notify('delta', tx);
        throw new Error('on purpose');
      });
      await expect(failing).rejects.toThrow('on purpose');
      await settle();
      expect(woken).toBe(before);
      end();
      endMarker();
    });

    it('takes only names of channels', async () => {
      expect(await rejectionCode(one.signals.notify('Not a channel'))).toBe('BAD_REQUEST');
      expect(() => one.signals.subscribe(`a'; drop`, () => undefined)).toThrow('channel');
    });
  });
}
