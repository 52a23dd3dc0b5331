import { type Event, PlatformError, sourceTopic } from '../../contract/index.ts';
import type { RecordBatch, ServiceHost } from '../../runtime/index.ts';
import type { Archive } from './archive.ts';
import { archivedEvents } from './offline/event-tables.ts';
import type { OnlineState } from './online/online-state.ts';
import type { Shard } from './online/shard.ts';
import type { FeaturesOptions } from './options.ts';
import type { SourcePlan } from './plan.ts';

/** Rows in one query of the archive. */
const ROWS_PER_QUERY = 100_000;
/** Most records in one read of the log; the next one is asked before they are applied. */
const READ_RECORDS_MAX = 16_000;
/** How many records are applied between two looks at the time. */
const RECORDS_PER_LOOK = 64;
/** How long shards are collected that are to be caught up together, in milliseconds. */
const COLLECT_MS = 20;
/** Pause before another try after the log could not be read, in milliseconds. */
const RETRY_MS = 500;

interface Waiting {
  readonly shards: readonly Shard[];
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
  readonly #state: OnlineState;
  #waiting: Waiting[] = [];
  #isRunning = false;

  constructor(host: ServiceHost<FeaturesOptions>, archive: Archive, state: OnlineState) {
    this.#host = host;
    this.#archive = archive;
    this.#state = state;
  }

  /** Resolves when the shards have no gaps, or `signal` is aborted. */
  fill(shards: readonly Shard[], signal: AbortSignal): Promise<void> {
    if (shards.every((shard) => shard.gaps.length === 0)) return Promise.resolve();
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
  async #fillAll(shards: readonly Shard[], wanted: () => boolean): Promise<boolean> {
    try {
      // Outcomes last: they then find the events that they name.
      const plans = [...this.#state.plan.sources.values()].sort(
        (left, right) => left.outcomes.length - right.outcomes.length,
      );
      for (const plan of plans) {
        for (const stretch of stretchesOf(shards, plan.source.name)) {
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
    shards: readonly Shard[],
    wanted: () => boolean,
  ): Promise<void> {
    const { log, clock, options } = this.#host;
    const source = plan.source.name;
    const topic = sourceTopic(source);
    const { partition, to } = stretch;
    const fill = filler(this.#state, shards, source, partition);
    let offset = stretch.from;
    const first = (await log.ranges(topic))[partition]?.first ?? 0;
    if (offset < first)
      offset = await this.#fillFromArchive(
        plan,
        { ...stretch, to: Math.min(first, to) },
        shards,
        fill,
        wanted,
      );
    const read = (from: number): Promise<RecordBatch[]> =>
      log.read(topic, partition, from, { maxRecords: READ_RECORDS_MAX });
    let sliceStart = clock.monotonic();
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
      for (const batch of batches) {
        for (let index = Math.max(0, offset - batch.base); index < batch.count; index += 1) {
          offset = batch.base + index;
          if (offset >= to) break;
          const event = plan.records.read(batch, index);
          if (event !== undefined) fill(offset, event);
          if (index % RECORDS_PER_LOOK === 0 && clock.monotonic() - sliceStart > options.applySliceMs) {
            await clock.sleep(0);
            sliceStart = clock.monotonic();
          }
        }
        offset = Math.min(to, batch.base + batch.count);
        narrowGaps(shards, source, partition, offset);
      }
    }
  }

  async #fillFromArchive(
    plan: SourcePlan,
    { partition, from, to }: Stretch,
    shards: readonly Shard[],
    fill: (offset: number, event: Event) => void,
    wanted: () => boolean,
  ): Promise<number> {
    const rows = await this.#archive.rowsSql(plan);
    await using session = await this.#host.warehouse.session();
    let offset = from;
    while (wanted()) {
      const result = await session.query(
        `select * from ${rows} where _partition = ${String(partition)} and _offset >= ${String(offset)}
           and _offset < ${String(to)} order by _offset limit ${String(ROWS_PER_QUERY)}`,
      );
      // Records that were no events are in the log's positions but not in the archive.
      if (result.rows === 0) {
        narrowGaps(shards, plan.source.name, partition, to);
        return to;
      }
      for (const archived of archivedEvents(plan.source, result)) {
        fill(archived.offset, archived.event);
        offset = archived.offset + 1;
      }
      narrowGaps(shards, plan.source.name, partition, offset);
      await this.#host.clock.sleep(0);
    }
    return to;
  }
}

/** What has to be read of a source so that no shard has a gap in it. */
function stretchesOf(shards: readonly Shard[], source: string): Stretch[] {
  const stretches = new Map<number, Stretch>();
  for (const gap of shards.flatMap((shard) => shard.gaps)) {
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

/** Applies a record to those shards that have a gap where it lies. */
function filler(
  state: OnlineState,
  shards: readonly Shard[],
  source: string,
  partition: number,
): (offset: number, event: Event) => void {
  const gaps = shards.flatMap((shard) =>
    shard.gaps
      .filter((gap) => gap.source === source && gap.partition === partition)
      .map((gap) => ({ shard, ...gap })),
  );
  const latestStart = Math.max(...gaps.map((gap) => gap.from));
  const earliestEnd = Math.min(...gaps.map((gap) => gap.to));
  const byPartition = (having: typeof gaps): (Shard | undefined)[] => {
    const list: (Shard | undefined)[] = Array.from({ length: state.statePartitions }, () => undefined);
    for (const { shard } of having) list[shard.partition] = shard;
    return list;
  };
  const all = byPartition(gaps);
  return (offset, event) => {
    const inAll = offset >= latestStart && offset < earliestEnd;
    const takers = inAll ? all : byPartition(gaps.filter((gap) => offset >= gap.from && offset < gap.to));
    state.catchUp(takers, source, partition, offset, event);
  };
}

/** Notes that everything below `offset` is filled. */
function narrowGaps(shards: readonly Shard[], source: string, partition: number, offset: number): void {
  for (const shard of shards) {
    shard.gaps = shard.gaps
      .map((gap) =>
        gap.source === source && gap.partition === partition && gap.from < offset
          ? { ...gap, from: offset }
          : gap,
      )
      .filter((gap) => gap.from < gap.to);
  }
}
