import type { Candidate, Histogram, NodeSearch, NodeSplits } from '../search-node.ts';
import type { BestSplit, NodeSums } from '../split.ts';
import type { Slots } from './slots.ts';

/** @internal Writes what a search is about. All arrays must be in the memory of the slots. */
export function putSearch(slots: Slots, search: NodeSearch): void {
  const { data, columns, limits, range, made, own, other } = search;
  slots.putArray(data.bins).put(data.columns).putArray(data.derivatives);
  slots.putArray(columns.lastBins).putArray(columns.equality);
  putOptional(slots, columns.directions, (directions) => slots.putArray(directions));
  slots.put(limits.lambda, limits.alpha, limits.minHessian, limits.minRows, limits.minGain);
  slots.putArray(range.rows).put(range.start, range.end);
  putHistogram(slots, made);
  putOptional(slots, own, (candidate) => putCandidate(slots, candidate));
  putOptional(slots, other, ({ parent, candidate }) => {
    putHistogram(slots, parent);
    putCandidate(slots, candidate);
  });
}

/** @internal Reads it. */
export function takeSearch(slots: Slots): NodeSearch {
  return {
    data: { bins: slots.takeBytes(), columns: slots.take(), derivatives: slots.takeDoubles() },
    columns: {
      lastBins: slots.takeIntegers(),
      equality: slots.takeBytes(),
      directions: takeOptional(slots, () => slots.takeIntegers()),
    },
    limits: {
      lambda: slots.take(),
      alpha: slots.take(),
      minHessian: slots.take(),
      minRows: slots.take(),
      minGain: slots.take(),
    },
    range: { rows: slots.takeIntegers(), start: slots.take(), end: slots.take() },
    made: takeHistogram(slots),
    own: takeOptional(slots, () => takeCandidate(slots)),
    other: takeOptional(slots, () => ({
      parent: takeHistogram(slots),
      candidate: takeCandidate(slots),
    })),
  };
}

/** @internal Writes what was found. */
export function putSplits(slots: Slots, { own, other }: NodeSplits): void {
  for (const split of [own, other]) {
    putOptional(slots, split, ({ column, bin, missingLeft, gain, left, right }) => {
      slots.put(column, bin, missingLeft ? 1 : 0, gain);
      putSums(slots, left);
      putSums(slots, right);
    });
  }
}

/** @internal Reads it. */
export function takeSplits(slots: Slots): NodeSplits {
  const takeSplit = (): BestSplit => ({
    column: slots.take(),
    bin: slots.take(),
    missingLeft: slots.take() === 1,
    gain: slots.take(),
    left: takeSums(slots),
    right: takeSums(slots),
  });
  return { own: takeOptional(slots, takeSplit), other: takeOptional(slots, takeSplit) };
}

function putOptional<TValue>(slots: Slots, value: TValue | undefined, put: (value: TValue) => unknown): void {
  slots.put(value === undefined ? 0 : 1);
  if (value !== undefined) put(value);
}

function takeOptional<TValue>(slots: Slots, take: () => TValue): TValue | undefined {
  return slots.take() === 1 ? take() : undefined;
}

function putHistogram(slots: Slots, { sums, counts }: Histogram): void {
  slots.putArray(sums);
  putOptional(slots, counts, (array) => slots.putArray(array));
}

function takeHistogram(slots: Slots): Histogram {
  return { sums: slots.takeDoubles(), counts: takeOptional(slots, () => slots.takeIntegers()) };
}

function putCandidate(slots: Slots, { sums, rows, bounds, considered }: Candidate): void {
  putSums(slots, sums);
  slots.put(rows, bounds.lower, bounds.upper).putArray(considered);
}

function takeCandidate(slots: Slots): Candidate {
  return {
    sums: takeSums(slots),
    rows: slots.take(),
    bounds: { lower: slots.take(), upper: slots.take() },
    considered: slots.takeIntegers(),
  };
}

function putSums(slots: Slots, { gradient, hessian }: NodeSums): void {
  slots.put(gradient, hessian);
}

function takeSums(slots: Slots): NodeSums {
  return { gradient: slots.take(), hessian: slots.take() };
}
