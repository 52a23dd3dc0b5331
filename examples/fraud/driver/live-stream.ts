import { DAY_MS } from '@tandem-examples/driver';
import { dayOf, simulateDays } from '../simulator.ts';
import { REPORT_DELAY_MS } from '../transaction.ts';
import type { World } from '../world.ts';
import { type OutgoingRecord, RecordStream } from './record-stream.ts';

/** How much faster than the clock on the wall the simulated time goes. */
export const SPEED = 600;

/** The records of a simulated world from an instant on, without an end, in the order of sending. */
export function* recordsFrom(world: World, fromMs: number): Generator<OutgoingRecord> {
  const stream = new RecordStream({ shuffleMs: 0, duplicate: 0, seed: world.seed });
  // Frauds of the days before are reported from now on.
  const firstDay = Math.max(0, dayOf(world, fromMs - REPORT_DELAY_MS) - 1);
  for (const day of simulateDays(world, firstDay, world.days)) {
    for (const transaction of day) {
      stream.add(transaction);
      for (const record of stream.takeUntil(transaction.time)) if (record.sendAt >= fromMs) yield record;
    }
  }
}

/** The records that lie before an instant, from the beginning of the world. */
export function* recordsUntil(world: World, endMs: number): Generator<OutgoingRecord> {
  const stream = new RecordStream({ shuffleMs: 0, duplicate: 0, seed: world.seed });
  for (const day of simulateDays(world, 0, Math.ceil((endMs - world.startMs) / DAY_MS))) {
    for (const transaction of day) {
      stream.add(transaction);
      yield* stream.takeUntil(Math.min(transaction.time, endMs - 1));
    }
  }
  yield* stream.takeUntil(endMs - 1);
}
