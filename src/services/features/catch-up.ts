import { PlatformError, sourceTopic } from '../../contract/index.ts';
import type { RecordBatch, ServiceHost } from '../../runtime/index.ts';
import type { Archive } from './archive.ts';
import type { Gap } from './online/shard.ts';
import type { FeaturesOptions } from './options.ts';
import type { SourcePlan } from './plan.ts';
import { endOf } from './state/archived-pieces.ts';
import type { StateHost } from './state/state-host.ts';

/** Rows in one query of the archive. */
const ROWS_PER_QUERY = 100_000;
/** Most records in one read of the log; the next one is asked before they are applied. */
const READ_RECORDS_MAX = 16_000;
/** How long shards are collected that are to be caught up together, in milliseconds. */
const COLLECT_MS = 20;
/** Pause before another try after the log could not be read, in milliseconds. */
const RETRY_MS = 500;

interface Waiting {
  /** State partitions. */
  readonly shards: readonly number[];
  readonly signal: AbortSignal;
  readonly resolve: () => void;
}

/** Offsets `from .. to - 1` of a source's partition. */
interface Stretch {
  readonly partition: number;
  readonly from: number;
  readonly to: number;
}

/**
 * Fills the gaps of shards: what lies between their snapshots and the positions at which live records began to reach them is
 * read once more, from the archive where the log has dropped it. Shards that come together are filled by one reading.
 */
export class CatchUp {
  readonly #host: ServiceHost<FeaturesOptions>;
  readonly #archive: Archive;
  readonly #state: StateHost;
  #waiting: Waiting[] = [];
  #isRunning = false;

  constructor(host: ServiceHost<FeaturesOptions>, archive: Archive, state: StateHost) {
    this.#host = host;
    this.#archive = archive;
    this.#state = state;
  }

  /** Resolves when the shards have no gaps, or `signal` is aborted. */
  fill(shards: readonly number[], signal: AbortSignal): Promise<void> {
    if (shards.every((shard) => this.#state.gaps(shard).length === 0)) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push({ shards, signal, resolve });
      if (!this.#isRunning) void this.#run();
    });
  }

  /** Never rejects: what fails is tried again. */
  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#waiting.length > 0) {
      await this.#host.clock.sleep(COLLECT_MS);
      const batch = this.#waiting;
      this.#waiting = [];
      const wanted = (): boolean => batch.some(({ signal }) => !signal.aborted);
      const shards = batch.filter(({ signal }) => !signal.aborted).flatMap((waiting) => waiting.shards);
      while (wanted() && !(await this.#fillAll(shards, wanted))) await this.#host.clock.sleep(RETRY_MS);
      for (const { resolve } of batch) resolve();
    }
    this.#isRunning = false;
  }

  /** `false` when the log or the archive could not be read: what was filled stays so. */
  async #fillAll(shards: readonly number[], wanted: () => boolean): Promise<boolean> {
    try {
      // Outcomes last: they then find the events that they name.
      const plans = [...this.#state.plan.sources.values()].sort(
        (left, right) => left.outcomes.length - right.outcomes.length,
      );
      for (const plan of plans) {
        for (const stretch of stretchesOf(this.#gapsOf(shards), plan.source.name)) {
          await this.#fillStretch(plan, stretch, shards, wanted);
          if (!wanted()) return true;
        }
      }
      return true;
    } catch (error) {
      this.#host.logger.warn('State partitions cannot be caught up; it is tried again', {
        error: String(error),
      });
      return false;
    }
  }

  async #fillStretch(
    plan: SourcePlan,
    stretch: Stretch,
    shards: readonly number[],
    wanted: () => boolean,
  ): Promise<void> {
    const { log } = this.#host;
    const source = plan.source.name;
    const topic = sourceTopic(source);
    const { partition, to } = stretch;
    let offset = stretch.from;
    const first = (await log.ranges(topic))[partition]?.first ?? 0;
    if (offset < first)
      offset = await this.#fillFromArchive(plan, { ...stretch, to: Math.min(first, to) }, shards, wanted);
    const read = (from: number): Promise<RecordBatch[]> =>
      log.read(topic, partition, from, { maxRecords: READ_RECORDS_MAX });
    let ahead: Promise<RecordBatch[]> | undefined;
    while (offset < to && wanted()) {
      const batches = await (ahead ?? read(offset));
      const last = batches.at(-1);
      if (last === undefined)
        throw new PlatformError('INTERNAL', `The log of '${source}' ends before offset ${String(to)}`);
      const next = last.base + last.count;
      ahead = next < to ? read(next) : undefined;
      // Whoever comes to it finds out; until then nobody waits for it.
      ahead?.catch(() => undefined);
      await this.#state.catchUp(shards, source, { to, batches });
      offset = Math.min(to, next);
    }
  }

  async #fillFromArchive(
    plan: SourcePlan,
    { partition, from, to }: Stretch,
    shards: readonly number[],
    wanted: () => boolean,
  ): Promise<number> {
    const rowsSql = await this.#archive.rowsSql(plan);
    await using session = await this.#host.warehouse.session();
    let offset = from;
    while (wanted()) {
      const result = await session.query(
        `select * from ${rowsSql} where _partition = ${String(partition)} and _offset >= ${String(offset)}
           and _offset < ${String(to)} order by _offset limit ${String(ROWS_PER_QUERY)}`,
      );
      const rows = { source: plan.source.name, partition, from: offset, result };
      // Records that were no events are in the log's positions but not in the archive.
      offset = result.rows === 0 ? to : endOf(rows);
      await this.#state.catchUpArchived(shards, rows, offset);
      if (result.rows === 0) return to;
    }
    return to;
  }

  #gapsOf(shards: readonly number[]): Gap[] {
    return shards.flatMap((shard) => this.#state.gaps(shard));
  }
}

/** What has to be read of a source so that no shard has a gap in it. */
function stretchesOf(gaps: readonly Gap[], source: string): Stretch[] {
  const stretches = new Map<number, Stretch>();
  for (const gap of gaps) {
    if (gap.source !== source) continue;
    const known = stretches.get(gap.partition) ?? gap;
    stretches.set(gap.partition, {
      partition: gap.partition,
      from: Math.min(known.from, gap.from),
      to: Math.max(known.to, gap.to),
    });
  }
  return [...stretches.values()];
}
