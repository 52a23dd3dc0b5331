import { beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../runtime/index.ts';
import { createLogger } from '../../runtime/index.ts';
import { SupervisorKey } from './supervisor-key.ts';

let nowMs: number;
/** What lies in the data directory. */
let left: string | undefined;
let made: number;
let make: () => void;
const clock: Clock = { now: () => nowMs, monotonic: () => nowMs, sleep: () => Promise.resolve() };

beforeEach(() => {
  [nowMs, left, made] = [0, 'first', 0];
  make = () => (left = 'made');
});

function load(): Promise<SupervisorKey> {
  return SupervisorKey.load({
    read: () => Promise.resolve(left),
    ensure: async () => {
      made += 1;
      make();
    },
    clock,
    logger: createLogger({ level: 'silent' }),
  });
}

describe('SupervisorKey', () => {
  it('is the one of the data directory, and a new one when that was revoked', async () => {
    const key = await load();
    expect(key.accepted).toMatchObject({ key: 'first' });
    key.refused('first');
    expect(key.accepted).toBeUndefined();
    await key.settled();
    expect(key.accepted).toMatchObject({ key: 'made' });
    expect(key.shown).toMatchObject({ key: 'made' });
    // Late answers to questions that were asked with the old one.
    key.refused('first');
    expect(key.accepted).toMatchObject({ key: 'made' });
    expect(made).toBe(1);
  });

  it('takes the key that somebody put there instead of making one', async () => {
    const key = await load();
    left = 'theirs';
    key.refused('first');
    await key.settled();
    expect(key.accepted).toMatchObject({ key: 'theirs' });
    expect(made).toBe(0);
  });

  it('tries again while there is none, but not all the time', async () => {
    const key = await load();
    make = () => {
      throw new Error('no database');
    };
    key.refused('first');
    await key.settled();
    for (let look = 0; look < 10; look += 1) expect(key.accepted).toBeUndefined();
    await key.settled();
    expect(made).toBe(1);
    make = () => (left = 'made');
    nowMs += 5_000;
    expect(key.accepted).toBeUndefined();
    await key.settled();
    expect(key.accepted).toMatchObject({ key: 'made' });
  });
});
