import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Instances,
  INSTANCES_SIGNAL,
  NEED_MS,
  NEEDS_SIGNAL,
  type Signals,
} from '../../src/runtime/index.ts';
import { until } from './expectations.ts';

export interface InstancesOpening {
  readonly instances: Instances;
  readonly signals: Signals;
  close(): Promise<void>;
}

/** What every adapter of the port Instances must do. */
export function instancesConformance(name: string, open: () => Promise<InstancesOpening>): void {
  describe(`${name}: Instances`, () => {
    let one: InstancesOpening;
    let two: InstancesOpening;
    beforeAll(async () => {
      one = await open();
      two = await open();
    });
    afterAll(async () => {
      await Promise.all([one.close(), two.close()]);
    });

    it('shows what others announced until it is withdrawn', async () => {
      const own = [
        { service: 'serve', id: 'p1', url: 'http://127.0.0.1:1/' },
        { service: 'train', id: 'p1', url: 'http://127.0.0.1:1/', build: 'b1', key: 'k1' },
      ] as const;
      await one.instances.announce(own, 60_000);
      await one.instances.announce([{ service: 'serve', id: 'p2', url: 'http://127.0.0.1:2/' }], 60_000);
      expect(await two.instances.live()).toEqual([
        { ...own[0], ready: true },
        { service: 'serve', id: 'p2', url: 'http://127.0.0.1:2/', ready: true },
        { ...own[1], ready: true },
      ]);
      await two.instances.withdraw('p1');
      expect((await one.instances.live()).map(({ id }) => id)).toEqual(['p2']);
      await two.instances.withdraw('p2');
      await two.instances.withdraw('p2');
      expect(await one.instances.live()).toEqual([]);
    });

    it('knows keys before the first lease and for a while after the last', async () => {
      const own = { service: 'serve', id: 'p4', url: '', key: 'public' } as const;
      await one.instances.introduce([own]);
      expect(await two.instances.live()).toEqual([]);
      expect(await two.instances.find('p4')).toEqual([{ ...own, ready: true }]);
      const announced = { ...own, url: 'http://127.0.0.1:5/', ready: true };
      await one.instances.announce([announced], 60_000);
      await one.instances.introduce([own]);
      expect(await two.instances.live()).toEqual([announced]);
      await one.instances.withdraw('p4');
      expect(await two.instances.live()).toEqual([]);
      expect(await two.instances.find('p4')).toEqual([announced]);
      expect(await two.instances.find('p5')).toEqual([]);
    });

    it('forgets who fell silent, and takes a new address from who comes back', async () => {
      await one.instances.announce([{ service: 'serve', id: 'p3', url: 'http://127.0.0.1:3/' }], 300);
      expect(await two.instances.live()).toHaveLength(1);
      await until(async () => (await two.instances.live()).length === 0);
      await one.instances.announce([{ service: 'serve', id: 'p3', url: 'http://127.0.0.1:4/' }], 60_000);
      expect((await two.instances.live())[0]?.url).toBe('http://127.0.0.1:4/');
      await one.instances.withdraw('p3');
    });

    it('says who can do its job, and signals when that changes, not at every renewal', async () => {
      const own = { service: 'serve', id: 'p4', url: 'http://127.0.0.1:4/' } as const;
      let woken = 0;
      let heard = 0;
      let [fences, sent] = [0, 0];
      const end = two.signals.subscribe(INSTANCES_SIGNAL, () => (woken += 1));
      const endFences = two.signals.subscribe('fence', () => (fences += 1));
      const endHeard = two.signals.subscribe('heard', () => (heard += 1));
      // Signals keep their order, so that this one has all before it behind it.
      const fence = async (): Promise<void> => {
        sent += 1;
        await one.signals.notify('fence');
        await until(() => fences >= sent);
      };
      try {
        await one.instances.announce([{ ...own, ready: false }], 60_000);
        expect(await two.instances.live()).toEqual([{ ...own, ready: false }]);
        // A subscription begins a little later.
        await until(async () => {
          await one.signals.notify('heard');
          return heard > 0;
        });
        [fences, sent] = [0, 0];
        await fence();
        const before = woken;
        await one.instances.announce([{ ...own, ready: false }], 60_000);
        await fence();
        expect(woken).toBe(before);
        await one.instances.announce([{ ...own, ready: true }], 60_000);
        await until(() => woken > before);
        expect(await two.instances.live()).toEqual([{ ...own, ready: true }]);
      } finally {
        end();
        endFences();
        endHeard();
        await one.instances.withdraw('p4');
      }
    });

    it('knows which services are needed, since when, and signals it', async () => {
      expect(await one.instances.needs()).toEqual([]);
      let woken = 0;
      const end = two.signals.subscribe(NEEDS_SIGNAL, () => (woken += 1));
      try {
        await until(async () => {
          await one.instances.need('train');
          return woken > 0;
        });
        const [first] = await two.instances.needs();
        expect(first).toMatchObject({ service: 'train' });
        await Promise.all([one.instances.need('train'), two.instances.need('train')]);
        await one.instances.need('serve');
        const later = await two.instances.needs();
        expect(later.map(({ service }) => service)).toEqual(['serve', 'train']);
        expect(later[1]?.sinceMs).toBe(first?.sinceMs);
        for (const { agoMs } of later) {
          expect(agoMs).toBeGreaterThanOrEqual(0);
          expect(agoMs).toBeLessThan(NEED_MS);
        }
      } finally {
        end();
      }
    });
  });
}
