import type { Matrix } from '../matrix.ts';
import { positiveShare, readLabels, readWeights } from '../training-input.ts';
import { factorCholesky, solveCholesky } from './cholesky.ts';
import type { Standardisation } from './standardise.ts';
import { rowStandardiser, standardisationOf } from './standardise.ts';

/** Newton's method keeps a square matrix of the columns: 4,096 columns take 128 MiB. */
export const LOGISTIC_COLUMNS_MAX = 4096;

/**
 * A fitted logistic regression: p = 1 / (1 + exp(-(intercept + sum of coefficient * (x - mean) / scale))).
 */
export interface LogisticModel {
  readonly kind: 'logistic';
  /** Mean of each column over the training rows; also what a missing value is taken to be. */
  readonly means: Float64Array;
  /** Population standard deviation of each column, 1 for a column that does not vary. */
  readonly scales: Float64Array;
  /** Coefficients on the standardised inputs. */
  readonly coefficients: Float64Array;
  readonly intercept: number;
  /** Newton steps taken. */
  readonly iterations: number;
}

export interface LogisticOptions {
  /**
   * Inverse strength of the L2 penalty, with scikit-learn's meaning: the objective is `0.5 * ||w||^2 + C *
   * sum(weight * logloss)` and the intercept is free. `Infinity` means no penalty. Default 1.
   */
  readonly C?: number;
  /** One weight of at least 0 for each row. A row of weight 2 counts as that row twice. Default all 1. */
  readonly weights?: ArrayLike<number>;
  /** Newton steps before giving up. Default 100; a well-posed problem takes 5 to 15. */
  readonly iterationsMax?: number;
  /** Largest component of the gradient at the solution, relative to the one at the start. Default 1e-8. */
  readonly tolerance?: number;
}

/** Coefficients on the inputs as they are, without standardisation. */
export interface RawCoefficients {
  readonly coefficients: Float64Array;
  readonly intercept: number;
}

interface Problem {
  readonly features: Matrix;
  readonly labels: Uint8Array;
  readonly weights: Float64Array;
  readonly standardisation: Standardisation;
  /**
   * 1 / C. The problem is solved as `0.5 * penalty * ||w||^2 + sum(weight * logloss)`, the same but for a
   * factor.
   */
  readonly penalty: number;
  /** Sum of the weights. */
  readonly total: number;
}

interface Derivatives {
  /** Of the coefficients, then of the intercept. */
  readonly gradient: Float64Array;
  /** Lower triangle, row-major, (columns + 1) squared. */
  readonly hessian: Float64Array;
}

/** Halvings of one Newton step before it is given up. */
const HALVINGS_MAX = 40;
/** Gradients below this share of the total weight are rounding. */
const GRADIENT_ROUNDING = 1e-13;
/**
 * Without a penalty, a solution whose last step was larger than this (relative) is running away to infinity.
 */
const STEP_RELATIVE_MAX = 1e-4;

/**
 * Fits a binary logistic regression by Newton's method with step halving. Missing values are taken as the
 * column's mean, then all columns are standardised; both are fitted on these (weighted) rows and are part of
 * the model.
 *
 * @param features one row for each case; NaN is missing, infinite values are refused.
 * @param labels 0 or 1 for each row.
 * @throws RangeError on unsound input, or when a class is missing.
 * @throws Error when there is no finite solution (separable or linearly dependent data without penalty), or
 *   when it was not reached within `iterationsMax` steps.
 */
export function fitLogistic(
  features: Matrix,
  labels: ArrayLike<number>,
  options: LogisticOptions = {},
): LogisticModel {
  const { C = 1, iterationsMax = 100, tolerance = 1e-8 } = options;
  if (!(C > 0)) throw new RangeError(`C must be a number above 0 or Infinity, not ${C}`);
  if (features.columns > LOGISTIC_COLUMNS_MAX) {
    throw new RangeError(
      `Logistic regression takes ${LOGISTIC_COLUMNS_MAX} columns at most, not ${features.columns}`,
    );
  }
  const read = readLabels(features, labels, 'training');
  const weights = readWeights(options.weights, features.rows);
  const share = positiveShare(read, weights);
  const standardisation = standardisationOf(features, weights);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const problem: Problem = { features, labels: read, weights, standardisation, penalty: 1 / C, total };
  const parameters = new Float64Array(features.columns + 1);
  parameters[features.columns] = Math.log(share / (1 - share));
  const iterations = solve(problem, parameters, { iterationsMax, tolerance });
  return {
    kind: 'logistic',
    means: standardisation.means,
    scales: standardisation.scales,
    coefficients: parameters.slice(0, features.columns),
    intercept: parameters[features.columns] as number,
    iterations,
  };
}

/**
 * The coefficients of a model on its raw inputs: c / scale, and the intercept that makes up for the means.
 */
export function rawCoefficients(model: LogisticModel): RawCoefficients {
  let intercept = model.intercept;
  const coefficients = model.coefficients.map((coefficient, column) => {
    const raw = coefficient / (model.scales[column] as number);
    intercept -= raw * (model.means[column] as number);
    return raw;
  });
  return { coefficients, intercept };
}

/** Moves the parameters to the minimum and returns the number of steps that took. */
function solve(
  problem: Problem,
  parameters: Float64Array,
  options: { iterationsMax: number; tolerance: number },
): number {
  const size = parameters.length;
  const candidate = new Float64Array(size);
  let objective = objectiveAt(problem, parameters);
  let goal = 0;
  let stepRelative = 0;
  for (let iteration = 0; iteration <= options.iterationsMax; iteration += 1) {
    const { gradient, hessian } = derivativesAt(problem, parameters);
    const steepness = largest(gradient);
    if (iteration === 0) goal = Math.max(options.tolerance * steepness, GRADIENT_ROUNDING * problem.total);
    if (steepness <= goal && (problem.penalty > 0 || stepRelative <= STEP_RELATIVE_MAX)) return iteration;
    if (!factorCholesky(hessian, size)) throw noSolution(iteration);
    solveCholesky(hessian, size, gradient);
    const reached = descend(problem, { parameters, objective, candidate }, gradient);
    if (reached === undefined) throw notConverged(iteration, steepness, goal);
    stepRelative = largest(gradient) / Math.max(1, largest(parameters));
    objective = reached;
    parameters.set(candidate);
  }
  const { gradient } = derivativesAt(problem, parameters);
  throw problem.penalty > 0 || stepRelative <= STEP_RELATIVE_MAX
    ? notConverged(options.iterationsMax, largest(gradient), goal)
    : noSolution(options.iterationsMax);
}

interface Position {
  readonly parameters: Float64Array;
  readonly objective: number;
  /** Where a step leads to. */
  readonly candidate: Float64Array;
}

/**
 * Tries the whole step, then half of it, and so on. Returns the objective reached, or undefined on failure.
 */
function descend(problem: Problem, position: Position, step: Float64Array): number | undefined {
  const { parameters, objective, candidate } = position;
  const slack = 1e-12 * Math.abs(objective);
  for (let halvings = 0, length = 1; halvings <= HALVINGS_MAX; halvings += 1, length /= 2) {
    for (let index = 0; index < step.length; index += 1) {
      candidate[index] = (parameters[index] as number) - length * (step[index] as number);
    }
    const reached = objectiveAt(problem, candidate);
    if (reached <= objective + slack) return reached;
  }
  return undefined;
}

function objectiveAt(problem: Problem, parameters: Float64Array): number {
  const { labels, weights, penalty } = problem;
  const { rows, columns } = problem.features;
  const standardise = rowStandardiser(problem.features, problem.standardisation);
  const row = new Float64Array(columns);
  let loss = 0;
  for (let index = 0; index < rows; index += 1) {
    standardise(index, row);
    const margin = marginOf(row, parameters);
    const signed = labels[index] === 1 ? margin : -margin;
    // log(1 + exp(-s)) without overflow.
    const term = signed > 0 ? Math.log1p(Math.exp(-signed)) : Math.log1p(Math.exp(signed)) - signed;
    loss += (weights[index] as number) * term;
  }
  let squares = 0;
  for (let column = 0; column < columns; column += 1) squares += (parameters[column] as number) ** 2;
  return loss + 0.5 * penalty * squares;
}

function derivativesAt(problem: Problem, parameters: Float64Array): Derivatives {
  const { labels, weights, standardisation, penalty } = problem;
  const { rows, columns } = problem.features;
  const standardise = rowStandardiser(problem.features, standardisation);
  const size = columns + 1;
  const gradient = new Float64Array(size);
  const hessian = new Float64Array(size * size);
  const row = new Float64Array(size);
  row[columns] = 1;
  for (let index = 0; index < rows; index += 1) {
    standardise(index, row);
    const probability = 1 / (1 + Math.exp(-marginOf(row, parameters)));
    const weight = weights[index] as number;
    const residual = weight * (probability - (labels[index] as number));
    const curvature = weight * probability * (1 - probability);
    for (let a = 0; a < size; a += 1) {
      const value = row[a] as number;
      if (value === 0) continue;
      gradient[a] = (gradient[a] as number) + residual * value;
      const scaled = curvature * value;
      const start = a * size;
      for (let b = 0; b <= a; b += 1)
        hessian[start + b] = (hessian[start + b] as number) + scaled * (row[b] as number);
    }
  }
  for (let column = 0; column < columns; column += 1) {
    const diagonal = column * size + column;
    gradient[column] = (gradient[column] as number) + penalty * (parameters[column] as number);
    // A constant column is all zeros once standardised: any positive curvature keeps its coefficient at 0.
    const curvature = standardisation.varies[column] === 1 ? penalty : Math.max(penalty, 1);
    hessian[diagonal] = (hessian[diagonal] as number) + curvature;
  }
  return { gradient, hessian };
}

/** Coefficients times a standardised row, plus the intercept, which is the last parameter. */
function marginOf(row: Float64Array, parameters: Float64Array): number {
  const columns = parameters.length - 1;
  let margin = parameters[columns] as number;
  for (let column = 0; column < columns; column += 1)
    margin += (row[column] as number) * (parameters[column] as number);
  return margin;
}

function largest(vector: Float64Array): number {
  let found = 0;
  for (const value of vector) found = Math.max(found, Math.abs(value));
  return found;
}

function notConverged(iterations: number, steepness: number, goal: number): Error {
  return new Error(
    `Logistic regression did not converge: after ${iterations} Newton steps the gradient is ${steepness}, ` +
      `wanted ${goal}. Allow more steps or a stronger penalty (smaller C)`,
  );
}

function noSolution(iterations: number): Error {
  const reason =
    iterations === 0
      ? 'some columns are linear combinations of others'
      : 'the columns separate the classes, so that the coefficients grow without bound';
  return new Error(
    `Logistic regression has no unique finite solution: ${reason}. Use a penalty (a finite C)`,
  );
}
