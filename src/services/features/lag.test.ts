import { describe, expect, it } from 'vitest';
import { Lag } from './lag.ts';

const at = (...ends: readonly number[]): Map<string, number[]> => new Map([['a', [...ends]]]);

describe('Lag', () => {
  it('is zero while everything is applied', () => {
    const lag = new Lag(0);
    lag.look(1_000, at(5, 5), () => [5, 5]);
    expect([lag.seconds, lag.records]).toEqual([0, 0]);
  });

  it('is the age of the oldest record that is missing, not of the newest', () => {
    const lag = new Lag(0);
    lag.look(1_000, at(10), () => [10]);
    lag.look(2_000, at(20), () => [10]);
    lag.look(3_000, at(30), () => [15]);
    expect([lag.seconds, lag.records]).toEqual([2, 15]);
    // Up to what the log held at 2 s: what came after it is missing for a second at most.
    lag.look(4_000, at(40), () => [29]);
    expect([lag.seconds, lag.records]).toEqual([2, 11]);
    lag.look(4_500, at(40), () => [40]);
    expect([lag.seconds, lag.records]).toEqual([0, 0]);
  });

  it('stays small while a steady stream is followed closely', () => {
    const lag = new Lag(0);
    for (let second = 1; second <= 2_000; second += 1) {
      lag.look(second * 1_000, at(second * 100), () => [second * 100 - 10]);
      expect(lag.seconds).toBeLessThanOrEqual(1);
    }
  });

  it('goes on growing when the state stands still for longer than looks are kept', () => {
    const lag = new Lag(0);
    for (let second = 1; second <= 1_000; second += 1) lag.look(second * 1_000, at(second), () => [0]);
    expect(lag.seconds).toBe(1_000);
  });

  it('begins with what a new process has before it', () => {
    const lag = new Lag(10_000);
    lag.look(10_500, at(1_000), () => [0]);
    expect([lag.seconds, lag.records]).toEqual([0.5, 1_000]);
  });
});
