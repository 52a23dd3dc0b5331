import type { VectorRead, VectorRow } from './routes/features.ts';
import type { Positions, RowPositions } from './routes/shared.ts';

/** What one row of a read was read at, with only the sets of positions that it needs: what a receipt keeps. */
export function positionsOfRow(read: VectorRead, row: Pick<VectorRow, 'groups'>): RowPositions {
  const { groups } = row;
  if (groups === undefined) return { positions: read.positions };
  const { positions, others, numberOf } = usedSets(read, groups);
  return others.length === 0 ? { positions } : { positions, others, groups: groups.map(numberOf) };
}

/** What rows of one read were read at, with only the sets of positions that they need. */
export interface RowsPositions {
  readonly positions: Positions;
  readonly others?: Positions[];
  /** For each row as in {@link RowPositions}. */
  readonly groups?: number[][];
}

/** As {@link positionsOfRow}, of several rows of a vector with so many groups. */
export function positionsOfRows(
  read: VectorRead,
  rows: readonly Pick<VectorRow, 'groups'>[],
  groupCount: number,
): RowsPositions {
  if (rows.every(({ groups }) => groups === undefined)) return { positions: read.positions };
  const all = rows.map(({ groups }) => groups ?? Array.from({ length: groupCount }, () => 0));
  const { positions, others, numberOf } = usedSets(read, all.flat());
  return others.length === 0
    ? { positions }
    : { positions, others, groups: all.map((groups) => groups.map(numberOf)) };
}

/** The sets that are named, the lowest as `positions`, and the new number of each. */
function usedSets(
  read: VectorRead,
  named: readonly number[],
): {
  readonly positions: Positions;
  readonly others: Positions[];
  readonly numberOf: (set: number) => number;
} {
  const sets = [read.positions, ...(read.others ?? [])];
  const used = [...new Set(named)].sort((left, right) => left - right);
  const [positions = read.positions, ...others] = used.map((set) => sets[set] ?? read.positions);
  return { positions, others, numberOf: (set) => used.indexOf(set) };
}

/** The sets of positions of a receipt, and the number of the one that holds for a group of its vector. */
export function positionSets(row: RowPositions): {
  readonly sets: readonly Positions[];
  readonly setOf: (group: number) => number;
} {
  const { positions, others = [], groups } = row;
  return { sets: [positions, ...others], setOf: (group) => groups?.[group] ?? 0 };
}
