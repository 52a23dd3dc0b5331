import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dayOf, IDS_PER_DAY, simulateDays } from './simulator.ts';
import { DAY_MS } from '@tandem-examples/driver';
import type { Transaction } from './transaction.ts';
import { createWorld, type World } from './world.ts';

const days = 183;
const world = createWorld({ customers: 1_000, terminals: 2_000, days, seed: 3 });
const all = [...simulateDays(world, 0, days)];
const transactions = all.flat();

function share(scenario: number, among: readonly Transaction[] = transactions): number {
  return among.filter((transaction) => transaction.scenario === scenario).length / among.length;
}

describe('createWorld', () => {
  it('is the same for the same seed and another for another', () => {
    const options = { customers: 20, terminals: 50, days: 10 };
    expect(createWorld(options)).toEqual(createWorld({ ...options, seed: 0 }));
    expect(createWorld({ ...options, seed: 1 }).amountMean).not.toEqual(createWorld(options).amountMean);
  });

  it('draws customers from the stated ranges', () => {
    expect(Math.min(...world.amountMean)).toBeGreaterThanOrEqual(5);
    expect(Math.max(...world.amountMean)).toBeLessThan(100);
    expect(Math.min(...world.perDayMean)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...world.perDayMean)).toBeLessThan(4);
    const mean = world.perDayMean.reduce((sum, value) => sum + value, 0) / world.customers;
    // The mean of 1,000 uniform numbers of [0, 4) has a standard deviation of 0.037.
    expect(Math.abs(mean - 2)).toBeLessThan(0.15);
  });

  it('lets a customer reach the share of terminals that a circle covers', () => {
    const reached = world.reachable.reduce((sum, terminals) => sum + terminals.length, 0) / world.customers;
    // 2,000 terminals x pi 5^2 / 100^2 = 15.7, less what lies outside of the map's edge.
    expect(reached).toBeGreaterThan(13.5);
    expect(reached).toBeLessThan(16);
  });

  it.each([
    { customers: 0 },
    { customers: 100_001 },
    { terminals: 0.5 },
    { days: -1 },
    { startDay: '1 May' },
    { radius: 0 },
  ])('refuses %j', (options) => {
    expect(() => createWorld(options)).toThrow(RangeError);
  });
});

describe('simulateDays', () => {
  it('makes as many transactions as customers buy: 1.94 a customer and day', () => {
    // Poisson with the customer's mean, times 0.969 for the times that fall into the day.
    const expected = world.perDayMean.reduce((sum, mean) => sum + mean, 0) * 0.9692 * days;
    expect(Math.abs(transactions.length / expected - 1)).toBeLessThan(0.01);
  });

  it('has 0.84 % frauds, most of them at taken terminals', () => {
    const frauds = 1 - share(0);
    expect(frauds).toBeGreaterThan(0.0075);
    expect(frauds).toBeLessThan(0.0095);
    // 973, 9,077 and 4,631 of 1,754,155 in the published data.
    expect(share(1)).toBeGreaterThan(0.0004);
    expect(share(1)).toBeLessThan(0.0008);
    expect(share(2)).toBeGreaterThan(0.0042);
    expect(share(2)).toBeLessThan(0.0062);
    expect(share(3)).toBeGreaterThan(0.0021);
    expect(share(3)).toBeLessThan(0.0032);
  });

  it('has times around noon and amounts around 50', () => {
    const seconds = transactions.map(({ time }) => ((time - world.startMs) % DAY_MS) / 1_000);
    const mean = seconds.reduce((sum, value) => sum + value, 0) / seconds.length;
    expect(Math.abs(mean - 43_200)).toBeLessThan(300);
    expect(seconds.every((value) => Number.isInteger(value) && value > 0 && value < 86_400)).toBe(true);
    const honest = transactions.filter(({ scenario }) => scenario === 0);
    const cents = honest.reduce((sum, transaction) => sum + transaction.cents, 0) / honest.length;
    expect(cents).toBeGreaterThan(4_900);
    expect(cents).toBeLessThan(5_900);
    expect(transactions.every(({ cents: paid }) => Number.isSafeInteger(paid) && paid >= 0)).toBe(true);
  });

  it('orders by time and numbers each day from its own millions', () => {
    const wrong = all.flatMap((day, index) =>
      day.filter(
        ({ id, time }, place) =>
          id !== index * IDS_PER_DAY + place ||
          dayOf(world, time) !== index ||
          time < (day[place - 1]?.time ?? 0),
      ),
    );
    expect(wrong).toEqual([]);
  });

  it('uses only terminals within reach', () => {
    const reachable = world.reachable.map((terminals) => new Set(terminals));
    expect(transactions.every(({ customer, terminal }) => reachable[customer]?.has(terminal))).toBe(true);
  });

  it('is the same however the days are cut', () => {
    const small = createWorld({ customers: 60, terminals: 100, days: 60, seed: 9 });
    const whole = [...simulateDays(small, 0, 60)];
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 60 }), (one, other) => {
        const [from, to] = [Math.min(one, other), Math.max(one, other)];
        expect([...simulateDays(small, from, to)]).toEqual(whole.slice(from, to));
      }),
      { numRuns: 25 },
    );
  });

  it('ends with the world', () => {
    expect([...simulateDays(world, days - 1, days + 5)]).toHaveLength(1);
    expect(() => [...simulateDays(world, -1, 2)]).toThrow(RangeError);
  });
});

describe('the three kinds of fraud', () => {
  it('1: every amount above 220 is fraud', () => {
    const above = transactions.filter(({ cents }) => cents > 22_000);
    expect(above.every(({ scenario }) => scenario !== 0)).toBe(true);
    expect(transactions.every(({ cents, scenario }) => scenario !== 1 || cents > 22_000)).toBe(true);
  });

  it('2: a taken terminal has nothing but frauds for 28 days', () => {
    const spans: number[] = [];
    let honestAmongThem = 0;
    for (const [, sold] of groupBy(transactions, ({ terminal }) => terminal)) {
      const fraudDays = sold.filter(({ scenario }) => scenario === 2).map(({ time }) => dayOf(world, time));
      const [first, last] = [fraudDays[0], fraudDays.at(-1)];
      if (first === undefined || last === undefined) continue;
      spans.push(last - first + 1);
      // Taken once, it has no honest day between its first and its last; taken twice, it may.
      if (last - first >= 28) continue;
      honestAmongThem += sold.filter(({ time, scenario }) => {
        const day = dayOf(world, time);
        return day >= first && day <= last && scenario < 2;
      }).length;
    }
    expect(honestAmongThem).toBe(0);
    // 0.4 terminals a day, 72 in all; some are out of everybody's reach, some are taken twice.
    expect(spans.length).toBeGreaterThan(50);
    expect(spans.length).toBeLessThanOrEqual(72);
    expect(spans.filter((span) => span > 28).length).toBeLessThan(10);
    expect(spans.filter((span) => span >= 20 && span <= 28).length).toBeGreaterThan(spans.length / 2);
  });

  it('3: a third of what a taken customer buys in 14 days costs five times as much', () => {
    const quiet = createWorld({ customers: 5_000, terminals: 10_000, days: 15, seed: 4 });
    const honest: World = { ...quiet, customersTakenPerDay: 0 };
    const taken = [...simulateDays(quiet, 0, 15)].flat();
    const before = [...simulateDays(honest, 0, 15)].flat();
    expect(taken.map(({ id }) => id)).toEqual(before.map(({ id }) => id));
    const changed = taken.flatMap((transaction, index) => {
      const original = before[index];
      return original === undefined || original.cents === transaction.cents
        ? []
        : [{ transaction, original }];
    });
    for (const { transaction, original } of changed) {
      expect(transaction.scenario).toBe(3);
      expect([5, 25]).toContain(transaction.cents / original.cents);
    }
    // 3 customers on each of 14 days; those of the first day are seen for 14 days, those of the last for two.
    const customers = new Set(changed.map(({ transaction }) => transaction.customer));
    expect(customers.size).toBeGreaterThan(25);
    expect(customers.size).toBeLessThanOrEqual(42);
    const bought = taken.filter(({ customer }) => customers.has(customer)).length;
    expect(changed.length / bought).toBeGreaterThan(0.12);
    expect(changed.length / bought).toBeLessThan(0.34);
  });
});

function groupBy<TKey>(
  list: readonly Transaction[],
  key: (item: Transaction) => TKey,
): Map<TKey, Transaction[]> {
  const groups = new Map<TKey, Transaction[]>();
  for (const item of list) {
    const group = groups.get(key(item));
    if (group === undefined) groups.set(key(item), [item]);
    else group.push(item);
  }
  return groups;
}
