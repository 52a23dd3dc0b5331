/**
 * A sparse matrix in compressed rows: row r holds the entries `starts[r]` up to, not including, `starts[r +
 * 1]`, by ascending column.
 */
export interface SparseRows {
  /** One more than there are rows. */
  readonly starts: Int32Array;
  /** Column of each entry. */
  readonly columns: Int32Array;
  /** Weight of each entry. */
  readonly weights: Float64Array;
  /** Time of each entry, where times are known. */
  readonly times: Float64Array | undefined;
}

/** @internal Entries in the order in which they came; several may have the same row and column. */
export interface Entries {
  readonly rows: Int32Array;
  readonly columns: Int32Array;
  readonly weights: Float64Array;
  readonly times: Float64Array | undefined;
}

/** What becomes of several interactions of one user with one item; the time is the latest in all cases. */
export type MergeRule = 'max' | 'sum' | 'latest';

interface Shape {
  readonly rows: number;
  readonly columns: number;
}

/** @internal Sorts entries by row and column and merges equal ones, folding them in the order they came. */
export function sparseOf(entries: Entries, shape: Shape, merge: MergeRule): SparseRows {
  const byColumn = stableOrder(entries.columns, shape.columns);
  const order = stableOrder(entries.rows, shape.rows, byColumn);
  const starts = new Int32Array(shape.rows + 1);
  const columns = new Int32Array(order.length);
  const weights = new Float64Array(order.length);
  const times = entries.times === undefined ? undefined : new Float64Array(order.length);
  let count = 0;
  let rowBefore = -1;
  for (const entry of order) {
    const row = entries.rows[entry] as number;
    const column = entries.columns[entry] as number;
    const weight = entries.weights[entry] as number;
    const time = entries.times?.[entry] ?? 0;
    const last = count - 1;
    if (row === rowBefore && columns[last] === column) {
      const newer = times === undefined || time >= (times[last] as number);
      weights[last] = merged(weights[last] as number, weight, { merge, newer });
      if (times !== undefined && newer) times[last] = time;
      continue;
    }
    columns[count] = column;
    weights[count] = weight;
    if (times !== undefined) times[count] = time;
    starts[row + 1] = (starts[row + 1] as number) + 1;
    rowBefore = row;
    count += 1;
  }
  for (let row = 0; row < shape.rows; row += 1)
    starts[row + 1] = (starts[row + 1] as number) + (starts[row] as number);
  return {
    starts,
    columns: columns.slice(0, count),
    weights: weights.slice(0, count),
    times: times?.slice(0, count),
  };
}

function merged(
  held: number,
  came: number,
  rule: { readonly merge: MergeRule; readonly newer: boolean },
): number {
  switch (rule.merge) {
    case 'max':
      return Math.max(held, came);
    case 'sum':
      return held + came;
    case 'latest':
      return rule.newer ? came : held;
  }
}

/** @internal The same matrix with rows and columns exchanged. */
export function transposed(matrix: SparseRows, columns: number): SparseRows {
  const rows = rowsOfEntries(matrix);
  const order = stableOrder(matrix.columns, columns);
  const starts = new Int32Array(columns + 1);
  for (const column of matrix.columns) starts[column + 1] = (starts[column + 1] as number) + 1;
  for (let column = 0; column < columns; column += 1)
    starts[column + 1] = (starts[column + 1] as number) + (starts[column] as number);
  const { times } = matrix;
  return {
    starts,
    columns: order.map((entry) => rows[entry] as number),
    weights: Float64Array.from(order, (entry) => matrix.weights[entry] as number),
    times: times === undefined ? undefined : Float64Array.from(order, (entry) => times[entry] as number),
  };
}

/** @internal The row of each entry. */
export function rowsOfEntries(matrix: SparseRows): Int32Array {
  const rows = new Int32Array(matrix.columns.length);
  for (let row = 0; row + 1 < matrix.starts.length; row += 1)
    rows.fill(row, matrix.starts[row], matrix.starts[row + 1]);
  return rows;
}

/** The positions ordered by key, equal keys in the order given: one pass of counting sort. */
function stableOrder(keys: Int32Array, bound: number, given?: Int32Array): Int32Array {
  const places = new Int32Array(bound + 1);
  for (const key of keys) places[key + 1] = (places[key + 1] as number) + 1;
  for (let key = 0; key < bound; key += 1)
    places[key + 1] = (places[key + 1] as number) + (places[key] as number);
  const order = new Int32Array(keys.length);
  for (let index = 0; index < keys.length; index += 1) {
    const position = given === undefined ? index : (given[index] as number);
    const key = keys[position] as number;
    const place = places[key] as number;
    order[place] = position;
    places[key] = place + 1;
  }
  return order;
}
