import { sourceTopic } from '../../contract/index.ts';
import type { ServiceHost } from '../../runtime/index.ts';
import type { Archive } from './archive.ts';
import { archivedEvents } from './offline/event-tables.ts';
import type { OnlineState } from './online/online-state.ts';
import type { FeaturesOptions } from './options.ts';
import type { SourcePlan } from './plan.ts';

/** Rows in one query of the archive. */
const ROWS_PER_QUERY = 100_000;

/**
 * Brings a state to where the log can go on: whatever retention has dropped from the log is applied from the archive.
 * Needed when the definitions have changed, or when the snapshot is lost.
 */
export async function rebuild(
  host: ServiceHost<FeaturesOptions>,
  archive: Archive,
  state: OnlineState,
): Promise<void> {
  for (const plan of state.plan.sources.values()) {
    const ranges = await host.log.ranges(sourceTopic(plan.source.name));
    const positions = state.positions(plan.source.name);
    const missing = ranges.some((range, partition) => (positions[partition] ?? 0) < range.first);
    if (!missing) continue;
    host.logger.info('applying the archive to the feature state', { source: plan.source.name });
    await applyArchive(host, archive, state, plan);
  }
}

async function applyArchive(
  host: ServiceHost<FeaturesOptions>,
  archive: Archive,
  state: OnlineState,
  plan: SourcePlan,
): Promise<void> {
  const { source } = plan;
  const rows = await archive.rowsSql(plan);
  await using session = await host.warehouse.session();
  for (const [partition, archived] of (await archive.positions(source.name)).entries()) {
    let from = state.positions(source.name)[partition] ?? 0;
    while (from < archived) {
      const result = await session.query(
        `select * from ${rows} where _partition = ${String(partition)} and _offset >= ${String(from)}
         order by _offset limit ${String(ROWS_PER_QUERY)}`,
      );
      if (result.rows === 0) break;
      for (const { offset, event } of archivedEvents(source, result)) {
        if (host.options.clock === 'event') state.advance(event.time);
        state.apply(source.name, partition, offset, event);
        from = offset + 1;
      }
      await host.clock.sleep(0);
    }
    // Records that were no events are in the log's positions but not in the archive.
    if (from < archived) state.skip(source.name, partition, archived - 1);
  }
}
