import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { paced, rememberWorld } from './live.ts';

describe('paced', () => {
  const items = Array.from({ length: 20 }, (_, index) => ({ sendAt: 1_000 + index * 10 }));

  it('lets all items through in their order', async () => {
    const { signal } = new AbortController();
    const seen: number[] = [];
    for await (const { sendAt } of paced(items, { speed: 100, signal })) seen.push(sendAt);
    expect(seen).toEqual(items.map(({ sendAt }) => sendAt));
  });

  it('ends at once when it is told to, also while it waits', async () => {
    const stop = new AbortController();
    const seen: number[] = [];
    // At this speed the second item is due in some three hours.
    for await (const { sendAt } of paced(items, { speed: 1e-6, signal: stop.signal })) {
      seen.push(sendAt);
      setTimeout(() => stop.abort(), 10);
    }
    expect(seen).toEqual([1_000]);
  });
});

describe('rememberWorld', () => {
  it('refuses a folder that holds another world, unless it is to begin anew', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tandem-world-'));
    try {
      const place = { dataDir: join(folder, 'data'), fresh: false };
      await rememberWorld(place, 'world.json', { seed: 1 });
      await rememberWorld(place, 'world.json', { seed: 1 });
      await expect(rememberWorld(place, 'world.json', { seed: 2 })).rejects.toThrow(
        /holds another simulated world \({"seed":1}\)/,
      );
      await rememberWorld({ ...place, fresh: true }, 'world.json', { seed: 2 });
      await rememberWorld(place, 'world.json', { seed: 2 });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
