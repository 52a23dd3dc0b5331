import { kernelOver } from '../kernel-wasm.ts';
import type { BoardPlaces } from './board.ts';
import { Board } from './board.ts';
import type { Bench } from './work.ts';
import { performShare } from './work.ts';

/**
 * What a helper does with an order that {@link Helpers.post} has handed to it: takes shares of the training's work until it ends. It must
 * run in a thread of its own, which it keeps busy or asleep all the time.
 */
export function helpTrees(order: unknown): void {
  const board = new Board(order as BoardPlaces);
  const bench: Bench = {
    kernel: kernelOver(board.places.memory),
    slots: board.work,
    results: board.results,
  };
  board.join();
  while (board.awaitWork()) {
    const share = board.take();
    if (share === undefined) continue;
    try {
      performShare(bench, share.kind, share);
    } catch (error) {
      board.fail();
      throw error;
    }
    board.finish();
  }
}
