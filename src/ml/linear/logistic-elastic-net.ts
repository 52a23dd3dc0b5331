import type { Matrix } from '../matrix.ts';
import { positiveShare, readLabels, readWeights } from '../training-input.ts';
import type { ElasticPenalty } from './coordinate-descent.ts';
import { largestViolation, minimiseQuadratic } from './coordinate-descent.ts';
import { Covariances } from './covariances.ts';
import type { Design } from './design.ts';
import { addColumns, columnProducts, designOf } from './design.ts';
import type {
  ElasticNetBaseOptions,
  ElasticNetOptions,
  ElasticNetPathOptions,
  ReadElasticNetOptions,
} from './elastic-net-options.ts';
import { checkAlpha, pathAlphas, penaltyOf, readElasticNetOptions } from './elastic-net-options.ts';
import type { ElasticNetPathStep } from './elastic-net.ts';
import type { LogisticModel } from './logistic.ts';
import { dot, largestOf } from './vectors.ts';

/** Newton steps before giving up; a fit takes 4 to 15. */
const NEWTON_STEPS_MAX = 100;
/** Halvings of one step before it is given up. */
const HALVINGS_MAX = 40;
/** Violations of the mean loss' conditions below this are rounding. */
const VIOLATION_ROUNDING = 1e-13;
/** A quadratic model is minimised to this share of the violation it starts with. */
const INNER_SHARE = 1e-3;

interface Problem extends ReadElasticNetOptions {
  readonly design: Design;
  readonly labels: Uint8Array;
  /** Largest component of the gradient at coefficients of 0. */
  readonly steepest: number;
}

interface Position {
  readonly coefficients: Float64Array;
  intercept: number;
}

/** The mean loss and its derivatives at a position. */
interface Slope {
  readonly gradient: Float64Array;
  readonly interceptGradient: number;
  /** weight * p * (1 - p) of each row. */
  readonly curvatures: Float64Array;
}

/**
 * Fits a binary logistic regression with an elastic net penalty: the objective is `sum(weight * logloss) /
 * sum(weight) + alpha * (l1Ratio * ||w||_1 + 0.5 * (1 - l1Ratio) * ||w||^2)` on standardised columns and with
 * a free intercept: scikit-learn's logistic regression with `C = 1 / (alpha * sum(weight))`. Newton steps
 * whose quadratic problems are solved by coordinate descent (Friedman, Hastie and Tibshirani, 2010), with
 * halving of the step. The result is an ordinary logistic model.
 *
 * @param features one row for each case; NaN is missing, infinite values are refused.
 * @param labels 0 or 1 for each row.
 * @throws RangeError on unsound input, when a class is missing, or with more than {@link
 *   ELASTIC_NET_COLUMNS_MAX} columns.
 * @throws Error when it did not converge.
 */
export function fitLogisticElasticNet(
  features: Matrix,
  labels: ArrayLike<number>,
  options: ElasticNetOptions = {},
): LogisticModel {
  const { alpha = 1 } = options;
  checkAlpha(alpha, 'fitLogistic with C Infinity');
  const { problem, start } = problemOf(features, labels, options);
  return solve(problem, alpha, start);
}

/**
 * Fits a path of models of falling penalty, each from the coefficients of the one before it. The models are
 * those of {@link fitLogisticElasticNet}.
 *
 * @throws RangeError on unsound input.
 * @throws Error when one did not converge.
 */
export function logisticElasticNetPath(
  features: Matrix,
  labels: ArrayLike<number>,
  options: ElasticNetPathOptions = {},
): ElasticNetPathStep<LogisticModel>[] {
  const { problem, start } = problemOf(features, labels, options);
  return pathAlphas(options, problem.l1Ratio, problem.steepest).map((alpha) => {
    checkAlpha(alpha, 'fitLogistic with C Infinity');
    return { alpha, model: solve(problem, alpha, start) };
  });
}

function problemOf(
  features: Matrix,
  labels: ArrayLike<number>,
  options: ElasticNetBaseOptions,
): { problem: Problem; start: Position } {
  const read = readLabels(features, labels, 'training');
  const weights = readWeights(options.weights, features.rows);
  const share = positiveShare(read, weights);
  const design = designOf(features, weights);
  const start = {
    coefficients: new Float64Array(features.columns),
    intercept: Math.log(share / (1 - share)),
  };
  const made = { ...readElasticNetOptions(features, options), design, labels: read, steepest: 0 };
  const steepest = largestOf(slopeAt(made, start).gradient);
  return { problem: { ...made, steepest: steepest > VIOLATION_ROUNDING ? steepest : 0 }, start };
}

/** Moves the position to the minimum and makes the model of a copy. */
function solve(problem: Problem, alpha: number, position: Position): LogisticModel {
  const penalty = penaltyOf(alpha, problem.l1Ratio);
  const goal = Math.max(problem.tolerance * problem.steepest, VIOLATION_ROUNDING);
  let violation = Number.NaN;
  for (let step = 0; step <= NEWTON_STEPS_MAX; step += 1) {
    const slope = slopeAt(problem, position);
    violation = Math.max(
      Math.abs(slope.interceptGradient),
      largestViolation(position.coefficients, slope.gradient, penalty),
    );
    if (violation <= goal) {
      const { means, scales } = problem.design.standardisation;
      const { intercept } = position;
      const coefficients = position.coefficients.slice();
      return { kind: 'logistic', means, scales, coefficients, intercept, iterations: step };
    }
    const target = newtonTarget(
      problem,
      { position, slope, penalty },
      Math.max(0.1 * goal, INNER_SHARE * violation),
    );
    if (target === undefined || !approach(problem, { position, slope, penalty }, target)) break;
  }
  throw new Error(
    `The logistic elastic net did not converge: a condition is violated by ${violation}, wanted ${goal}. ` +
      'Allow more passes or a stronger penalty (larger alpha)',
  );
}

interface Here {
  readonly position: Position;
  readonly slope: Slope;
  readonly penalty: ElasticPenalty;
}

/**
 * The minimum of the quadratic model of the objective; undefined when it was not found. The intercept has no
 * penalty and is eliminated: columns are centred by the rows' curvatures.
 */
function newtonTarget(problem: Problem, here: Here, goal: number): Position | undefined {
  const { position, slope, penalty } = here;
  const covariances = new Covariances(problem.design, slope.curvatures);
  const gradient = slope.gradient.map(
    (component, column) => component - (covariances.means[column] as number) * slope.interceptGradient,
  );
  const coefficients = position.coefficients.slice();
  const limits = { goal, passesMax: problem.iterationsMax };
  if (minimiseQuadratic({ covariances, penalty, coefficients, gradient }, limits) === undefined)
    return undefined;
  let curvature = 0;
  for (const part of slope.curvatures) curvature += part / problem.design.total;
  let shift = slope.interceptGradient / curvature;
  coefficients.forEach((coefficient, column) => {
    shift +=
      (covariances.means[column] as number) * (coefficient - (position.coefficients[column] as number));
  });
  return { coefficients, intercept: position.intercept - shift };
}

/** Goes all the way to the target, or half of it, and so on, until the objective fell enough. */
function approach(problem: Problem, here: Here, target: Position): boolean {
  const { position, slope, penalty } = here;
  const objective = objectiveAt(problem, position, penalty);
  const step = target.coefficients.map((to, column) => to - (position.coefficients[column] as number));
  const interceptStep = target.intercept - position.intercept;
  const promised =
    dot(slope.gradient, step) +
    slope.interceptGradient * interceptStep +
    penaltyAt(target.coefficients, penalty) -
    penaltyAt(position.coefficients, penalty);
  const slack = 1e-12 * Math.abs(objective);
  for (let halvings = 0, length = 1; halvings <= HALVINGS_MAX; halvings += 1, length /= 2) {
    const candidate = {
      // At full length exactly the target, whose zeros are zeros.
      coefficients: target.coefficients.map((to, column) => to - (1 - length) * (step[column] as number)),
      intercept: target.intercept - (1 - length) * interceptStep,
    };
    const reached = objectiveAt(problem, candidate, penalty);
    if (reached <= objective + 1e-4 * length * promised + slack) {
      position.coefficients.set(candidate.coefficients);
      position.intercept = candidate.intercept;
      return true;
    }
  }
  return false;
}

function penaltyAt(coefficients: Float64Array, penalty: ElasticPenalty): number {
  let sum = 0;
  for (const coefficient of coefficients) {
    sum += penalty.l1 * Math.abs(coefficient) + 0.5 * penalty.l2 * coefficient * coefficient;
  }
  return sum;
}

function marginsAt(problem: Problem, position: Position): Float64Array {
  const margins = new Float64Array(problem.design.rows).fill(position.intercept);
  addColumns(problem.design, position.coefficients, margins);
  return margins;
}

function objectiveAt(problem: Problem, position: Position, penalty: ElasticPenalty): number {
  const { labels, design } = problem;
  let loss = 0;
  marginsAt(problem, position).forEach((margin, row) => {
    const signed = labels[row] === 1 ? margin : -margin;
    // log(1 + exp(-s)) without overflow.
    const term = signed > 0 ? Math.log1p(Math.exp(-signed)) : Math.log1p(Math.exp(signed)) - signed;
    loss += (design.weights[row] as number) * term;
  });
  return loss / design.total + penaltyAt(position.coefficients, penalty);
}

function slopeAt(problem: Problem, position: Position): Slope {
  const { labels, design } = problem;
  const curvatures = new Float64Array(design.rows);
  let interceptGradient = 0;
  const residuals = marginsAt(problem, position).map((margin, row) => {
    const weight = design.weights[row] as number;
    const probability = 1 / (1 + Math.exp(-margin));
    curvatures[row] = weight * probability * (1 - probability);
    const residual = (weight / design.total) * (probability - (labels[row] as number));
    interceptGradient += residual;
    return residual;
  });
  return { gradient: columnProducts(design, residuals), interceptGradient, curvatures };
}
