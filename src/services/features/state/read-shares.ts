import type { VectorPlan } from '../plan.ts';
import type { ReadShare } from './read-queue.ts';
import type { GroupRow, GroupRows, ReadAsk, ReadAt } from './state-host.ts';
import type { ThreadLink } from './thread-link.ts';

/** What a read asks of each thread that has state of it; `linkOf` is the thread of a key. */
export function sharesOf(
  vector: VectorPlan,
  asks: readonly ReadAsk[],
  { at, linkOf }: { readonly at: ReadAt; readonly linkOf: (key: string) => ThreadLink },
): ReadShare[] {
  const byLink = new Map<ThreadLink, { indexes: number[]; asks: ReadAsk[] }>();
  for (const [index, ask] of asks.entries()) {
    const own = new Map<ThreadLink, number[]>();
    for (const group of ask.groups) {
      const link = linkOf(String(ask.event.values[vector.groups[group]?.group.key ?? '']));
      const groups = own.get(link);
      if (groups === undefined) own.set(link, [group]);
      else groups.push(group);
    }
    for (const [link, groups] of own) {
      const share = byLink.get(link) ?? { indexes: [], asks: [] };
      byLink.set(link, share);
      share.indexes.push(index);
      share.asks.push({ ...ask, groups });
    }
  }
  return [...byLink].map(([link, share]) => ({
    link,
    generation: link.generation,
    indexes: share.indexes,
    read: { vector: vector.vector.name, asks: share.asks, at },
  }));
}

/** Tiles are read in order, each row no earlier than the one before: whichever threads a row concerns. */
export function rising(asks: readonly ReadAsk[]): ReadAsk[] {
  let latest = Number.NEGATIVE_INFINITY;
  return asks.map((ask) => {
    latest = Math.max(latest, ask.instant);
    return { ...ask, instant: latest };
  });
}

export interface MergedRow extends GroupRow {
  /** Whether all threads read it at the same instant. */
  readonly isOne: boolean;
}

/** Puts the threads' answers together. */
export function merged(
  vector: VectorPlan,
  asks: readonly ReadAsk[],
  { shares, answers }: { readonly shares: readonly ReadShare[]; readonly answers: readonly GroupRows[] },
): MergedRow[] {
  const rows = asks.map(({ instant }) => ({
    asOf: Number.NEGATIVE_INFINITY,
    isOne: true,
    groups: vector.groups.map((): GroupRow['groups'][number] => undefined),
    instant,
  }));
  for (const [at, { indexes }] of shares.entries()) {
    for (const [place, index] of indexes.entries()) {
      const part = answers[at]?.rows[place];
      const row = rows[index];
      if (part === undefined || row === undefined) continue;
      if (row.asOf !== Number.NEGATIVE_INFINITY && row.asOf !== part.asOf) row.isOne = false;
      row.asOf = Math.max(row.asOf, part.asOf);
      for (const [group, values] of part.groups.entries())
        if (values !== null && values !== undefined) row.groups[group] = values;
    }
  }
  return rows.map(({ asOf, instant, isOne, groups }) => ({
    asOf: asOf === Number.NEGATIVE_INFINITY ? instant : asOf,
    isOne,
    groups,
  }));
}
