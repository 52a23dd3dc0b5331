import type { HeldOut } from './held-out.ts';
import { readHeldOut } from './held-out.ts';

/** A logistic curve: the probability is `1 / (1 + exp(-(slope * score + intercept)))`. */
export interface PlattCalibration {
  readonly kind: 'platt';
  /** At least 0. */
  readonly slope: number;
  readonly intercept: number;
}

export interface CalibrationOptions {
  /** One weight of at least 0 for each row. A row of weight 2 counts as that row twice. Default all 1. */
  readonly weights?: ArrayLike<number>;
}

/** Newton steps before the (always convex) problem counts as beyond 64-bit numbers; usual are 5 to 10. */
const STEPS_MAX = 100;
/** Halvings of one step before it is given up. */
const HALVINGS_MAX = 40;
/** Largest component of the mean gradient at the solution. */
const GRADIENT_MAX = 1e-12;
/** Added to the curvature, so that saturated scores do not make it singular. */
const CURVATURE_ADDED = 1e-12;

/**
 * Fits Platt's scaling (Platt, 1999) by Newton's method with halving of the step and a loss that neither
 * overflows nor cancels (Lin, Lin and Weng, 2007). The targets are Platt's: (N+ + 1) / (N+ + 2) for the
 * positive rows and 1 / (N- + 2) for the negative ones, so that the curve stays finite where the scores
 * separate the classes. Where the best slope would be negative it is 0: a calibration must not turn the
 * ranking round, and a score that ranks backwards on held-out rows ranks nothing.
 *
 * @param scores finite numbers of rows that the model was not fitted on: probabilities, margins, any scale.
 *   Margins (log odds) suit a logistic curve best.
 * @param labels 0 or 1 for each score; one class alone is enough.
 * @throws RangeError on unsound input.
 */
export function fitPlatt(
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  options: CalibrationOptions = {},
): PlattCalibration {
  const heldOut = readHeldOut(scores, labels, options.weights);
  const { mean, deviation } = spreadOf(heldOut);
  const { positive, negative } = heldOut;
  const problem: Problem = {
    scores: heldOut.scores.map((score) => (deviation > 0 ? (score - mean) / deviation : 0)),
    targets: Float64Array.from(heldOut.labels, (label) =>
      label === 1 ? (positive + 1) / (positive + 2) : 1 / (negative + 2),
    ),
    weights: heldOut.weights.map((weight) => weight / (positive + negative)),
  };
  const share = (problem.weights as Float64Array).reduce(
    (sum, weight, row) => sum + weight * (problem.targets[row] as number),
    0,
  );
  const flat: Curve = { slope: 0, intercept: Math.log(share / (1 - share)) };
  const curve = deviation > 0 && slopeAt(problem, flat).gradientSlope < 0 ? steepen(problem, flat) : flat;
  // A slope that the scale of the scores takes below the smallest number is as good as none.
  const slope = deviation > 0 ? curve.slope / deviation : 0;
  return { kind: 'platt', slope, intercept: curve.intercept - slope * mean };
}

interface Problem {
  /** Standardised: Newton's steps are then as good on any scale. */
  readonly scores: Float64Array;
  readonly targets: Float64Array;
  /** They sum to 1. */
  readonly weights: Float64Array;
}

interface Curve {
  readonly slope: number;
  readonly intercept: number;
}

/** Weighted mean and population standard deviation; 0 for scores that are equal up to rounding. */
function spreadOf(heldOut: HeldOut): { mean: number; deviation: number } {
  const total = heldOut.positive + heldOut.negative;
  let mean = 0;
  heldOut.scores.forEach((score, row) => {
    mean += ((heldOut.weights[row] as number) / total) * score;
  });
  let squares = 0;
  heldOut.scores.forEach((score, row) => {
    squares += ((heldOut.weights[row] as number) / total) * (score - mean) ** 2;
  });
  const deviation = Math.sqrt(squares);
  return { mean, deviation: deviation > 1e-12 * Math.abs(mean) ? deviation : 0 };
}

/** Newton's steps from the flat curve to the best one. */
function steepen(problem: Problem, start: Curve): Curve {
  let curve = start;
  let loss = lossAt(problem, curve);
  for (let step = 0; step < STEPS_MAX; step += 1) {
    const { gradientSlope, gradientIntercept, h11, h12, h22 } = slopeAt(problem, curve);
    if (Math.max(Math.abs(gradientSlope), Math.abs(gradientIntercept)) <= GRADIENT_MAX) break;
    const determinant = h11 * h22 - h12 * h12;
    const slopeStep = (h12 * gradientIntercept - h22 * gradientSlope) / determinant;
    const interceptStep = (h12 * gradientSlope - h11 * gradientIntercept) / determinant;
    const promised = gradientSlope * slopeStep + gradientIntercept * interceptStep;
    let next: Curve | undefined;
    for (
      let halvings = 0, length = 1;
      halvings < HALVINGS_MAX && next === undefined;
      halvings += 1, length /= 2
    ) {
      const candidate = {
        slope: curve.slope + length * slopeStep,
        intercept: curve.intercept + length * interceptStep,
      };
      const reached = lossAt(problem, candidate);
      if (reached <= loss + 1e-4 * length * promised + 1e-15 * loss) {
        next = candidate;
        loss = reached;
      }
    }
    // No step leads further down: the rest is rounding.
    if (next === undefined) break;
    curve = next;
  }
  return curve;
}

function lossAt(problem: Problem, curve: Curve): number {
  let loss = 0;
  problem.scores.forEach((score, row) => {
    const margin = curve.slope * score + curve.intercept;
    const target = problem.targets[row] as number;
    // -t log p - (1 - t) log(1 - p), of the two forms the one whose exponential does not overflow.
    const term =
      margin >= 0
        ? (1 - target) * margin + Math.log1p(Math.exp(-margin))
        : -target * margin + Math.log1p(Math.exp(margin));
    loss += (problem.weights[row] as number) * term;
  });
  return loss;
}

interface Slope {
  readonly gradientSlope: number;
  readonly gradientIntercept: number;
  readonly h11: number;
  readonly h12: number;
  readonly h22: number;
}

function slopeAt(problem: Problem, curve: Curve): Slope {
  let gradientSlope = 0;
  let gradientIntercept = 0;
  let h11 = CURVATURE_ADDED;
  let h12 = 0;
  let h22 = CURVATURE_ADDED;
  problem.scores.forEach((score, row) => {
    const weight = problem.weights[row] as number;
    const probability = 1 / (1 + Math.exp(-(curve.slope * score + curve.intercept)));
    const residual = weight * (probability - (problem.targets[row] as number));
    const curvature = weight * probability * (1 - probability);
    gradientSlope += residual * score;
    gradientIntercept += residual;
    h11 += curvature * score * score;
    h12 += curvature * score;
    h22 += curvature;
  });
  return { gradientSlope, gradientIntercept, h11, h12, h22 };
}
