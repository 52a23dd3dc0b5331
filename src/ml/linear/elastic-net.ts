import type { Matrix } from '../matrix.ts';
import { readWeights } from '../training-input.ts';
import { largestViolation, minimiseQuadratic } from './coordinate-descent.ts';
import { Covariances } from './covariances.ts';
import type { CentredTargets, Design } from './design.ts';
import { addColumns, centreTargets, columnProducts, designOf } from './design.ts';
import type {
  ElasticNetBaseOptions,
  ElasticNetOptions,
  ElasticNetPathOptions,
  ReadElasticNetOptions,
} from './elastic-net-options.ts';
import { checkAlpha, pathAlphas, penaltyOf, readElasticNetOptions } from './elastic-net-options.ts';
import type { RegressionModel } from './regression-model.ts';
import { readTargets } from './targets.ts';
import { largestOf } from './vectors.ts';

/** One model of a path, and the strength of its penalty. */
export interface ElasticNetPathStep<TModel> {
  readonly alpha: number;
  readonly model: TModel;
}

interface Problem extends ReadElasticNetOptions {
  readonly design: Design;
  readonly targets: CentredTargets;
  readonly covariances: Covariances;
  /** Largest component of the gradient at coefficients of 0. */
  readonly steepest: number;
}

/**
 * Fits a linear regression with an elastic net penalty by coordinate descent: the objective is `0.5 *
 * sum(weight * (target - estimate)^2) / sum(weight) + alpha * (l1Ratio * ||w||_1 + 0.5 * (1 - l1Ratio) *
 * ||w||^2)`, that of scikit-learn's `ElasticNet`, on standardised columns and with a free intercept. With
 * `l1Ratio` 0 it is `fitRidge` with `alpha * sum(weight)`. Missing values are taken as the column's mean.
 *
 * @param features one row for each case; NaN is missing, infinite values are refused.
 * @param targets one finite number for each row.
 * @throws RangeError on unsound input, or with more than {@link ELASTIC_NET_COLUMNS_MAX} columns.
 * @throws Error when it did not converge within `iterationsMax` passes.
 */
export function fitElasticNet(
  features: Matrix,
  targets: ArrayLike<number>,
  options: ElasticNetOptions = {},
): RegressionModel {
  const { alpha = 1 } = options;
  checkAlpha(alpha, 'fitRidge with alpha 0');
  const problem = problemOf(features, targets, options);
  return solve(problem, alpha, new Float64Array(features.columns));
}

/**
 * Fits a path of models of falling penalty, each from the coefficients of the one before it, which costs much
 * less than fitting them apart. The models are those of {@link fitElasticNet}.
 *
 * @throws RangeError on unsound input.
 * @throws Error when one did not converge within `iterationsMax` passes.
 */
export function elasticNetPath(
  features: Matrix,
  targets: ArrayLike<number>,
  options: ElasticNetPathOptions = {},
): ElasticNetPathStep<RegressionModel>[] {
  const problem = problemOf(features, targets, options);
  const coefficients = new Float64Array(features.columns);
  return pathAlphas(options, problem.l1Ratio, problem.steepest).map((alpha) => {
    checkAlpha(alpha, 'fitRidge with alpha 0');
    return { alpha, model: solve(problem, alpha, coefficients) };
  });
}

function problemOf(features: Matrix, targets: ArrayLike<number>, options: ElasticNetBaseOptions): Problem {
  const read = readTargets(features, targets);
  const design = designOf(features, readWeights(options.weights, features.rows));
  const made = {
    ...readElasticNetOptions(features, options),
    design,
    targets: centreTargets(read, design),
    covariances: new Covariances(design, design.weights),
  };
  const steepest = largestOf(gradientAt(made, new Float64Array(features.columns)));
  return { ...made, steepest: steepest > made.targets.rounding ? steepest : 0 };
}

/** Moves the coefficients to the minimum and makes the model of a copy. */
function solve(problem: Problem, alpha: number, coefficients: Float64Array): RegressionModel {
  const { design, targets, covariances, tolerance, iterationsMax } = problem;
  const penalty = penaltyOf(alpha, problem.l1Ratio);
  const goal = Math.max(tolerance * problem.steepest, targets.rounding);
  // The gradient kept up by the descent collects rounding; each round starts from a fresh one.
  let iterations = 0;
  let violation = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 3; round += 1) {
    const gradient = gradientAt(problem, coefficients);
    violation = largestViolation(coefficients, gradient, penalty);
    if (violation <= goal) break;
    const limits = { goal: 0.1 * goal, passesMax: iterationsMax };
    const passes = minimiseQuadratic({ covariances, penalty, coefficients, gradient }, limits);
    if (passes === undefined) break;
    iterations += passes;
  }
  violation = largestViolation(coefficients, gradientAt(problem, coefficients), penalty);
  if (!(violation <= goal)) {
    throw new Error(
      `The elastic net did not converge: after ${iterationsMax} passes a condition is violated by ` +
        `${violation}, wanted ${goal}. Allow more passes or a stronger penalty (larger alpha)`,
    );
  }
  const { means, scales } = design.standardisation;
  return {
    kind: 'regression',
    means,
    scales,
    coefficients: coefficients.slice(),
    intercept: targets.mean,
    iterations,
  };
}

/** Of the mean squared error's half, without the penalty. */
function gradientAt(problem: Pick<Problem, 'design' | 'targets'>, coefficients: Float64Array): Float64Array {
  const { design, targets } = problem;
  const estimates = new Float64Array(design.rows);
  addColumns(design, coefficients, estimates);
  const residuals = estimates.map(
    (estimate, row) =>
      ((design.weights[row] as number) / design.total) * (estimate - (targets.centred[row] as number)),
  );
  return columnProducts(design, residuals);
}
