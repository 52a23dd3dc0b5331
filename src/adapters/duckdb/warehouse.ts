import type { Warehouse } from '../../runtime/ports/index.ts';
import { BackgroundSessions } from './background.ts';
import { translate } from './failures.ts';
import { type DuckdbWarehouseOptions, WAREHOUSE_DEFAULTS } from './options.ts';
import { openScratch } from './scratch.ts';
import { Slots } from './slots.ts';

/**
 * The port `Warehouse` on DuckDB: each session is an in-memory database of its own with its own memory,
 * threads and scratch folder, and times are UTC. Nothing is loaded from the network. Statements of one
 * session run one after another, in the order of the calls; they run beside the main thread, while `append`
 * fills tables on it.
 *
 * Results may have integers of up to 64 bits (safe ones), floats, booleans and strings; any other type is
 * refused with an INTERNAL that says which column to cast. Other failures are INTERNAL, a full disk is
 * STORAGE_FULL.
 */
export function duckdbWarehouse(options: DuckdbWarehouseOptions): Warehouse {
  const settings = { ...WAREHOUSE_DEFAULTS, ...options };
  const slots = new Slots(settings.sessionsMax, settings.waitingMax);
  const scratch = openScratch(settings.directory);
  const background =
    settings.lower === undefined ? undefined : new BackgroundSessions(settings, settings.lower);
  return {
    async session({ isBackground = false } = {}) {
      const release = await slots.take();
      try {
        if (isBackground && background !== undefined) return await background.open(release);
        // Loaded here: most processes never have a session, and the library takes a good part of their start.
        const { openSession } = await import('./session.ts');
        return await openSession(settings, scratch, release);
      } catch (error) {
        release();
        throw translate(error, 'opening a session');
      }
    },
  };
}
