import type { Event } from '../../../contract/index.ts';
import type { OnlineState } from '../online/online-state.ts';
import type { Shard } from '../online/shard.ts';

/** What fills the gaps that shards have in a source's partition. */
export interface Filler {
  /** Where the earliest gap begins. */
  readonly from: number;
  /** Applies a record to those shards that have a gap where it lies. */
  fill(offset: number, event: Event): void;
}

export function fillerOf(
  state: OnlineState,
  shards: readonly Shard[],
  source: string,
  partition: number,
): Filler {
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
  return {
    from: Math.min(...gaps.map((gap) => gap.from)),
    fill(offset, event) {
      const inAll = offset >= latestStart && offset < earliestEnd;
      const takers = inAll ? all : byPartition(gaps.filter((gap) => offset >= gap.from && offset < gap.to));
      state.catchUp(takers, source, partition, offset, event);
    },
  };
}

/** Notes that everything below `offset` is filled. */
export function narrowGaps(
  shards: readonly Shard[],
  source: string,
  partition: number,
  offset: number,
): void {
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
