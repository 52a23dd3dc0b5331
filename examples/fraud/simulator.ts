import { DAY_MS, RandomStream } from '@tandem-examples/driver';
import type { Scenario, Transaction } from './transaction.ts';
import { STREAM, type World } from './world.ts';

/*
 * A simulator of card transactions and card fraud, written from the description in "Reproducible Machine
 * Learning for Credit Card Fraud Detection" (Le Borgne, Siblini, Lebichot, Bontempi, 2022). Random numbers
 * are drawn from a stream of its own for each customer and day, so any day can be made without those before
 * it.
 */

const SECONDS_PER_DAY = 86_400;
/** Amounts above this many cents are fraud of scenario 1. */
const SUSPICIOUS_CENTS = 22_000;
/**
 * A taken terminal is fraudulent for this many days (scenario 2), a taken customer for that many (scenario
 * 3).
 */
const TERMINAL_TAKEN_DAYS = 28;
const CUSTOMER_TAKEN_DAYS = 14;
/** A taken customer's fraudulent transactions have this many times their amount. */
const INFLATION = 5;
/**
 * Ids are `day * 1,000,000 + place in the day's order`: no day has to be made to know the ids of the next.
 */
export const IDS_PER_DAY = 1_000_000;

interface Purchase {
  readonly seconds: number;
  readonly cents: number;
  readonly terminal: number;
}

/**
 * Makes the transactions of the days `fromDay .. toDay - 1`, one array a day, each ordered by time. Days are
 * numbered from 0 and end with the world's. The result is the same however the days are cut.
 */
export function* simulateDays(
  world: World,
  fromDay: number,
  toDay: number,
): Generator<readonly Transaction[]> {
  if (!Number.isInteger(fromDay) || !Number.isInteger(toDay) || fromDay < 0) {
    throw new RangeError(`Days are whole numbers from 0; got ${String(fromDay)} and ${String(toDay)}`);
  }
  const inflated = new Map<number, ReadonlySet<string>>();
  for (let day = fromDay; day < Math.min(toDay, world.days); day += 1) {
    for (const known of inflated.keys()) if (known <= day - CUSTOMER_TAKEN_DAYS) inflated.delete(known);
    yield simulateDay(world, day, inflated);
  }
}

/** The day that an instant lies in, counted from the world's first. */
export function dayOf(world: World, time: number): number {
  return Math.floor((time - world.startMs) / DAY_MS);
}

function simulateDay(world: World, day: number, inflated: Map<number, ReadonlySet<string>>): Transaction[] {
  const takenTerminals = new Set<number>();
  for (let taken = Math.max(0, day - TERMINAL_TAKEN_DAYS + 1); taken <= day; taken += 1) {
    for (const terminal of terminalsTakenOn(world, taken)) takenTerminals.add(terminal);
  }
  const inflations: ReadonlySet<string>[] = [];
  for (let taken = Math.max(0, day - CUSTOMER_TAKEN_DAYS + 1); taken <= day; taken += 1) {
    const known = inflated.get(taken) ?? purchasesTakenFrom(world, taken);
    inflated.set(taken, known);
    if (known.size > 0) inflations.push(known);
  }
  const found: { seconds: number; customer: number; terminal: number; cents: number; scenario: Scenario }[] =
    [];
  for (let customer = 0; customer < world.customers; customer += 1) {
    purchasesOf(world, customer, day).forEach(({ seconds, terminal, cents }, index) => {
      // Scenario 1 is judged by the amount before scenario 3 changes it; a later scenario overwrites the
      // number.
      let scenario: Scenario = cents > SUSPICIOUS_CENTS ? 1 : 0;
      if (takenTerminals.has(terminal)) scenario = 2;
      let charged = cents;
      for (const taken of inflations) {
        if (!taken.has(purchaseKey(customer, day, index))) continue;
        scenario = 3;
        charged *= INFLATION;
      }
      found.push({ seconds, customer, terminal, cents: charged, scenario });
    });
  }
  // The sort is stable: equal times stay in the order of customers.
  found.sort((a, b) => a.seconds - b.seconds);
  const midnight = world.startMs + day * DAY_MS;
  return found.map(({ seconds, customer, terminal, cents, scenario }, index) => ({
    id: day * IDS_PER_DAY + index,
    time: midnight + seconds * 1_000,
    customer,
    terminal,
    cents,
    scenario,
  }));
}

/** What a customer buys on a day, in the order drawn, before any fraud. */
function purchasesOf(world: World, customer: number, day: number): Purchase[] {
  const terminals = world.reachable[customer];
  const amountMean = world.amountMean[customer];
  if (terminals === undefined || amountMean === undefined || terminals.length === 0) return [];
  const draw = new RandomStream(world.seed, STREAM.spending, customer, day);
  const purchases: Purchase[] = [];
  for (let left = draw.poisson(world.perDayMean[customer] ?? 0); left > 0; left -= 1) {
    const seconds = Math.trunc(draw.normal(SECONDS_PER_DAY / 2, 20_000));
    if (seconds <= 0 || seconds >= SECONDS_PER_DAY) continue;
    let spent = draw.normal(amountMean, amountMean / 2);
    if (spent < 0) spent = draw.between(0, 2 * amountMean);
    const terminal = terminals[draw.integer(terminals.length)] ?? 0;
    purchases.push({ seconds, cents: Math.round(spent * 100), terminal });
  }
  return purchases;
}

function terminalsTakenOn(world: World, day: number): readonly number[] {
  const count = Math.min(takenOn(world, day, world.terminalsTakenPerDay), world.terminals);
  return count === 0
    ? []
    : new RandomStream(world.seed, STREAM.takenTerminals, day).sample(world.terminals, count);
}

/** A third of what the customers taken on a day buy until they notice. */
function purchasesTakenFrom(world: World, day: number): ReadonlySet<string> {
  const count = Math.min(takenOn(world, day, world.customersTakenPerDay), world.customers);
  if (count === 0) return new Set();
  const customers = new RandomStream(world.seed, STREAM.takenCustomers, day).sample(world.customers, count);
  const keys: string[] = [];
  for (const customer of customers) {
    for (let bought = day; bought < Math.min(day + CUSTOMER_TAKEN_DAYS, world.days); bought += 1) {
      purchasesOf(world, customer, bought).forEach((_, index) =>
        keys.push(purchaseKey(customer, bought, index)),
      );
    }
  }
  const draw = new RandomStream(world.seed, STREAM.takenTransactions, day);
  return new Set(draw.sample(keys.length, Math.floor(keys.length / 3)).map((index) => keys[index] ?? ''));
}

/** How many fall on a day: whole numbers that add up to the rate. Nobody is taken on the last day. */
function takenOn(world: World, day: number, perDay: number): number {
  if (day >= world.days - 1) return 0;
  return Math.floor((day + 1) * perDay + 1e-9) - Math.floor(day * perDay + 1e-9);
}

function purchaseKey(customer: number, day: number, index: number): string {
  return `${String(customer)}/${String(day)}/${String(index)}`;
}
