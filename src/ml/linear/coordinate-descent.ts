import { factorCholesky, solveCholesky } from './cholesky.ts';
import type { CovarianceSource } from './covariances.ts';
import { addScaled } from './vectors.ts';

/** Columns of an elastic net: the products of all pairs of 4,096 columns take 128 MiB. */
export const ELASTIC_NET_COLUMNS_MAX = 4096;

/** Passes over the columns in use between two passes over all. */
const INNER_PASSES = 10;
/** Up to so many columns in use are solved for at once. */
const SOLVED_COLUMNS_MAX = 1024;
/**
 * Work spent on one such solution, in cubes of the columns in use: for 200 columns about 60 repetitions after a
 * coefficient left, for 1,000 none. More is better done by descent.
 */
const SOLVING_WORK_MAX = 5e8;
/** Share of their variance by which the curvature of dependent columns is raised. */
const CURVATURE_ADDED = 1e-9;

/** Penalty per coefficient: `l1 * |w| + 0.5 * l2 * w^2`. */
export interface ElasticPenalty {
  readonly l1: number;
  readonly l2: number;
}

/** A quadratic function under an elastic net penalty, at a point. */
export interface QuadraticProblem {
  readonly covariances: CovarianceSource;
  readonly penalty: ElasticPenalty;
  /** The start; becomes the minimum. */
  readonly coefficients: Float64Array;
  /** Gradient of the function without the penalty at the coefficients; kept up with them. */
  readonly gradient: Float64Array;
}

/**
 * @internal How far a coefficient is from the condition of the optimum: the distance of 0 from the
 * subgradient (Karush, Kuhn and Tucker).
 */
export function violationOf(coefficient: number, slope: number, penalty: ElasticPenalty): number {
  if (coefficient === 0) return Math.max(0, Math.abs(slope) - penalty.l1);
  return Math.abs(slope + penalty.l2 * coefficient + penalty.l1 * Math.sign(coefficient));
}

/** @internal The largest violation among the coefficients. */
export function largestViolation(
  coefficients: Float64Array,
  gradient: Float64Array,
  penalty: ElasticPenalty,
): number {
  let found = 0;
  for (let column = 0; column < coefficients.length; column += 1) {
    const here = violationOf(coefficients[column] as number, gradient[column] as number, penalty);
    found = Math.max(found, here);
  }
  return found;
}

/**
 * @internal Minimises by cyclic coordinate descent until no condition is violated by more than `goal`.
 * Descent alone crawls where columns are correlated, so between its passes the linear equations of the
 * nonzero coefficients are solved at once.
 *
 * @returns the passes over all columns that took, or undefined when `passesMax` were not enough.
 */
export function minimiseQuadratic(
  problem: QuadraticProblem,
  limits: { readonly goal: number; readonly passesMax: number },
): number | undefined {
  const { coefficients, gradient, penalty } = problem;
  const all = Array.from(coefficients, (_, column) => column);
  for (let pass = 1; pass <= limits.passesMax; pass += 1) {
    passOver(problem, all);
    if (largestViolation(coefficients, gradient, penalty) <= limits.goal) return pass;
    settleUsed(problem);
    if (largestViolation(coefficients, gradient, penalty) <= limits.goal) return pass;
  }
  return undefined;
}

/**
 * Minimises over the columns in use alone. That is a small problem of its own: the gradient of all columns is
 * brought up to it at the end, once for each column instead of once for each step.
 */
function settleUsed(problem: QuadraticProblem): void {
  const used: number[] = [];
  problem.coefficients.forEach((coefficient, column) => {
    if (coefficient !== 0) used.push(column);
  });
  if (used.length === 0) return;
  const part = (values: Float64Array): Float64Array =>
    Float64Array.from(used, (column) => values[column] as number);
  const square = used.map((column) => part(problem.covariances.column(column)));
  const coefficients = part(problem.coefficients);
  const gradient = part(problem.gradient);
  const { penalty } = problem;
  const covariances = {
    variances: part(problem.covariances.variances),
    column: (index: number) => square[index] as Float64Array,
  };
  const inner = { covariances, penalty, coefficients, gradient };
  const indexes = [...used.keys()];
  for (let pass = 0; pass < INNER_PASSES; pass += 1) passOver(inner, indexes);
  solveUsed(inner);
  used.forEach((column, index) => {
    const after = coefficients[index] as number;
    const change = after - (problem.coefficients[column] as number);
    problem.coefficients[column] = after;
    if (change !== 0) addScaled(problem.gradient, change, problem.covariances.column(column));
  });
}

/** Minimises over each of the columns in turn. */
function passOver(problem: QuadraticProblem, columns: readonly number[]): void {
  const { covariances, coefficients, gradient, penalty } = problem;
  for (const column of columns) {
    const variance = covariances.variances[column] as number;
    if (variance === 0) continue;
    const before = coefficients[column] as number;
    const pull = variance * before - (gradient[column] as number);
    const after = (Math.sign(pull) * Math.max(0, Math.abs(pull) - penalty.l1)) / (variance + penalty.l2);
    if (after === before) continue;
    coefficients[column] = after;
    addScaled(gradient, after - before, covariances.column(column));
  }
}

/**
 * Solves for the nonzero coefficients as if their signs were fixed. Where one would cross 0 it leaves, then the
 * rest is solved again. The objective falls at each step: up to the first crossing it is the quadratic function
 * whose minimum the way leads to.
 */
function solveUsed(problem: QuadraticProblem): void {
  for (let work = 0; work <= SOLVING_WORK_MAX;) {
    const used: number[] = [];
    problem.coefficients.forEach((coefficient, column) => {
      if (coefficient !== 0) used.push(column);
    });
    if (used.length === 0 || used.length > SOLVED_COLUMNS_MAX) return;
    work += used.length ** 3;
    // Dependent columns: with a little added curvature every step still leads down, and along the directions
    // without curvature far enough for a coefficient to leave.
    const step = stepOf(problem, used, 0) ?? stepOf(problem, used, CURVATURE_ADDED);
    if (step === undefined || !moveUsed(problem, used, step)) return;
  }
}

/** Newton's step for the used columns, or undefined when their covariance is singular. */
function stepOf(problem: QuadraticProblem, used: readonly number[], added: number): Float64Array | undefined {
  const { covariances, coefficients, gradient, penalty } = problem;
  const n = used.length;
  const matrix = new Float64Array(n * n);
  const step = new Float64Array(n);
  used.forEach((column, a) => {
    const row = covariances.column(column);
    for (let b = 0; b <= a; b += 1) matrix[a * n + b] = row[used[b] as number] as number;
    matrix[a * n + a] = (matrix[a * n + a] as number) * (1 + added) + penalty.l2;
    const coefficient = coefficients[column] as number;
    const slope = (gradient[column] as number) + penalty.l2 * coefficient;
    step[a] = -(slope + penalty.l1 * Math.sign(coefficient));
  });
  if (!factorCholesky(matrix, n)) return undefined;
  solveCholesky(matrix, n, step);
  return step;
}

/**
 * Takes the step; tells whether a coefficient became 0 on the way. Then there are two ways to end it, and the
 * better is taken: at the first that does, or at the end with all that would change sign left at 0.
 */
function moveUsed(problem: QuadraticProblem, used: readonly number[], step: Float64Array): boolean {
  const { coefficients, penalty } = problem;
  let share = 1;
  let leaving = -1;
  if (penalty.l1 > 0) {
    used.forEach((column, index) => {
      const crossing = -(coefficients[column] as number) / (step[index] as number);
      if (crossing > 0 && crossing < share) {
        share = crossing;
        leaving = index;
      }
    });
  }
  const before = Float64Array.from(used, (column) => coefficients[column] as number);
  const first = before.map((from, index) => (index === leaving ? 0 : from + share * (step[index] as number)));
  const reached = gradientAfter(problem, used, first);
  if (leaving < 0) {
    moveTo(problem, used, { after: first, gradient: reached });
    return false;
  }
  const last = before.map((from, index) => {
    const to = from + (step[index] as number);
    return Math.sign(to) === Math.sign(from) ? to : 0;
  });
  const short = { after: first, gradient: reached };
  const long = { after: last, gradient: gradientAfter(problem, used, last) };
  moveTo(problem, used, changeOf(problem, used, long) < changeOf(problem, used, short) ? long : short);
  return true;
}

/** New values of the used coefficients, and the gradient there. */
interface Way {
  readonly after: Float64Array;
  readonly gradient: Float64Array;
}

function gradientAfter(
  problem: QuadraticProblem,
  used: readonly number[],
  after: Float64Array,
): Float64Array {
  const gradient = problem.gradient.slice();
  used.forEach((column, index) => {
    const change = (after[index] as number) - (problem.coefficients[column] as number);
    addScaled(gradient, change, problem.covariances.column(column));
  });
  return gradient;
}

function moveTo(problem: QuadraticProblem, used: readonly number[], way: Way): void {
  used.forEach((column, index) => {
    problem.coefficients[column] = way.after[index] as number;
  });
  problem.gradient.set(way.gradient);
}

/** What a way changes of the objective; of a quadratic function the mean of the two gradients times the step. */
function changeOf(problem: QuadraticProblem, used: readonly number[], way: Way): number {
  const { l1, l2 } = problem.penalty;
  let sum = 0;
  used.forEach((column, index) => {
    const before = problem.coefficients[column] as number;
    const after = way.after[index] as number;
    const slope = 0.5 * ((problem.gradient[column] as number) + (way.gradient[column] as number));
    sum +=
      (slope + 0.5 * l2 * (after + before)) * (after - before) + l1 * (Math.abs(after) - Math.abs(before));
  });
  return sum;
}
