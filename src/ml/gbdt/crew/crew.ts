import type { Kernel } from '../kernel.ts';
import type { NodeSearch, NodeSplits } from '../search-node.ts';
import { searchColumns } from '../search-node.ts';

/** A range of the row indices, and what is added to the margins of its rows. */
export interface ClosedLeaf {
  readonly start: number;
  readonly end: number;
  readonly value: number;
}

/** Leaves of a tree, and the arrays that they are of. */
export interface ClosedLeaves {
  readonly margins: Float64Array;
  readonly rows: Int32Array;
  readonly leaves: readonly ClosedLeaf[];
}

/** A kernel, with the work on a whole node and a whole tree. Where it has helpers, they take shares of its larger loops. */
export interface Crew extends Kernel {
  searchNode(search: NodeSearch): NodeSplits;
  addToLeaves(closed: ClosedLeaves): void;
  /** Lets the helpers go; nothing may be asked of the crew after it. */
  dismiss(): void;
}

/** @internal The calling thread alone. */
export function crewOfOne(kernel: Kernel): Crew {
  return {
    ...kernel,
    searchNode: (search) => searchColumns(kernel, search, { from: 0, to: search.data.columns }),
    addToLeaves({ margins, rows, leaves }) {
      for (const { start, end, value } of leaves) kernel.addToRows(margins, { rows, start, end }, value);
    },
    dismiss() {},
  };
}
