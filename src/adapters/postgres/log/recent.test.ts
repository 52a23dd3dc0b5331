import { describe, expect, it } from 'vitest';
import { joinRecords } from './frame.ts';
import { type Appended, Recent } from './recent.ts';

const TOPIC = 1;

function batch(base: number, count: number, change: Partial<Appended> = {}): Appended {
  const records = Array.from({ length: count }, (_, index) => Buffer.from(`r${String(base + index)}`));
  const frame = joinRecords(
    records,
    records.reduce((sum, record) => sum + record.length, 0),
  );
  return { partition: 0, base, count, appendedAt: base, traceparents: [], frame, ...change };
}

function take(recent: Recent, offset: number, maxRecords = 1_000): number[][] {
  return recent.take(TOPIC, 0, offset, maxRecords).map(({ base, count }) => [base, count]);
}

describe('what a process keeps of what it stored', () => {
  it('is nothing before somebody follows the partition', () => {
    const recent = new Recent();
    recent.keep(TOPIC, batch(0, 2));
    expect(take(recent, 0)).toEqual([]);
    recent.follow(TOPIC, 1);
    recent.keep(TOPIC, batch(2, 2));
    expect(recent.bytes).toBe(0);
    recent.follow(TOPIC, 0);
    recent.keep(TOPIC, batch(4, 2));
    expect(take(recent, 4)).toEqual([[4, 2]]);
    // It has not got what lies before.
    expect(take(recent, 3)).toEqual([]);
  });

  it('comes as from the store: from the batch that holds the offset to the one that reaches the number', () => {
    const recent = new Recent();
    recent.follow(TOPIC, 0);
    for (const [base, count] of [
      [0, 10],
      [10, 20],
      [30, 30],
    ] as const)
      recent.keep(TOPIC, batch(base, count, { traceparents: ['t'] }));
    expect(take(recent, 0, 10)).toEqual([[0, 10]]);
    expect(take(recent, 15, 15)).toEqual([[10, 20]]);
    expect(take(recent, 15, 16)).toEqual([
      [10, 20],
      [30, 30],
    ]);
    const [found] = recent.take(TOPIC, 0, 59, 1);
    expect(Buffer.from(found?.record(29) ?? []).toString()).toBe('r59');
    expect(found).toMatchObject({ partition: 0, base: 30, count: 30, appendedAt: 30, traceparents: ['t'] });
    expect(take(recent, 60)).toEqual([]);
  });

  it('lets go of what a follower has passed', () => {
    const recent = new Recent();
    recent.follow(TOPIC, 0);
    recent.keep(TOPIC, batch(0, 10));
    recent.keep(TOPIC, batch(10, 10));
    expect(take(recent, 10)).toEqual([[10, 10]]);
    expect(recent.bytes).toBe(batch(10, 10).frame.length);
    expect(take(recent, 5)).toEqual([]);
    take(recent, 20);
    expect(recent.bytes).toBe(0);
  });

  it('begins anew behind what another process stored', () => {
    const recent = new Recent();
    recent.follow(TOPIC, 0);
    recent.keep(TOPIC, batch(0, 10));
    recent.keep(TOPIC, batch(15, 5));
    expect(take(recent, 0)).toEqual([]);
    expect(take(recent, 10)).toEqual([]);
    expect(take(recent, 15)).toEqual([[15, 5]]);
  });

  it('is bounded: the oldest of all partitions go first', () => {
    const size = batch(100, 10).frame.length;
    const recent = new Recent(3 * size);
    recent.follow(TOPIC, 0);
    recent.follow(TOPIC, 1);
    for (let round = 0; round < 4; round += 1) {
      recent.keep(TOPIC, batch(100 + 10 * round, 10));
      recent.keep(TOPIC, batch(100 + 10 * round, 10, { partition: 1 }));
      expect(recent.bytes).toBeLessThanOrEqual(3 * size);
    }
    expect(take(recent, 120)).toEqual([]);
    expect(take(recent, 130)).toEqual([[130, 10]]);
    expect(recent.take(TOPIC, 1, 120, 100).map(({ base }) => base)).toEqual([120, 130]);
    recent.keep(TOPIC, batch(140, 1_000));
    expect(recent.bytes).toBe(0);
  });

  it('is forgotten with the topic', () => {
    const recent = new Recent();
    recent.follow(TOPIC, 0);
    recent.keep(TOPIC, batch(0, 10));
    recent.forget(TOPIC);
    expect(recent.bytes).toBe(0);
    expect(take(recent, 0)).toEqual([]);
  });
});
