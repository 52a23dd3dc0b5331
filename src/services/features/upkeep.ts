import { sourceTopic, STATE_PARTITIONS } from '../../contract/index.ts';
import type { ServiceHost } from '../../runtime/index.ts';
import type { Archive } from './archive.ts';
import type { Feed } from './feed.ts';
import type { Lag } from './lag.ts';
import type { FeaturesOptions } from './options.ts';
import type { Ownership } from './ownership/ownership.ts';
import type { Snapshots } from './snapshots.ts';
import type { StateHost } from './state/state-host.ts';

/** How often upkeep looks whether something is due, in milliseconds. */
const LOOK_MS = 500;
/** State partition whose owner looks after what is common to all. */
const COMMON = 0;
/** After a snapshot, so many times as long as it took passes before the next: a large state is not written all the time. */
const REST = 9;
/** How often retention is looked at, in milliseconds. */
const RETENTION_MS = 3_600_000;

export interface UpkeepParts {
  readonly host: ServiceHost<FeaturesOptions>;
  readonly state: StateHost;
  readonly feed: Feed;
  readonly snapshots: Snapshots;
  readonly archive: Archive;
  readonly ownership: Ownership;
  readonly lag: Lag;
}

/**
 * Saves snapshots, flushes the archive, drops old log segments and sets the gauges, until the returned function is
 * called; that saves what was applied since the last snapshot.
 */
export function startUpkeep(parts: UpkeepParts): (graceMs: number) => Promise<void> {
  const stopping = new AbortController();
  const upkeep = new Upkeep(parts);
  const loop = upkeep.run(stopping.signal);
  const flushing = upkeep.flush(stopping.signal);
  return async (graceMs) => {
    stopping.abort();
    // A snapshot only spares the next start some reading: neither a full disk nor a slow one may hold up the stop.
    const over = new AbortController();
    const saved = Promise.all([loop, flushing]).then(() =>
      upkeep.guarded('snapshot', () => upkeep.saveIfNeeded(1)),
    );
    await Promise.race([saved, parts.host.clock.sleep(graceMs, over.signal)]);
    over.abort();
  };
}

class Upkeep {
  readonly #parts: UpkeepParts;
  #savedAt: number;
  /** How long the newest snapshots took. */
  #savingMs = 0;
  #savedRecords: number;
  #retainedAt: number;

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
    this.#savedAt = parts.host.clock.monotonic();
    this.#retainedAt = this.#savedAt;
    this.#savedRecords = parts.feed.applied;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { host, state } = this.#parts;
    while (!signal.aborted) {
      await host.clock.sleep(LOOK_MS, signal);
      await this.guarded('expiry', () => state.expire());
      await this.guarded('snapshot', () => this.saveIfNeeded(this.#recordsDue()));
      await this.guarded('gauges', () => this.#setGauges());
      if (host.clock.monotonic() - this.#retainedAt > RETENTION_MS) {
        this.#retainedAt = host.clock.monotonic();
        await this.guarded('retention', () => this.#retain());
      }
    }
  }

  async flush(signal: AbortSignal): Promise<void> {
    const { host, state, archive, feed } = this.#parts;
    const full = host.options.archiveRecordsMax / 2;
    while (!signal.aborted) {
      await host.clock.sleep(host.options.archiveMs, signal);
      for (const source of state.plan.sources.keys()) {
        await this.guarded('archive', async () => {
          // One file each time would never reach the end of a log that grows by more than that.
          while (!signal.aborted && (await archive.flush(source)) >= full && feed.caughtUp);
        });
      }
    }
  }

  /** From how many records on a snapshot is due. */
  #recordsDue(): number {
    const { host, feed } = this.#parts;
    const sinceMs = host.clock.monotonic() - this.#savedAt;
    if (sinceMs > host.options.snapshotMs) return 1;
    // While history is applied, saving it again and again would take longer than applying it.
    if (!feed.caughtUp || sinceMs < this.#savingMs * REST) return Number.POSITIVE_INFINITY;
    return host.options.snapshotRecords;
  }

  /** Saves what is owned here if at least `records` were applied since the last time. */
  async saveIfNeeded(records: number): Promise<void> {
    const { feed, snapshots, state, host, ownership } = this.#parts;
    if (feed.applied - this.#savedRecords < records) return;
    this.#savedRecords = feed.applied;
    const started = host.clock.monotonic();
    for (const claim of ownership.held) await snapshots.saveShard(state, claim);
    const common = ownership.claimOf(COMMON);
    if (common !== undefined) await snapshots.saveCore(state, common);
    this.#savedAt = host.clock.monotonic();
    this.#savingMs = this.#savedAt - started;
    host.metrics
      .gauge('snapshot_seconds', 'How long the newest snapshots of the online state took')
      .set(this.#savingMs / 1_000);
  }

  async #setGauges(): Promise<void> {
    const { host, state, ownership } = this.#parts;
    await state.refresh();
    host.metrics
      .gauge('state_partitions', 'State partitions that this replica owns')
      .set(ownership.held.length);
    const lag = host.metrics.gauge('lag_records', 'Records of the log not yet applied to the online state', [
      'source',
    ]);
    const keys = host.metrics.gauge('group_keys', 'Keys of a feature group', ['group']);
    const bytes = host.metrics.gauge('group_bytes', 'Memory of a feature group', ['group']);
    const keyBytes = host.metrics.gauge('group_key_bytes', 'Memory of a key of a feature group', ['group']);
    const ids = host.metrics.gauge('ids', 'Ids of a source that are remembered', ['source']);
    const idBytes = host.metrics.gauge('ids_bytes', 'Memory of the ids of a source', ['source']);
    const duplicates = host.metrics.gauge('duplicates', 'Records dropped as duplicates', ['source']);
    const ends = new Map<string, readonly number[]>();
    for (const source of state.plan.sources.keys()) {
      const ranges = await host.log.ranges(sourceTopic(source));
      const applied = state.positions(source);
      ends.set(
        source,
        ranges.map(({ next }) => next),
      );
      const behind = ranges.map((range, partition) => Math.max(0, range.next - (applied[partition] ?? 0)));
      lag.set(
        behind.reduce((sum, records) => sum + records, 0),
        { source },
      );
      duplicates.set(state.duplicates(source), { source });
      const known = state.ids(source);
      ids.set(known.ids, { source });
      idBytes.set(known.bytes, { source });
    }
    this.#parts.lag.look(host.clock.monotonic(), ends, (source) => state.positions(source));
    for (const size of state.sizes()) {
      keys.set(size.keys, { group: size.group });
      bytes.set(size.bytes, { group: size.group });
      keyBytes.set(size.keys === 0 ? 0 : size.bytes / size.keys, { group: size.group });
    }
  }

  /** Drops log segments that are old, archived and covered by a snapshot. */
  async #retain(): Promise<void> {
    const { host, state, archive, snapshots, ownership } = this.#parts;
    if (ownership.claimOf(COMMON) === undefined) return;
    await snapshots.removeUnused();
    const lowest = await snapshots.lowestPositions(STATE_PARTITIONS + 1);
    const before = host.clock.now() - host.options.logRetentionMs;
    for (const source of state.plan.sources.keys()) {
      const saved = lowest.get(source) ?? [];
      const archived = await archive.positions(source);
      const keepFrom = archived.map((offset, partition) => Math.min(offset, saved[partition] ?? 0));
      await host.log.retain(sourceTopic(source), before, keepFrom);
    }
  }

  /** Does the work and notes if it fails. */
  async guarded(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#parts.host.logger.warn(`${what} failed and will be tried again`, { error: String(error) });
    }
  }
}
