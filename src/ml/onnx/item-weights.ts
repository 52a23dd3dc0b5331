import { UnsupportedGraph } from './errors.ts';

/** @internal The weights of an item model, from each item to each other. */
export interface ItemWeights {
  /** The sum over the given items of their rows, each times its weight (1 without any): one number for each item. */
  sum(items: ArrayLike<number>, counts: ArrayLike<number> | undefined): Float64Array;
  at(from: number, to: number): number;
}

/** @internal No item says anything for another one. */
export function noWeights(itemCount: number): ItemWeights {
  return { sum: () => new Float64Array(itemCount), at: () => 0 };
}

/** Rows added in one pass: the sums are then loaded and stored once for so many. */
const PASS_ROWS = 4;

/**
 * @internal Weights as a matrix, row by row. Four rows are added in one pass, one after the other, so that each sum comes about in
 * the order of the items.
 */
export function denseWeights(matrix: Float32Array, itemCount: number): ItemWeights {
  const row = (item: number): Float32Array => matrix.subarray(item * itemCount, (item + 1) * itemCount);
  return {
    at: (from, to) => matrix[from * itemCount + to] ?? 0,
    sum(items, counts) {
      const sums = new Float64Array(itemCount);
      let place = 0;
      for (; place + PASS_ROWS <= items.length; place += PASS_ROWS) {
        const rows = [0, 1, 2, 3].map((next) => row(items[place + next] as number));
        if (counts === undefined) addFour(sums, rows);
        else
          addFourTimes(
            sums,
            rows,
            [0, 1, 2, 3].map((next) => counts[place + next] as number),
          );
      }
      for (; place < items.length; place += 1) {
        addTimes(sums, row(items[place] as number), counts?.[place] ?? 1);
      }
      return sums;
    },
  };
}

function addFour(sums: Float64Array, rows: readonly Float32Array[]): void {
  const [a, b, c, d] = rows as [Float32Array, Float32Array, Float32Array, Float32Array];
  for (let item = 0; item < sums.length; item += 1) {
    sums[item] =
      (sums[item] as number) +
      (a[item] as number) +
      (b[item] as number) +
      (c[item] as number) +
      (d[item] as number);
  }
}

function addFourTimes(sums: Float64Array, rows: readonly Float32Array[], counts: readonly number[]): void {
  const [a, b, c, d] = rows as [Float32Array, Float32Array, Float32Array, Float32Array];
  const [i, j, k, l] = counts as [number, number, number, number];
  for (let item = 0; item < sums.length; item += 1) {
    sums[item] =
      (sums[item] as number) +
      i * (a[item] as number) +
      j * (b[item] as number) +
      k * (c[item] as number) +
      l * (d[item] as number);
  }
}

function addTimes(sums: Float64Array, row: Float32Array, count: number): void {
  for (let item = 0; item < sums.length; item += 1) {
    sums[item] = (sums[item] as number) + count * (row[item] as number);
  }
}

/**
 * @internal Weights of which most are 0.
 *
 * @param places of the weights in the matrix written row by row
 * @throws UnsupportedGraph unless the places ascend and lie in the matrix.
 */
export function sparseWeights(places: Float64Array, weights: Float32Array, itemCount: number): ItemWeights {
  const starts = new Uint32Array(itemCount + 1);
  const columns = new Uint32Array(places.length);
  let before = -1;
  for (const [entry, place] of places.entries()) {
    if (!(place > before && place < itemCount * itemCount)) {
      throw new UnsupportedGraph(
        `The places of the weights must ascend within the matrix; number ${entry} does not`,
      );
    }
    before = place;
    const from = Math.floor(place / itemCount);
    columns[entry] = place - from * itemCount;
    starts[from + 1] = entry + 1;
  }
  for (let item = 1; item <= itemCount; item += 1) {
    starts[item] = Math.max(starts[item] as number, starts[item - 1] as number);
  }
  return {
    at(from, to) {
      const end = starts[from + 1] ?? 0;
      const entry = columns.subarray(starts[from] ?? 0, end).indexOf(to);
      return entry < 0 ? 0 : (weights[(starts[from] ?? 0) + entry] ?? 0);
    },
    sum(items, counts) {
      const sums = new Float64Array(itemCount);
      for (let place = 0; place < items.length; place += 1) {
        const item = items[place] as number;
        const count = counts?.[place] ?? 1;
        const end = starts[item + 1] as number;
        for (let entry = starts[item] as number; entry < end; entry += 1) {
          const to = columns[entry] as number;
          sums[to] = (sums[to] as number) + count * (weights[entry] as number);
        }
      }
      return sums;
    },
  };
}
