import type { VectorRead, VectorRow } from './routes/features.ts';
import type { Positions, RowPositions } from './routes/shared.ts';

/** What one row of a read was read at, with only the sets of positions that it needs: what a receipt keeps. */
export function positionsOfRow(read: VectorRead, row: Pick<VectorRow, 'groups'>): RowPositions {
  const { groups } = row;
  if (groups === undefined) return { positions: read.positions };
  const sets = [read.positions, ...(read.others ?? [])];
  const used = [...new Set(groups)].sort((left, right) => left - right);
  const [positions = read.positions, ...others] = used.map((set) => sets[set] ?? read.positions);
  return others.length === 0
    ? { positions }
    : { positions, others, groups: groups.map((set) => used.indexOf(set)) };
}

/** The sets of positions of a receipt, and the number of the one that holds for a group of its vector. */
export function positionSets(row: RowPositions): {
  readonly sets: readonly Positions[];
  readonly setOf: (group: number) => number;
} {
  const { positions, others = [], groups } = row;
  return { sets: [positions, ...others], setOf: (group) => groups?.[group] ?? 0 };
}
