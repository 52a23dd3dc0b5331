import { PlatformError } from '../../contract/index.ts';
import type { ServiceHost } from '../../runtime/index.ts';
import type { OnlineState } from './online/online-state.ts';
import type { FeaturesOptions } from './options.ts';

/** Name of the one snapshot that is kept. */
const NAME = 'online';

/** Saves the online state as an object and notes which one is the newest. */
export class Snapshots {
  readonly #host: ServiceHost<FeaturesOptions>;
  #newest: string | undefined;
  /** Positions of the newest snapshot by source; the log must be kept from there. */
  positions: ReadonlyMap<string, readonly number[]> = new Map();

  constructor(host: ServiceHost<FeaturesOptions>) {
    this.#host = host;
  }

  /** Loads the newest snapshot into a new state. `false` when there is none that fits the app's definitions. */
  async restore(state: OnlineState): Promise<boolean> {
    const rows = await this.#host.tables.query<{ digest: string }>(
      'select digest from features_snapshot where name = $1',
      [NAME],
    );
    const digest = rows[0]?.digest;
    if (digest === undefined) return false;
    this.#newest = digest;
    try {
      const loaded = state.load(await this.#host.objects.get(digest));
      if (loaded) this.positions = positionsOf(state);
      else
        this.#host.logger.info('the definitions have changed: the feature state is built anew from the log');
      return loaded;
    } catch (error) {
      // Derived state: whatever is wrong with the file, the log and the archive have everything.
      if (!PlatformError.is(error)) throw error;
      this.#host.logger.warn('the snapshot cannot be used: the state is built anew', {
        error: error.message,
      });
      return false;
    }
  }

  /** Saves the state. The one before is removed once the new one is noted. */
  async save(state: OnlineState): Promise<void> {
    const { objects, tables, metrics, clock, failPoints } = this.#host;
    const started = clock.monotonic();
    const positions = positionsOf(state);
    const bytes = await state.save().finishInTurns(() => clock.sleep(0));
    await failPoints.pass('features.snapshot.before');
    const saved = await objects.put(bytes);
    await failPoints.pass('features.snapshot.stored');
    await tables.query(
      `insert into features_snapshot (name, digest, bytes, positions) values ($1, $2, $3, $4)
       on conflict (name) do update set digest = $2, bytes = $3, positions = $4, saved_at = now()`,
      [NAME, saved.digest, saved.bytes, JSON.stringify(Object.fromEntries(positions))],
    );
    await failPoints.pass('features.snapshot.noted');
    const before = this.#newest;
    this.#newest = saved.digest;
    this.positions = positions;
    if (before !== undefined && before !== saved.digest) await objects.remove(before);
    metrics.gauge('snapshot_bytes', 'Size of the newest snapshot of the online state').set(saved.bytes);
    metrics
      .gauge('snapshot_seconds', 'How long the newest snapshot took')
      .set((clock.monotonic() - started) / 1_000);
  }
}

function positionsOf(state: OnlineState): Map<string, readonly number[]> {
  return new Map([...state.plan.sources.keys()].map((source) => [source, [...state.positions(source)]]));
}
