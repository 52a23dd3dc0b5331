import type { Matrix } from '../matrix.ts';
import { readWeights } from '../training-input.ts';
import { factorCholesky, solveCholesky } from './cholesky.ts';
import { minimiseByLbfgs } from './lbfgs.ts';
import type { SoftmaxProblem } from './softmax-loss.ts';
import { parameterCount, softmaxHessian, softmaxLoss } from './softmax-loss.ts';
import { standardisationOf } from './standardise.ts';
import { classWeights, readClasses } from './targets.ts';
import { addScaled, largestOf } from './vectors.ts';

/** Parameters of a multinomial model, classes times (columns + 1): L-BFGS keeps 30 vectors of that length. */
export const MULTINOMIAL_PARAMETERS_MAX: number = 2 ** 20;

/**
 * Up to so many parameters Newton's method is used, whose step costs their square for each row: on 20,000 rows
 * of 50 columns it took 0.8 s with 3 classes (L-BFGS 0.4 s), but 17 s with 10 classes (L-BFGS 12 s).
 */
const NEWTON_PARAMETERS_MAX = 256;
/** Halvings of one Newton step before it is given up. */
const HALVINGS_MAX = 40;
/** Gradients below this share of the total weight are rounding. */
const GRADIENT_ROUNDING = 1e-13;
/** Without a penalty, a solution whose next Newton step is longer than this (relative) runs away to infinity. */
const STEP_RELATIVE_MAX = 1e-4;
/** Newton steps that confirm a solution of L-BFGS without a penalty; a sound one takes 1 or 2. */
const CHECKING_STEPS_MAX = 20;
/** Newton's method keeps a square matrix of the parameters: 4,096 take 128 MiB. */
const UNPENALISED_PARAMETERS_MAX = 4096;

const DEPENDENT = 'some columns are linear combinations of others';
const SEPARATE = 'the columns separate the classes, so that the coefficients grow without bound';
const REASONS = { dependent: DEPENDENT, separate: SEPARATE, either: `${DEPENDENT}, or ${SEPARATE}` } as const;

/**
 * A fitted multinomial logistic regression: the probability of class k is `exp(margin_k) / sum(exp(margin))`
 * with `margin_k = intercept_k + sum of coefficient_k * (x - mean) / scale`.
 */
export interface MultinomialModel {
  readonly kind: 'multinomial';
  readonly classCount: number;
  /** Mean of each column over the training rows; also what a missing value is taken to be. */
  readonly means: Float64Array;
  /** Population standard deviation of each column, 1 for a column that does not vary. */
  readonly scales: Float64Array;
  /** On the standardised inputs, class after class, `classCount * columns`. Of each column they sum to 0. */
  readonly coefficients: Float64Array;
  /** One for each class; they sum to 0. */
  readonly intercepts: Float64Array;
  /** Steps taken, of Newton's method or of L-BFGS. */
  readonly iterations: number;
}

export interface MultinomialOptions {
  /**
   * Inverse strength of the L2 penalty, with scikit-learn's meaning: the objective is `0.5 * ||w||^2 + C *
   * sum(weight * logloss)` over the coefficients of ALL classes, the intercepts are free. `Infinity` means no
   * penalty. Default 1. With two classes, C here is 2 C of `fitLogistic`, which has one vector and not two.
   */
  readonly C?: number;
  /** Number of classes. Default one more than the largest label. */
  readonly classCount?: number;
  /** One weight of at least 0 for each row. A row of weight 2 counts as that row twice. Default all 1. */
  readonly weights?: ArrayLike<number>;
  /** Steps before giving up. Default 100 for Newton's method, 5,000 for L-BFGS. */
  readonly iterationsMax?: number;
  /** Largest component of the gradient at the solution, relative to the one at the start. Default 1e-8. */
  readonly tolerance?: number;
  /** Default `auto`: `newton` up to 256 parameters, classes times (columns + 1), else `lbfgs`. */
  readonly solver?: 'auto' | 'newton' | 'lbfgs';
}

/**
 * Fits a multinomial (softmax) logistic regression. Missing values are taken as the column's mean, then all
 * columns are standardised; both are fitted on these (weighted) rows and are part of the model.
 *
 * @param features one row for each case; NaN is missing, infinite values are refused.
 * @param labels the class of each row, 0 .. classCount - 1.
 * @throws RangeError on unsound input, when a class has no rows, or when there are more than {@link
 *   MULTINOMIAL_PARAMETERS_MAX} parameters (without a penalty, and by Newton's method, 4,096).
 * @throws Error when there is no finite solution (separable or linearly dependent data without penalty), or
 *   when it was not reached within `iterationsMax` steps.
 */
export function fitMultinomial(
  features: Matrix,
  labels: ArrayLike<number>,
  options: MultinomialOptions = {},
): MultinomialModel {
  const { C = 1 } = options;
  if (!(C > 0)) throw new RangeError(`C must be a number above 0 or Infinity, not ${C}`);
  const read = readClasses(features, labels, options.classCount);
  const weights = readWeights(options.weights, features.rows);
  const sums = classWeights(read, weights);
  const absent = sums.findIndex((sum) => !(sum > 0));
  if (absent >= 0) throw new RangeError(`Training needs rows of every class with weight; ${absent} has none`);
  const total = sums.reduce((sum, weight) => sum + weight, 0);
  const standardisation = standardisationOf(features, weights);
  const problem: SoftmaxProblem = { features, ...read, weights, standardisation, penalty: 1 / C, total };
  const size = parameterCount(problem);
  const square = problem.penalty === 0 || options.solver === 'newton';
  const sizeMax = square ? UNPENALISED_PARAMETERS_MAX : MULTINOMIAL_PARAMETERS_MAX;
  if (size > sizeMax) {
    const how = square ? ' without a penalty or by Newton' : '';
    throw new RangeError(`Multinomial regression takes ${sizeMax} parameters${how} at most, not ${size}`);
  }
  const parameters = new Float64Array(size);
  sums.forEach((sum, k) => {
    parameters[(k + 1) * (features.columns + 1) - 1] = Math.log(sum / total);
  });
  centre(parameters, read.classCount);
  const iterations = solve(problem, parameters, options);
  centre(parameters, read.classCount);
  return modelOf(problem, parameters, iterations);
}

function modelOf(problem: SoftmaxProblem, parameters: Float64Array, iterations: number): MultinomialModel {
  const { classCount, standardisation } = problem;
  const { columns } = problem.features;
  const coefficients = new Float64Array(classCount * columns);
  const intercepts = new Float64Array(classCount);
  for (let k = 0; k < classCount; k += 1) {
    const start = k * (columns + 1);
    coefficients.set(parameters.subarray(start, start + columns), k * columns);
    intercepts[k] = parameters[start + columns] as number;
  }
  const { means, scales } = standardisation;
  return { kind: 'multinomial', classCount, means, scales, coefficients, intercepts, iterations };
}

/** Takes from each parameter its mean over the classes, which means nothing to the probabilities. */
function centre(parameters: Float64Array, classCount: number): void {
  const size = parameters.length / classCount;
  for (let i = 0; i < size; i += 1) {
    let sum = 0;
    for (let at = i; at < parameters.length; at += size) sum += parameters[at] as number;
    const mean = sum / classCount;
    for (let at = i; at < parameters.length; at += size) parameters[at] = (parameters[at] as number) - mean;
  }
}

/** Moves the parameters to the minimum and returns the number of steps that took. */
function solve(problem: SoftmaxProblem, parameters: Float64Array, options: MultinomialOptions): number {
  const { solver = 'auto', tolerance = 1e-8 } = options;
  const newton = solver === 'newton' || (solver === 'auto' && parameters.length <= NEWTON_PARAMETERS_MAX);
  const rounding = GRADIENT_ROUNDING * problem.total;
  if (newton) {
    const gradient = new Float64Array(parameters.length);
    softmaxLoss(problem, parameters, gradient);
    const goal = Math.max(tolerance * largestOf(gradient), rounding);
    return solveByNewton(problem, parameters, {
      goal,
      stepsMax: options.iterationsMax ?? 100,
      stepRelative: 0,
    });
  }
  const result = minimiseByLbfgs((point, gradient) => softmaxLoss(problem, point, gradient), parameters, {
    iterationsMax: options.iterationsMax ?? 5000,
    tolerance,
    gradientRounding: rounding,
  });
  const { converged, iterations, steepness, goal } = result;
  if (!converged) throw notConverged(iterations, steepness, goal);
  if (problem.penalty > 0) return iterations;
  // Where the classes are separated the gradient vanishes too, far out; only Newton's steps then stay long.
  const check = { goal, stepsMax: CHECKING_STEPS_MAX, stepRelative: Number.POSITIVE_INFINITY };
  return iterations + solveByNewton(problem, parameters, check);
}

/** Takes Newton steps until the gradient is at the goal and, without a penalty, the last step was short. */
function solveByNewton(
  problem: SoftmaxProblem,
  parameters: Float64Array,
  from: { readonly goal: number; readonly stepsMax: number; readonly stepRelative: number },
): number {
  const gradient = new Float64Array(parameters.length);
  let objective = softmaxLoss(problem, parameters, gradient);
  let { stepRelative } = from;
  for (let iteration = 0; ; iteration += 1) {
    const steepness = largestOf(gradient);
    const stands = problem.penalty > 0 || stepRelative <= STEP_RELATIVE_MAX;
    if (steepness <= from.goal && stands) return iteration;
    if (iteration === from.stepsMax) {
      throw stands ? notConverged(iteration, steepness, from.goal) : noSolution('separate');
    }
    const hessian = softmaxHessian(problem, parameters);
    if (!factorCholesky(hessian, parameters.length)) {
      throw noSolution(iteration > 0 ? 'separate' : from.stepRelative === 0 ? 'dependent' : 'either');
    }
    const step = gradient.slice();
    solveCholesky(hessian, parameters.length, step);
    const reached = descend(problem, { parameters, objective }, step);
    if (reached === undefined) throw notConverged(iteration, steepness, from.goal);
    stepRelative = largestOf(step) / Math.max(1, largestOf(parameters));
    objective = softmaxLoss(problem, parameters, gradient);
  }
}

/** Takes the whole step back, or half of it, and so on; returns undefined when none leads down. */
function descend(
  problem: SoftmaxProblem,
  position: { readonly parameters: Float64Array; readonly objective: number },
  step: Float64Array,
): number | undefined {
  const { parameters, objective } = position;
  const slack = 1e-12 * Math.abs(objective);
  const candidate = new Float64Array(parameters.length);
  for (let halvings = 0, length = 1; halvings <= HALVINGS_MAX; halvings += 1, length /= 2) {
    candidate.set(parameters);
    addScaled(candidate, -length, step);
    const reached = softmaxLoss(problem, candidate, undefined);
    if (reached <= objective + slack) {
      parameters.set(candidate);
      return reached;
    }
  }
  return undefined;
}

function notConverged(iterations: number, steepness: number, goal: number): Error {
  return new Error(
    `Multinomial regression did not converge: after ${iterations} steps the gradient is ${steepness}, wanted ` +
      `${goal}. Allow more steps or a stronger penalty (smaller C)`,
  );
}

function noSolution(reason: keyof typeof REASONS): Error {
  return new Error(
    `Multinomial regression has no unique finite solution: ${REASONS[reason]}. Use a penalty (a finite C)`,
  );
}
