import { RandomStream } from '@tandem-examples/driver';

export interface WorldOptions {
  /** Number of customers, 1 to 100,000. Default 5,000. */
  readonly customers?: number;
  /** Number of terminals, 1 to 1,000,000. Default 10,000. */
  readonly terminals?: number;
  /** Number of days, 1 to 40,000. Default 183. */
  readonly days?: number;
  /** The first day, UTC. Default `'2018-04-01'`. */
  readonly startDay?: string;
  /** A customer uses the terminals that are nearer than this; the map is 100 by 100. Default 5. */
  readonly radius?: number;
  /** Default 0. */
  readonly seed?: number;
}

/** Customers and terminals on a map, and how the customers spend. Arrays go by customer or by terminal. */
export interface World {
  readonly customers: number;
  readonly terminals: number;
  readonly days: number;
  /** Start of day 0, in milliseconds since 1970-01-01 UTC. */
  readonly startMs: number;
  readonly seed: number;
  /** Mean amount in whole currency units; the standard deviation is half of it. */
  readonly amountMean: Float64Array;
  /** Mean number of transactions a day. */
  readonly perDayMean: Float64Array;
  /** The terminals each customer uses. */
  readonly reachable: readonly Int32Array[];
  /** Terminals and customers that fall to fraudsters each day, on average. */
  readonly terminalsTakenPerDay: number;
  readonly customersTakenPerDay: number;
}

const MAP_SIZE = 100;
/** The world for which the numbers of taken terminals and customers are given: 2 and 3 a day. */
const FULL_CUSTOMERS = 5_000;
const FULL_TERMINALS = 10_000;
const TERMINALS_TAKEN_PER_DAY = 2;
const CUSTOMERS_TAKEN_PER_DAY = 3;

/** Purposes of random streams: equal seeds must not give equal numbers to different things. */
export const STREAM = {
  customers: 1,
  terminals: 2,
  spending: 3,
  takenTerminals: 4,
  takenCustomers: 5,
  takenTransactions: 6,
  disorder: 7,
} as const;

/** Makes a world: the same options give the same world. Throws a RangeError on options out of bounds. */
export function createWorld(options: WorldOptions = {}): World {
  const customers = whole('customers', options.customers ?? FULL_CUSTOMERS, 100_000);
  const terminals = whole('terminals', options.terminals ?? FULL_TERMINALS, 1_000_000);
  const days = whole('days', options.days ?? 183, 40_000);
  const startDay = options.startDay ?? '2018-04-01';
  const startMs = /^\d{4}-\d{2}-\d{2}$/.test(startDay) ? Date.parse(`${startDay}T00:00:00Z`) : Number.NaN;
  if (Number.isNaN(startMs)) throw new RangeError(`startDay is a day like 2018-04-01; got '${startDay}'`);
  const radius = options.radius ?? 5;
  if (!(radius > 0)) throw new RangeError(`radius is above 0; got ${String(radius)}`);
  const seed = options.seed ?? 0;

  const place = { x: new Float64Array(customers), y: new Float64Array(customers) };
  const amountMean = new Float64Array(customers);
  const perDayMean = new Float64Array(customers);
  const draw = new RandomStream(seed, STREAM.customers);
  for (let customer = 0; customer < customers; customer += 1) {
    place.x[customer] = draw.between(0, MAP_SIZE);
    place.y[customer] = draw.between(0, MAP_SIZE);
    amountMean[customer] = draw.between(5, 100);
    perDayMean[customer] = draw.between(0, 4);
  }
  const stand = { x: new Float64Array(terminals), y: new Float64Array(terminals) };
  const drawTerminal = new RandomStream(seed, STREAM.terminals);
  for (let terminal = 0; terminal < terminals; terminal += 1) {
    stand.x[terminal] = drawTerminal.between(0, MAP_SIZE);
    stand.y[terminal] = drawTerminal.between(0, MAP_SIZE);
  }
  return {
    customers,
    terminals,
    days,
    startMs,
    seed,
    amountMean,
    perDayMean,
    reachable: reachableTerminals(place, stand, radius),
    // Scaled with the world, so that the share of fraud does not depend on its size.
    terminalsTakenPerDay: (TERMINALS_TAKEN_PER_DAY * terminals) / FULL_TERMINALS,
    customersTakenPerDay: (CUSTOMERS_TAKEN_PER_DAY * customers) / FULL_CUSTOMERS,
  };
}

interface Places {
  readonly x: Float64Array;
  readonly y: Float64Array;
}

function reachableTerminals(customers: Places, terminals: Places, radius: number): Int32Array[] {
  const near: number[] = [];
  return Array.from(customers.x, (x, customer) => {
    const y = customers.y[customer] ?? 0;
    near.length = 0;
    for (let terminal = 0; terminal < terminals.x.length; terminal += 1) {
      const dx = (terminals.x[terminal] ?? 0) - x;
      const dy = (terminals.y[terminal] ?? 0) - y;
      if (dx * dx + dy * dy < radius * radius) near.push(terminal);
    }
    return Int32Array.from(near);
  });
}

function whole(name: string, value: number, most: number): number {
  if (!Number.isInteger(value) || value < 1 || value > most) {
    throw new RangeError(`${name} is a whole number from 1 to ${String(most)}; got ${String(value)}`);
  }
  return value;
}
