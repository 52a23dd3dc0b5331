import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Instances } from '../../src/runtime/index.ts';
import { until } from './expectations.ts';

export interface InstancesOpening {
  readonly instances: Instances;
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
        { service: 'train', id: 'p1', url: 'http://127.0.0.1:1/' },
      ] as const;
      await one.instances.announce(own, 60_000);
      await one.instances.announce([{ service: 'serve', id: 'p2', url: 'http://127.0.0.1:2/' }], 60_000);
      expect(await two.instances.live()).toEqual([
        own[0],
        { service: 'serve', id: 'p2', url: 'http://127.0.0.1:2/' },
        own[1],
      ]);
      await two.instances.withdraw('p1');
      expect((await one.instances.live()).map(({ id }) => id)).toEqual(['p2']);
      await two.instances.withdraw('p2');
      await two.instances.withdraw('p2');
      expect(await one.instances.live()).toEqual([]);
    });

    it('forgets who fell silent, and takes a new address from who comes back', async () => {
      await one.instances.announce([{ service: 'serve', id: 'p3', url: 'http://127.0.0.1:3/' }], 300);
      expect(await two.instances.live()).toHaveLength(1);
      await until(async () => (await two.instances.live()).length === 0);
      await one.instances.announce([{ service: 'serve', id: 'p3', url: 'http://127.0.0.1:4/' }], 60_000);
      expect((await two.instances.live())[0]?.url).toBe('http://127.0.0.1:4/');
      await one.instances.withdraw('p3');
    });
  });
}
