import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Keys, StoredKey } from '../../src/runtime/index.ts';

export interface KeysOpening {
  readonly keys: Keys;
  close(): Promise<void>;
}

const DAY_MS = 86_400_000;

function key(id: string, rest: Partial<StoredKey> = {}): StoredKey {
  return {
    id,
    name: `name of ${id}`,
    role: 'reader',
    hash: 'a'.repeat(64),
    createdAt: 1_000 * DAY_MS,
    createdBy: 'key:root',
    expiresAt: null,
    revokedAt: null,
    ...rest,
  };
}

/** What every adapter of the port Keys must do. */
export function keysConformance(name: string, open: () => Promise<KeysOpening>): void {
  describe(`${name}: Keys`, () => {
    let one: KeysOpening;
    let two: KeysOpening;
    beforeAll(async () => {
      one = await open();
      two = await open();
    });
    afterAll(async () => {
      await Promise.all([one.close(), two.close()]);
    });

    it('shows every change to others, and says by its revision that there is one', async () => {
      const before = await two.keys.revision();
      const older = key('a', { createdAt: 999 * DAY_MS, expiresAt: 1_100 * DAY_MS });
      await one.keys.add(older);
      await one.keys.add(key('b', { role: 'admin' }));
      expect(await two.keys.all()).toEqual([key('b', { role: 'admin' }), older]);
      const after = await two.keys.revision();
      expect(after).not.toBe(before);
      expect(await two.keys.revision()).toBe(after);
      expect(await two.keys.revoke('a', 7)).toEqual({ ...older, revokedAt: 7 });
      expect(await one.keys.revision()).not.toBe(after);
      expect(await one.keys.revoke('a', 8)).toEqual({ ...older, revokedAt: 7 });
      expect(await one.keys.revoke('nobody', 8)).toBeUndefined();
    });

    it('refuses an id twice, and changes nothing then', async () => {
      const revision = await one.keys.revision();
      await expect(one.keys.add(key('b'))).rejects.toMatchObject({ code: 'CONFLICT' });
      expect(await one.keys.revision()).toBe(revision);
    });

    it('forgets keys long after they ended', async () => {
      await one.keys.add(key('c', { createdAt: 1_001 * DAY_MS, expiresAt: 1_002 * DAY_MS }));
      await one.keys.add(key('d', { createdAt: 1_050 * DAY_MS }));
      expect((await one.keys.all()).map(({ id }) => id)).toContain('c');
      await one.keys.add(key('e', { createdAt: 1_093 * DAY_MS }));
      expect((await one.keys.all()).map(({ id }) => id)).toEqual(['e', 'd', 'b']);
    });

    it('keeps a bounded number', async () => {
      const adding = async (): Promise<void> => {
        for (let count = 0; count <= 1_000; count += 1) await one.keys.add(key(`n${String(count)}`));
      };
      await expect(adding()).rejects.toMatchObject({ code: 'UNPROCESSABLE' });
    });
  });
}
