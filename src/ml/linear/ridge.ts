import type { Matrix } from '../matrix.ts';
import { readWeights } from '../training-input.ts';
import { factorCholesky, solveCholesky } from './cholesky.ts';
import type { Design } from './design.ts';
import { addColumns, centreTargets, columnProducts, designOf } from './design.ts';
import type { RegressionModel } from './regression-model.ts';
import { readTargets } from './targets.ts';
import { addScaled, largestOf } from './vectors.ts';

/** The smaller of rows and columns, whose square matrix is factored: 4,096 take 128 MiB. */
export const RIDGE_SIDE_MAX = 4096;

/** Repetitions of the solution on what it left over, each of which gains digits on near-singular tables. */
const REFINEMENTS_MAX = 8;

export interface RidgeOptions {
  /**
   * Strength of the L2 penalty, with the meaning of scikit-learn's `Ridge`: the objective is `sum(weight *
   * (target - estimate)^2) + alpha * ||w||^2`, the intercept is free. 0 means least squares. Default 1.
   */
  readonly alpha?: number;
  /** One weight of at least 0 for each row. A row of weight 2 counts as that row twice. Default all 1. */
  readonly weights?: ArrayLike<number>;
  /**
   * Largest component of the gradient at the solution, relative to the one at coefficients of 0. Default
   * 1e-8; usual are 1e-14.
   */
  readonly tolerance?: number;
}

/** Solves (A + alpha) x = b for one right side: A is X'WX or, with fewer rows than columns, its dual. */
type Solver = (right: Float64Array) => Float64Array;

/**
 * Fits a ridge regression in closed form by Cholesky's factorisation: of X'WX, or of XX' where there are more
 * columns than rows (the same solution). Missing values are taken as the column's mean, then all columns are
 * standardised; both are fitted on these (weighted) rows and are part of the model.
 *
 * @param features one row for each case; NaN is missing, infinite values are refused.
 * @param targets one finite number for each row.
 * @throws RangeError on unsound input, or when rows and columns both exceed {@link RIDGE_SIDE_MAX}.
 * @throws Error when `alpha` is 0 and the columns are linearly dependent, which more columns than rows always
 *   are; or when the tolerance is beyond what the table's condition and 64-bit numbers allow.
 */
export function fitRidge(
  features: Matrix,
  targets: ArrayLike<number>,
  options: RidgeOptions = {},
): RegressionModel {
  const { alpha = 1, tolerance = 1e-8 } = options;
  if (!(alpha >= 0) || alpha === Number.POSITIVE_INFINITY) {
    throw new RangeError(`alpha must be a finite number of at least 0, not ${alpha}`);
  }
  const read = readTargets(features, targets);
  const weights = readWeights(options.weights, features.rows);
  const { rows, columns } = features;
  if (Math.min(rows, columns) > RIDGE_SIDE_MAX) {
    throw new RangeError(
      `Ridge regression takes ${RIDGE_SIDE_MAX} rows or columns at most, not ${rows} x ${columns}`,
    );
  }
  const design = designOf(features, weights);
  const { mean, centred, rounding } = centreTargets(read, design);
  const dual = columns > rows && alpha > 0;
  const solver = dual ? dualSolver(design, alpha) : primalSolver(design, alpha);
  const goal = { tolerance, rounding: rounding * design.total };
  const coefficients = solve({ design, centred, alpha }, solver, goal);
  const { means, scales } = design.standardisation;
  return { kind: 'regression', means, scales, coefficients, intercept: mean, iterations: 0 };
}

interface Problem {
  readonly design: Design;
  readonly centred: Float64Array;
  readonly alpha: number;
}

/** Solves, then solves again for what is left of the gradient until it is small enough or stops falling. */
function solve(
  problem: Problem,
  solver: Solver,
  limits: { readonly tolerance: number; readonly rounding: number },
): Float64Array {
  const coefficients = new Float64Array(problem.design.columns);
  let descent = descentAt(problem, coefficients);
  let steepness = largestOf(descent);
  const goal = Math.max(limits.tolerance * steepness, limits.rounding);
  for (let refinement = 0; refinement <= REFINEMENTS_MAX && steepness > 0; refinement += 1) {
    const candidate = coefficients.slice();
    addScaled(candidate, 1, solver(descent));
    const next = descentAt(problem, candidate);
    const nextSteepness = largestOf(next);
    if (!(nextSteepness < steepness)) break;
    coefficients.set(candidate);
    descent = next;
    steepness = nextSteepness;
    // A second solution costs little beside the first and wins the last digits.
    if (refinement > 0 && steepness <= goal) break;
  }
  if (steepness > goal) {
    throw new Error(
      `Ridge regression is too ill-conditioned: the gradient is ${steepness}, wanted ${goal}. ` +
        'Use a stronger penalty (larger alpha)',
    );
  }
  return coefficients;
}

/** Minus half the gradient: X'W(y - Xw) - alpha w. */
function descentAt(problem: Problem, coefficients: Float64Array): Float64Array {
  const { design, centred, alpha } = problem;
  const estimates = new Float64Array(design.rows);
  addColumns(design, coefficients, estimates);
  const residuals = estimates.map(
    (estimate, row) => (design.weights[row] as number) * ((centred[row] as number) - estimate),
  );
  const descent = columnProducts(design, residuals);
  addScaled(descent, -alpha, coefficients);
  return descent;
}

function primalSolver(design: Design, alpha: number): Solver {
  const { columns, values, weights, standardisation } = design;
  const matrix = new Float64Array(columns * columns);
  const weighted = new Float64Array(design.rows);
  for (let a = 0; a < columns; a += 1) {
    const first = values[a] as Float64Array;
    for (let row = 0; row < weighted.length; row += 1)
      weighted[row] = (weights[row] as number) * (first[row] as number);
    for (let b = 0; b <= a; b += 1) {
      const second = values[b] as Float64Array;
      let sum = 0;
      for (let row = 0; row < weighted.length; row += 1)
        sum += (weighted[row] as number) * (second[row] as number);
      matrix[a * columns + b] = sum;
    }
    // A constant column is all zeros once standardised: any positive number keeps its coefficient at 0.
    const added = standardisation.varies[a] === 1 ? alpha : Math.max(alpha, 1);
    matrix[a * columns + a] = (matrix[a * columns + a] as number) + added;
  }
  if (!factorCholesky(matrix, columns)) throw dependent(alpha);
  return (right) => {
    const solution = right.slice();
    solveCholesky(matrix, columns, solution);
    return solution;
  };
}

/**
 * (X'WX + alpha)^-1 b = (b - X'V (VXX'V + alpha)^-1 VX b) / alpha with V = sqrt(W): Woodbury's identity, for a
 * matrix of rows instead of columns.
 */
function dualSolver(design: Design, alpha: number): Solver {
  const { rows, columns, values, weights } = design;
  const roots = weights.map((weight) => Math.sqrt(weight));
  const matrix = new Float64Array(rows * rows);
  const column = new Float64Array(rows);
  for (let index = 0; index < columns; index += 1) {
    const source = values[index] as Float64Array;
    for (let row = 0; row < rows; row += 1) column[row] = (roots[row] as number) * (source[row] as number);
    for (let a = 0; a < rows; a += 1) {
      const value = column[a] as number;
      if (value === 0) continue;
      const start = a * rows;
      for (let b = 0; b <= a; b += 1)
        matrix[start + b] = (matrix[start + b] as number) + value * (column[b] as number);
    }
  }
  for (let row = 0; row < rows; row += 1) {
    matrix[row * (rows + 1)] = (matrix[row * (rows + 1)] as number) + alpha;
  }
  if (!factorCholesky(matrix, rows)) throw dependent(alpha);
  return (right) => {
    const products = new Float64Array(rows);
    addColumns(design, right, products);
    for (let row = 0; row < rows; row += 1)
      products[row] = (products[row] as number) * (roots[row] as number);
    solveCholesky(matrix, rows, products);
    for (let row = 0; row < rows; row += 1)
      products[row] = (products[row] as number) * (roots[row] as number);
    const removed = columnProducts(design, products);
    return right.map((component, index) => (component - (removed[index] as number)) / alpha);
  };
}

function dependent(alpha: number): Error {
  const advice = alpha === 0 ? 'Use a penalty (alpha above 0)' : 'Use a stronger penalty (larger alpha)';
  return new Error(
    'Ridge regression has no unique solution: some columns are linear combinations of others (to 12 ' +
      `digits). ${advice}`,
  );
}
