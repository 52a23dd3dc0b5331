import { readHeldOut } from './held-out.ts';
import type { CalibrationOptions } from './platt.ts';

/** A rising curve through points: between two of them the straight line, outside them level. */
export interface IsotonicCalibration {
  readonly kind: 'isotonic';
  /** Scores, ascending. */
  readonly scores: Float64Array;
  /** The probability at each score, never falling. */
  readonly probabilities: Float64Array;
}

interface Block {
  /** Lowest and highest score in it. */
  low: number;
  high: number;
  weight: number;
  /** Weight of the positive rows. */
  positive: number;
}

/**
 * Fits an isotonic regression of the labels on the scores by pooling adjacent violators (Ayer and others,
 * 1955): of all curves that never fall, the one with the least squared error. Equal scores are merged first.
 *
 * Each pooled block is level from its lowest to its highest score; between two blocks the curve is the
 * straight line, not a step. Nothing was seen there, and a step would let a rounding error of the score move
 * the probability from one block's to the next one's.
 *
 * @param scores finite numbers of rows that the model was not fitted on, some hundreds at least: with fewer,
 *   Platt's scaling is the safer choice.
 * @param labels 0 or 1 for each score; one class alone is enough.
 * @throws RangeError on unsound input.
 */
export function fitIsotonic(
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  options: CalibrationOptions = {},
): IsotonicCalibration {
  const heldOut = readHeldOut(scores, labels, options.weights);
  const order = Int32Array.from(heldOut.scores, (_, row) => row).sort(
    (a, b) => (heldOut.scores[a] as number) - (heldOut.scores[b] as number) || a - b,
  );
  const blocks: Block[] = [];
  let open: Block | undefined;
  for (const row of order) {
    const weight = heldOut.weights[row] as number;
    if (weight === 0) continue;
    const score = heldOut.scores[row] as number;
    if (open?.high !== score) {
      if (open !== undefined) pushBlock(blocks, open);
      open = { low: score, high: score, weight: 0, positive: 0 };
    }
    open.weight += weight;
    if (heldOut.labels[row] === 1) open.positive += weight;
  }
  if (open !== undefined) pushBlock(blocks, open);
  return curveOf(blocks);
}

/** Puts a block behind the others and pools it with those before it that are not lower. */
function pushBlock(blocks: Block[], block: Block): void {
  const pooled = block;
  for (let last = blocks.at(-1); last !== undefined; last = blocks.at(-1)) {
    if (shareOf(last) < shareOf(pooled)) break;
    blocks.pop();
    pooled.low = last.low;
    pooled.weight += last.weight;
    pooled.positive += last.positive;
  }
  blocks.push(pooled);
}

function shareOf(block: Block): number {
  return block.positive / block.weight;
}

function curveOf(blocks: readonly Block[]): IsotonicCalibration {
  const scores: number[] = [];
  const probabilities: number[] = [];
  for (const block of blocks) {
    scores.push(block.low);
    probabilities.push(shareOf(block));
    if (block.high > block.low) {
      scores.push(block.high);
      probabilities.push(shareOf(block));
    }
  }
  return {
    kind: 'isotonic',
    scores: Float64Array.from(scores),
    probabilities: Float64Array.from(probabilities),
  };
}

/** @internal The curve at a score. */
export function interpolate(calibration: IsotonicCalibration, score: number): number {
  const { scores, probabilities } = calibration;
  // The first point above the score.
  let low = 0;
  let high = scores.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((scores[middle] as number) <= score) low = middle + 1;
    else high = middle;
  }
  if (low === 0) return probabilities[0] as number;
  const below = probabilities[low - 1] as number;
  if (low === scores.length) return below;
  const above = probabilities[low] as number;
  const from = scores[low - 1] as number;
  const width = (scores[low] as number) - from;
  // Halved where scores are so large that their difference is infinite.
  const share =
    width < Number.POSITIVE_INFINITY
      ? (score - from) / width
      : (score / 2 - from / 2) / ((scores[low] as number) / 2 - from / 2);
  // Rounding of the line must not lead past its end.
  return Math.min(above, below + share * (above - below));
}
