import type { Binning, Kernel, LogisticRows, SharedMemory } from '../kernel.ts';
import { BINS } from '../kernel.ts';
import { arrayBytes } from '../kernel-wasm.ts';
import type { NodeSearch, NodeSplits } from '../search-node.ts';
import { betterSplit } from '../search-node.ts';
import type { Board } from './board.ts';
import { BOARD_BYTES, makeBoard } from './board.ts';
import type { ClosedLeaves, Crew } from './crew.ts';
import { crewOfOne } from './crew.ts';
import type { Helpers } from './helpers.ts';
import { HELPERS_MAX, HelperLost } from './helpers.ts';
import { putSearch, takeSplits } from './search-slots.ts';
import type { Slots } from './slots.ts';
import type { Bench } from './work.ts';
import {
  ADD_TO_LEAVES,
  BIN_ROWS,
  DIFFERENTIATE_LOGISTIC,
  SEARCH_NODE,
  performShare,
  putBinning,
  putLeaves,
  putLogistic,
} from './work.ts';

/** Work of less than this is done alone. Its unit is an addition to a histogram, of half a nanosecond: some 20 us. */
const SHARED_WORK_MIN = 20_000;
/** What else there is to do, in that unit: for a column of a node, for a row, and for a value. */
const COLUMN_SEARCH_WORK = 5 * BINS;
const DIFFERENTIATE_WORK = 14;
const ADD_WORK = 4;
const BIN_WORK = 10;
/** Leaves that get their values together. */
const LEAVES_TOGETHER = 256;
/** How often a thread that waits for shares looks whether those who took them are still there, in milliseconds. */
const LOST_LOOK_MS = 100;

/**
 * @internal The calling thread and its helpers. Nodes are shared by column, everything else by row, so that each number is computed by one
 * thread as if it were alone. Helpers are counted when they arrive: until then the calling thread does their shares.
 *
 * @param kernel with {@link CREW_BYTES} of memory for this
 * @throws RangeError when there is no helper, or more than {@link HELPERS_MAX}.
 */
export function crewOfMany(kernel: Kernel, memory: SharedMemory, helpers: Helpers): Crew {
  if (!(helpers.count >= 1 && helpers.count <= HELPERS_MAX)) {
    throw new RangeError(`There must be from 1 to ${HELPERS_MAX} helpers, not ${helpers.count}`);
  }
  const board = makeBoard(kernel, memory);
  const alone = crewOfOne(kernel);
  const bench: Bench = { kernel, slots: board.work, results: board.results };
  const ranges = kernel.integers(LEAVES_TOGETHER * 2);
  const values = kernel.doubles(LEAVES_TOGETHER);
  const share = (kind: number, put: (slots: Slots) => void): number =>
    shareOut({ board, bench, helpers }, kind, put);
  const isSmall = (work: number): boolean => work < SHARED_WORK_MIN || board.joined() === 0;
  helpers.post(board.places);
  return {
    ...alone,
    searchNode(search: NodeSearch): NodeSplits {
      const { range, data } = search;
      const work = data.columns * (range.end - range.start + COLUMN_SEARCH_WORK);
      if (isSmall(work)) return alone.searchNode(search);
      const shares = share(SEARCH_NODE, (slots) => putSearch(slots, search));
      let found: NodeSplits = { own: undefined, other: undefined };
      for (let index = 0; index < shares; index += 1) {
        const { own, other } = takeSplits((board.results[index] as Slots).rewind());
        found = { own: betterSplit(found.own, own), other: betterSplit(found.other, other) };
      }
      return found;
    },
    differentiateLogistic(given: LogisticRows) {
      if (isSmall(given.margins.length * DIFFERENTIATE_WORK)) kernel.differentiateLogistic(given);
      else share(DIFFERENTIATE_LOGISTIC, (slots) => putLogistic(slots, given));
    },
    addToLeaves(closed: ClosedLeaves) {
      const { margins, rows, leaves } = closed;
      if (isSmall(rows.length * ADD_WORK)) {
        alone.addToLeaves(closed);
        return;
      }
      for (let first = 0; first < leaves.length; first += LEAVES_TOGETHER) {
        const some = leaves.slice(first, first + LEAVES_TOGETHER);
        some.forEach(({ start, end, value }, leaf) => {
          ranges[leaf * 2] = start;
          ranges[leaf * 2 + 1] = end;
          values[leaf] = value;
        });
        const table = { margins, rows, ranges, values: values.subarray(0, some.length) };
        share(ADD_TO_LEAVES, (slots) => putLeaves(slots, table));
      }
    },
    binRows(binning: Binning) {
      if (isSmall(binning.count * binning.features.length * BIN_WORK)) kernel.binRows(binning);
      else share(BIN_ROWS, (slots) => putBinning(slots, binning));
    },
    dismiss() {
      board.end();
      helpers.settle();
    },
  };
}

/** @internal Bytes of a kernel's memory that a crew of many takes. */
export const CREW_BYTES: number =
  BOARD_BYTES + arrayBytes(LEAVES_TOGETHER * 2, 4) + arrayBytes(LEAVES_TOGETHER, 8);

/** Has some work done and returns into how many shares it was cut. */
function shareOut(
  crew: { readonly board: Board; readonly bench: Bench; readonly helpers: Helpers },
  kind: number,
  put: (slots: Slots) => void,
): number {
  const { board, bench, helpers } = crew;
  const shares = 1 + Math.min(board.joined(), HELPERS_MAX);
  put(board.work.rewind());
  board.offer(kind, shares);
  for (let taken = board.take(); taken !== undefined; taken = board.take()) {
    performShare(bench, taken.kind, taken);
    board.finish();
  }
  while (!board.awaitDone(LOST_LOOK_MS)) {
    if (helpers.isLost()) throw new HelperLost();
  }
  if (board.hasFailed()) throw new HelperLost();
  return shares;
}
