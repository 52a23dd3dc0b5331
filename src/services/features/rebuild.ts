import { sourceTopic } from '../../contract/index.ts';
import type { Value } from '../../define/index.ts';
import type { ServiceHost } from '../../runtime/index.ts';
import type { Archive } from './archive.ts';
import { archiveColumns } from './offline/event-tables.ts';
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
  const fields = archiveColumns(source).slice(3);
  await using session = await host.warehouse.session();
  for (const [partition, archived] of (await archive.positions(source.name)).entries()) {
    let from = state.positions(source.name)[partition] ?? 0;
    while (from < archived) {
      const result = await session.query(
        `select * from ${rows} where _partition = ${String(partition)} and _offset >= ${String(from)}
         order by _offset limit ${String(ROWS_PER_QUERY)}`,
      );
      if (result.rows === 0) break;
      const offsets = result.columns.get('_offset');
      for (let row = 0; row < result.rows; row += 1) {
        const values: Record<string, Value> = {};
        for (const field of fields) {
          const value = result.columns.get(field.name)?.[row] ?? null;
          values[field.name] = typeof value === 'number' && Number.isNaN(value) ? null : value;
        }
        const time = Number(values[source.time]);
        const event = { id: String(values[source.id]), time, key: String(values[source.key]), values };
        if (host.options.clock === 'event') state.advance(time);
        from = Number(offsets?.[row]) + 1;
        state.apply(source.name, partition, from - 1, event);
      }
      await host.clock.sleep(0);
    }
    // Records that were no events are in the log's positions but not in the archive.
    if (from < archived) state.skip(source.name, partition, archived - 1);
  }
}
