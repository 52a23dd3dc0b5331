import { describe, expect, it } from 'vitest';
import type { Clock } from '../../runtime/index.ts';
import { BackOff } from './back-off.ts';

describe('BackOff', () => {
  let nowMs = 0;
  const clock: Clock = { now: () => nowMs, monotonic: () => nowMs, sleep: () => Promise.resolve() };
  /** The pauses after a child that ran that long each time. */
  const pauses = (backOff: BackOff, ranMs: readonly number[]): number[] =>
    ranMs.map((ms) => {
      backOff.started();
      nowMs += ms;
      return backOff.ended();
    });

  it('is none at first, then doubles from 0.1 s up to 30 s', () => {
    const found = pauses(
      new BackOff(clock),
      Array.from({ length: 12 }, () => 10),
    );
    expect(found).toEqual([0, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]);
  });

  it('begins anew after a child that ran 5 s', () => {
    expect(pauses(new BackOff(clock), [1, 4_999, 5_000, 1])).toEqual([0, 100, 0, 100]);
  });
});
