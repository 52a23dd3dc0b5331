import { createWorld, type World } from '../world.ts';

/**
 * Days before the stream begins: 28 for the split of the models, and 37 more that the features of its first
 * day see.
 */
export const HISTORY_DAYS = 65;

/**
 * The world that is played when no data is given: small enough to be ready in seconds, and without an end.
 */
export function simulatedWorld(seed: number): World {
  return createWorld({
    customers: 1_000,
    terminals: 2_000,
    days: 40_000,
    startDay: '2018-04-01',
    radius: 5,
    seed,
  });
}
