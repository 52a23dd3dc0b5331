import { solveSmall } from '../algebra/small.ts';
import type { SparseRows } from './sparse.ts';

/** @internal What a half-sweep needs: solving one side with the factors of the other side held fixed. */
export interface HalfSweep {
  /** The interactions, one row for each factor vector to be solved. */
  readonly rows: SparseRows;
  /** Factors of the columns, `factors` each. */
  readonly fixed: Float64Array;
  readonly factors: number;
  readonly alpha0: number;
  readonly regularisation: number;
}

/** @internal A solver of single rows with the working memory of one half-sweep. */
export interface RowSolver {
  /** `alpha0 * V'V`, both triangles: the part of the equations that all rows share. */
  readonly shared: Float64Array;
  readonly solve: (row: SparseRow, into: Float64Array) => void;
}

/** @internal Columns and weights of one row. */
export interface SparseRow {
  readonly columns: ArrayLike<number>;
  readonly weights: ArrayLike<number> | undefined;
}

/** @internal Solves the given rows and writes them into their side. */
export function solveRows(sweep: HalfSweep, side: Float64Array, rows: Iterable<number>): void {
  const { factors } = sweep;
  const { starts, columns, weights } = sweep.rows;
  const { solve } = rowSolver(sweep);
  for (const row of rows) {
    const [from, to] = [starts[row], starts[row + 1]];
    const part = { columns: columns.subarray(from, to), weights: weights.subarray(from, to) };
    solve(part, side.subarray(row * factors, (row + 1) * factors));
  }
}

/** @internal See {@link RowSolver}; `shared` saves its computation where it is known. */
export function rowSolver(
  sweep: Omit<HalfSweep, 'rows'>,
  shared: Float64Array = sharedPart(sweep),
): RowSolver {
  const { fixed, factors, alpha0, regularisation } = sweep;
  const columnCount = fixed.length / factors;
  const matrix = new Float64Array(factors * factors);
  const solve = (row: SparseRow, into: Float64Array): void => {
    const { length } = row.columns;
    into.fill(0);
    // Without a right-hand side the solution is 0.
    if (length === 0) return;
    matrix.set(shared);
    for (let position = 0; position < length; position += 1) {
      const weight = row.weights?.[position] ?? 1;
      const start = (row.columns[position] as number) * factors;
      for (let a = 0; a < factors; a += 1) {
        const scaled = weight * (fixed[start + a] as number);
        into[a] = (into[a] as number) + scaled;
        const at = a * factors;
        for (let b = 0; b <= a; b += 1)
          matrix[at + b] = (matrix[at + b] as number) + scaled * (fixed[start + b] as number);
      }
    }
    const penalty = regularisation * (length + alpha0 * columnCount);
    for (let a = 0; a < factors; a += 1)
      matrix[a * factors + a] = (matrix[a * factors + a] as number) + penalty;
    if (!solveSmall(matrix, factors, into))
      throw new RangeError(
        `The equations of a row of ${length} interactions are singular: use a larger regularisation`,
      );
  };
  return { shared, solve };
}

/** @internal `alpha0 * V'V` of the fixed side. */
export function sharedPart(sweep: Omit<HalfSweep, 'rows'>): Float64Array {
  const { fixed, factors, alpha0 } = sweep;
  const gram = new Float64Array(factors * factors);
  for (let start = 0; start < fixed.length; start += factors) {
    for (let a = 0; a < factors; a += 1) {
      const value = alpha0 * (fixed[start + a] as number);
      for (let b = 0; b < factors; b += 1) {
        const place = a * factors + b;
        gram[place] = (gram[place] as number) + value * (fixed[start + b] as number);
      }
    }
  }
  return gram;
}
