import { type FeaturesStatus, sourceTopic } from '../../contract/index.ts';
import type { ServiceHost } from '../../runtime/index.ts';
import type { Archive } from './archive.ts';
import type { Backfill } from './backfill.ts';
import type { FeaturesOptions } from './options.ts';
import type { Ownership } from './ownership/ownership.ts';
import type { ReplicaFacts, ReplicaRow } from './ownership/owner-table.ts';
import type { StateHost } from './state/state-host.ts';

/** What this replica knows of itself. */
export function factsOf(state: StateHost, backfill: number | null): ReplicaFacts {
  return {
    vectors: [...state.plan.vectors.keys()],
    backfill,
    clock: Number.isFinite(state.clock) ? state.clock : null,
    applied: Object.fromEntries(state.allPositions()),
    groups: state.sizes().map(({ keys, events, bytes }) => ({ keys, events, bytes })),
  };
}

export interface StatusParts {
  readonly host: ServiceHost<FeaturesOptions>;
  readonly state: StateHost;
  readonly archive: Archive;
  readonly ownership: Ownership;
  readonly backfill: Pick<Backfill, 'percent'>;
}

/** The state of the whole service: of this replica as it is, of the others as of their last renewal. */
export async function statusOf({
  host,
  state,
  archive,
  ownership,
  backfill,
}: StatusParts): Promise<FeaturesStatus> {
  await state.refresh();
  const own: ReplicaRow = {
    instance: host.instance,
    replica: host.replica,
    facts: factsOf(state, backfill.percent),
  };
  const others = ownership.replicas.filter(({ instance }) => instance !== host.instance);
  const replicas = [own, ...others].sort((left, right) => (left.replica < right.replica ? -1 : 1));
  const names = [...state.plan.sources.keys()];
  const ranges = new Map(
    await Promise.all(names.map(async (name) => [name, await host.log.ranges(sourceTopic(name))] as const)),
  );
  const sources = names.map(async (source) => ({
    source,
    applied: (ranges.get(source) ?? []).map((_, partition) =>
      Math.min(...replicas.map(({ facts }) => facts.applied[source]?.[partition] ?? 0)),
    ),
    heads: (ranges.get(source) ?? []).map((range) => range.next),
    archived: await archive.positions(source),
    duplicates: state.duplicates(source),
    ...idsOf(state, source),
  }));
  const lagOf = ({ facts }: ReplicaRow): number =>
    names.reduce(
      (total, source) =>
        (ranges.get(source) ?? []).reduce(
          (sum, range, partition) =>
            sum + Math.max(0, range.next - (facts.applied[source]?.[partition] ?? 0)),
          total,
        ),
      0,
    );
  const owned = (instance: string): number =>
    ownership.rows.filter((row) => row.live && row.instance === instance).length;
  const clock = Math.max(...replicas.map(({ facts }) => facts.clock ?? 0));
  return {
    clock: host.options.clock === 'wall' ? host.clock.now() : clock,
    sources: await Promise.all(sources),
    replicas: replicas.map((row) => ({
      replica: row.replica,
      instance: row.instance,
      partitions: owned(row.instance),
      lag: lagOf(row),
    })),
    statePartitions: ownership.rows.map((row) => ({
      partition: row.partition,
      state: row.live ? (row.taker === null ? 'owned' : 'moving') : 'free',
      replica: row.live ? row.replica : null,
      epoch: row.epoch,
    })),
    groups: state.plan.groups.map((plan, index) => {
      const size = { keys: 0, events: 0, bytes: 0 };
      for (const { facts } of replicas) {
        size.keys += facts.groups[index]?.keys ?? 0;
        size.events += facts.groups[index]?.events ?? 0;
        size.bytes += facts.groups[index]?.bytes ?? 0;
      }
      const bytesPerKey = size.keys === 0 ? null : Math.round(size.bytes / size.keys);
      return { group: plan.group.name, ...size, bytesPerKey };
    }),
  };
}

function idsOf(state: StateHost, source: string): { ids: number; idBytes: number } {
  const { ids, bytes } = state.ids(source);
  return { ids, idBytes: bytes };
}
