import { sourceTopic } from '../../contract/index.ts';
import type { ServiceHost, WarehouseSession } from '../../runtime/index.ts';
import type { Archive } from './archive.ts';
import type { FeaturesOptions } from './options.ts';
import type { SourcePlan } from './plan.ts';
import { endOf } from './state/archived-pieces.ts';
import type { StateHost } from './state/state-host.ts';

/** Rows in one query of the archive. */
const ROWS_PER_QUERY = 50_000;

export interface RebuildParts {
  readonly host: ServiceHost<FeaturesOptions>;
  readonly archive: Archive;
  readonly state: StateHost;
  /** Told how many records were applied. */
  readonly applied: (records: number) => void;
  /** Gives it up. */
  readonly signal: AbortSignal;
}

/**
 * Brings a state to where the log can go on: whatever retention has dropped from the log is applied from the archive.
 * Needed when the definitions have changed, or when the snapshot is lost. Other work gets its turns.
 */
export async function rebuild(parts: RebuildParts): Promise<void> {
  const { host, state } = parts;
  for (const plan of state.plan.sources.values()) {
    const source = plan.source.name;
    const ranges = await host.log.ranges(sourceTopic(source));
    const missing = [...ranges.keys()].filter(
      (partition) => state.next(source, partition) < (ranges[partition]?.first ?? 0),
    );
    if (missing.length === 0) continue;
    host.logger.info('applying the archive to the feature state', { source });
    await applyArchive(parts, plan, missing);
  }
}

/** Applies what the archive has of these partitions beyond the state's positions. */
export async function applyArchive(
  parts: RebuildParts,
  plan: SourcePlan,
  partitions: readonly number[],
): Promise<void> {
  const { host, archive } = parts;
  const rows = await archive.rowsSql(plan);
  const archived = await archive.positions(plan.source.name);
  await using session = await host.warehouse.session();
  for (const partition of partitions) {
    const to = archived[partition] ?? 0;
    await applyPartition(parts, plan, { session, rows, partition, archived: to });
  }
}

async function applyPartition(
  { state, signal, applied }: RebuildParts,
  { source }: SourcePlan,
  {
    session,
    rows,
    partition,
    archived,
  }: {
    readonly session: WarehouseSession;
    readonly rows: string;
    readonly partition: number;
    readonly archived: number;
  },
): Promise<void> {
  let from = state.next(source.name, partition);
  while (from < archived && !signal.aborted) {
    const result = await session.query(
      `select * from ${rows} where _partition = ${String(partition)} and _offset >= ${String(from)}
       and _offset < ${String(archived)} order by _offset limit ${String(ROWS_PER_QUERY)}`,
    );
    if (result.rows === 0) break;
    const found = { source: source.name, partition, from, result };
    await state.applyArchived(found);
    from = endOf(found);
    applied(result.rows);
  }
  // Records that were no events are in the log's positions but not in the archive.
  if (from < archived && !signal.aborted) {
    await state.skip(source.name, partition, from, archived);
    applied(0);
  }
}
