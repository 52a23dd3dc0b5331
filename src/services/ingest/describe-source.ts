import { type InputOf, routes, type SourceDescription } from '../../contract/index.ts';
import type { PartitionRange } from '../../runtime/index.ts';
import { findContract, type IngestContext } from './context.ts';
import { readPollStatus } from './poll-state.ts';
import { countRefused } from './quarantine.ts';

/** What a source takes, how much came, and how far its features are behind. */
export async function describeSource(
  context: IngestContext,
  input: InputOf<typeof routes.describeSource>,
): Promise<SourceDescription> {
  const { host } = context;
  const { source, topic, partitions } = findContract(context, input.params.source);
  const { poll: table } = source;
  const [ranges, quarantined, features, poll] = await Promise.all([
    host.log.ranges(topic),
    countRefused(host.tables, source.name),
    askFeatures(context, source.name),
    table === undefined ? null : readPollStatus(host.tables, source.name, { table, now: host.clock.now() }),
  ]);
  return {
    name: source.name,
    contract: {
      hash: source.hash,
      id: source.id,
      time: source.time,
      key: source.key,
      fields: { ...source.fields },
      corrections: source.corrections ?? false,
    },
    partitions,
    accepted: ranges.reduce((sum, { first, next }) => sum + next - first, 0),
    quarantined,
    duplicates: features?.duplicates ?? null,
    lag: features === undefined ? null : lagOf(ranges, features.applied),
    poll,
  };
}

/** What the features service knows of the source; `undefined` while it cannot be asked, whatever the reason. */
async function askFeatures(
  context: IngestContext,
  source: string,
): Promise<{ readonly applied: readonly number[]; readonly duplicates: number } | undefined> {
  try {
    const input = { params: {}, query: {}, body: {} };
    const timeoutMs = context.limits.featuresTimeoutMs;
    const status = await context.host.call(routes.getFeaturesStatus, input, { timeoutMs });
    return status.sources.find((item) => item.source === source);
  } catch {
    return undefined;
  }
}

function lagOf(ranges: readonly PartitionRange[], applied: readonly number[]): number {
  return ranges.reduce((sum, { next }, partition) => sum + Math.max(0, next - (applied[partition] ?? 0)), 0);
}
