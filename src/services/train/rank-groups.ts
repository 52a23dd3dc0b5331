import type { Part } from './part-file.ts';

/** Where the groups of a part begin, and behind them its number of rows. The rows of a group lie behind each other and share an entity. */
export function groupStarts({ entities, rows }: Part): number[] {
  const starts: number[] = [];
  for (let row = 0; row < rows; row += 1) {
    if (row === 0 || entities?.[row] !== entities?.[row - 1]) starts.push(row);
  }
  return [...starts, rows];
}

/** Rows of each group that lies between two rows at which groups begin or end. */
export function groupSizes(
  part: Part,
  { from, to }: { readonly from: number; readonly to: number },
): number[] {
  const starts = groupStarts(part).filter((start) => start >= from && start <= to);
  return starts.slice(1).map((start, group) => start - (starts[group] as number));
}

/** Where a share of the newest groups begins: a group lies on one side. Throws RangeError when they are all. */
export function rowsBeforeNewestGroups(part: Part, share: number): number {
  const starts = groupStarts(part);
  const groups = starts.length - 1;
  const newest = Math.ceil(groups * share);
  if (newest < groups) return starts[groups - newest] as number;
  throw new RangeError(`early stopping judges by the newest ${newest} groups, and there are ${groups}`);
}
