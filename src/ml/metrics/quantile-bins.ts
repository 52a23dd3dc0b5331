/**
 * @internal Lower edges of bins that hold about equally many of the values: bin b holds
 * `edges[b] <= value < edges[b + 1]`, the last one everything from its edge. Equal values are never parted,
 * so there are fewer bins than asked for when few values differ. `edges[0]` is the least value.
 *
 * @param values at least one, none of them NaN
 * @param bins how many to aim at
 */
export function quantileEdges(values: ArrayLike<number>, bins: number): Float64Array {
  const sorted = Float64Array.from(values).sort();
  const edges = new Float64Array(bins);
  edges[0] = sorted[0] as number;
  let made = 1;
  for (let bin = 1; bin < bins; bin += 1) {
    const edge = sorted[Math.floor((bin * sorted.length) / bins)] as number;
    if (edge > (edges[made - 1] as number)) {
      edges[made] = edge;
      made += 1;
    }
  }
  return edges.slice(0, made);
}

/** @internal The bin of a value that is not below the first edge: the last one whose edge it reaches. */
export function binOf(edges: Float64Array, value: number): number {
  let low = 0;
  let high = edges.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (value >= (edges[middle] as number)) low = middle;
    else high = middle - 1;
  }
  return low;
}
