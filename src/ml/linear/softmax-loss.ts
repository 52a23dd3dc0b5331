import type { Matrix } from '../matrix.ts';
import type { Standardisation } from './standardise.ts';
import { rowStandardiser } from './standardise.ts';

/**
 * The objective of a multinomial logistic regression: `0.5 * penalty * ||w||^2 + sum(weight * logloss)`. The
 * parameters stand class after class: its coefficients, then its intercept, which is free of the penalty.
 */
export interface SoftmaxProblem {
  readonly features: Matrix;
  readonly classes: Int32Array;
  readonly classCount: number;
  readonly weights: Float64Array;
  readonly standardisation: Standardisation;
  readonly penalty: number;
  /** Sum of the weights. */
  readonly total: number;
}

/** @internal Number of parameters. */
export function parameterCount(problem: SoftmaxProblem): number {
  return problem.classCount * (problem.features.columns + 1);
}

/** @internal The objective; its gradient is written to `gradient` unless that is undefined. */
export function softmaxLoss(
  problem: SoftmaxProblem,
  parameters: Float64Array,
  gradient: Float64Array | undefined,
): number {
  const { classes, classCount, weights, penalty } = problem;
  const size = problem.features.columns + 1;
  const { row, standardise } = rowOf(problem);
  const shares = new Float64Array(classCount);
  gradient?.fill(0);
  let loss = 0;
  for (let index = 0; index < weights.length; index += 1) {
    standardise(index, row);
    const label = classes[index] as number;
    const weight = weights[index] as number;
    marginsInto(shares, row, parameters);
    const margin = shares[label] as number;
    loss += weight * (softmax(shares) - margin);
    if (gradient === undefined) continue;
    shares[label] = (shares[label] as number) - 1;
    for (let k = 0, at = 0; k < classCount; k += 1) {
      const residual = weight * (shares[k] as number);
      for (let i = 0; i < size; i += 1, at += 1)
        gradient[at] = (gradient[at] as number) + residual * (row[i] as number);
    }
  }
  let squares = 0;
  for (let at = 0; at < parameters.length; at += 1) {
    if (at % size === size - 1) continue;
    const parameter = parameters[at] as number;
    squares += parameter * parameter;
    if (gradient !== undefined) gradient[at] = (gradient[at] as number) + penalty * parameter;
  }
  return loss + 0.5 * penalty * squares;
}

/**
 * @internal The matrix of second derivatives, lower triangle, row-major. The loss does not change when every
 * class gets the same addition, so that its own matrix is singular; the square of the sum over the classes is
 * added to it. Gradients have no part along that sum, hence neither have the steps: the sums stay 0.
 */
export function softmaxHessian(problem: SoftmaxProblem, parameters: Float64Array): Float64Array {
  const { classCount, weights } = problem;
  const size = problem.features.columns + 1;
  const n = parameters.length;
  const { row, standardise } = rowOf(problem);
  const shares = new Float64Array(classCount);
  const hessian = new Float64Array(n * n);
  for (let index = 0; index < weights.length; index += 1) {
    standardise(index, row);
    marginsInto(shares, row, parameters);
    softmax(shares);
    for (let a = 0; a < classCount; a += 1) {
      const scaled = (weights[index] as number) * (shares[a] as number);
      for (let b = 0; b <= a; b += 1) {
        const factor = a === b ? scaled * (1 - (shares[a] as number)) : -scaled * (shares[b] as number);
        addSquare(hessian, { start: a * size * n + b * size, stride: n, factor }, row);
      }
    }
  }
  completeHessian(problem, hessian);
  return hessian;
}

/** Adds `factor` times row * row' to the lower triangle of one block. */
function addSquare(
  hessian: Float64Array,
  block: { readonly start: number; readonly stride: number; readonly factor: number },
  row: Float64Array,
): void {
  const { start, stride, factor } = block;
  for (let i = 0; i < row.length; i += 1) {
    const value = factor * (row[i] as number);
    if (value === 0) continue;
    const at = start + i * stride;
    for (let j = 0; j <= i; j += 1)
      hessian[at + j] = (hessian[at + j] as number) + value * (row[j] as number);
  }
}

/** Fills the upper triangles of the blocks below the diagonal and adds the penalty and the sums' squares. */
function completeHessian(problem: SoftmaxProblem, hessian: Float64Array): void {
  const { classCount, penalty, standardisation } = problem;
  const size = problem.features.columns + 1;
  const n = classCount * size;
  const sums = problem.total / classCount ** 2;
  for (let a = 0; a < classCount; a += 1) {
    for (let b = 0; b <= a; b += 1) {
      const start = a * size * n + b * size;
      for (let i = 0; i < size; i += 1) {
        if (a !== b)
          for (let j = i + 1; j < size; j += 1)
            hessian[start + i * n + j] = hessian[start + j * n + i] as number;
        hessian[start + i * n + i] = (hessian[start + i * n + i] as number) + sums;
      }
    }
    for (let column = 0; column < size - 1; column += 1) {
      const diagonal = (a * size + column) * (n + 1);
      // A constant column is all zeros once standardised: any positive curvature keeps its coefficients at 0.
      const curvature = standardisation.varies[column] === 1 ? penalty : Math.max(penalty, 1);
      hessian[diagonal] = (hessian[diagonal] as number) + curvature;
    }
  }
}

function rowOf(problem: SoftmaxProblem): {
  row: Float64Array;
  standardise: (index: number, into: Float64Array) => void;
} {
  const { columns } = problem.features;
  const row = new Float64Array(columns + 1);
  row[columns] = 1;
  return { row, standardise: rowStandardiser(problem.features, problem.standardisation) };
}

function marginsInto(margins: Float64Array, row: Float64Array, parameters: Float64Array): void {
  for (let k = 0, at = 0; k < margins.length; k += 1) {
    let margin = 0;
    for (let i = 0; i < row.length; i += 1, at += 1)
      margin += (row[i] as number) * (parameters[at] as number);
    margins[k] = margin;
  }
}

/** @internal Turns margins into probabilities, in place, and returns log(sum(exp(margin))); never overflows. */
export function softmax(margins: Float64Array): number {
  let most = Number.NEGATIVE_INFINITY;
  for (const margin of margins) most = Math.max(most, margin);
  let sum = 0;
  for (let k = 0; k < margins.length; k += 1) {
    const share = Math.exp((margins[k] as number) - most);
    margins[k] = share;
    sum += share;
  }
  for (let k = 0; k < margins.length; k += 1) margins[k] = (margins[k] as number) / sum;
  return most + Math.log(sum);
}
