import { addScaled, dot, largestOf } from './vectors.ts';

/** A smooth convex function: returns its value at `point` and writes its gradient there. */
export type SmoothFunction = (point: Float64Array, gradient: Float64Array) => number;

export interface LbfgsOptions {
  readonly iterationsMax: number;
  /** Largest component of the gradient to end at, relative to the one at the start. */
  readonly tolerance: number;
  /** Gradients at or below this are rounding. */
  readonly gradientRounding: number;
}

export interface LbfgsResult {
  readonly converged: boolean;
  readonly iterations: number;
  /** Largest component of the last gradient, and what was wanted. */
  readonly steepness: number;
  readonly goal: number;
}

/** Pairs of step and change of the gradient that are remembered. */
const MEMORY = 12;
/** Evaluations along one direction before it is given up. */
const TRIALS_MAX = 40;
/** A step is long enough when the slope fell to this share of the first one. */
const SLOPE_SHARE = 0.9;
/** A step is short enough when the slope behind the minimum is at most this share of the first one. */
const OVERSHOOT_SHARE = 0.8;
/** Increases of the function below this share of it are rounding. */
const VALUE_ROUNDING = 1e-12;

interface Pair {
  readonly step: Float64Array;
  readonly change: Float64Array;
  readonly curvature: number;
}

interface Position {
  readonly point: Float64Array;
  readonly gradient: Float64Array;
  value: number;
}

/**
 * @internal Minimises a smooth convex function with the limited-memory BFGS method (Liu and Nocedal, 1989);
 * `point` is the start and becomes the minimum. Near it a decrease of the value drowns in rounding, so the
 * line search judges by the slope (the approximate conditions of Hager and Zhang, 2005), which does not.
 */
export function minimiseByLbfgs(
  evaluate: SmoothFunction,
  point: Float64Array,
  options: LbfgsOptions,
): LbfgsResult {
  const gradient = new Float64Array(point.length);
  const position: Position = { point, gradient, value: evaluate(point, gradient) };
  const first = largestOf(gradient);
  const goal = Math.max(options.tolerance * first, options.gradientRounding);
  const pairs: Pair[] = [];
  for (let iteration = 0; ; iteration += 1) {
    const steepness = largestOf(gradient);
    const done = steepness <= goal;
    if (done || iteration === options.iterationsMax) {
      return { converged: done, iterations: iteration, steepness, goal };
    }
    const direction = directionOf(gradient, pairs);
    // Without remembered pairs the gradient has no natural length: the first trial moves by 1 at most.
    const trial = pairs.length === 0 ? 1 / Math.max(1, largestOf(direction)) : 1;
    const pair = searchLine(evaluate, position, { direction, trial });
    if (pair === undefined) {
      if (pairs.length === 0) return { converged: false, iterations: iteration, steepness, goal };
      // The remembered curvature misled; steepest descent starts it afresh.
      pairs.length = 0;
      continue;
    }
    if (pair.curvature > 0) pairs.push(pair);
    if (pairs.length > MEMORY) pairs.shift();
  }
}

/** Minus the inverse of the remembered curvature times the gradient: the two-loop recursion. */
function directionOf(gradient: Float64Array, pairs: readonly Pair[]): Float64Array {
  const direction = gradient.map((component) => -component);
  const factors: number[] = [];
  for (const { step, change, curvature } of pairs.toReversed()) {
    const factor = dot(step, direction) / curvature;
    addScaled(direction, -factor, change);
    factors.push(factor);
  }
  const last = pairs.at(-1);
  if (last !== undefined) {
    const scale = last.curvature / dot(last.change, last.change);
    for (let index = 0; index < direction.length; index += 1)
      direction[index] = (direction[index] as number) * scale;
  }
  for (const { step, change, curvature } of pairs) {
    const factor = (factors.pop() as number) - dot(change, direction) / curvature;
    addScaled(direction, factor, step);
  }
  return direction;
}

/** Moves along the direction to a good enough point; undefined when there is none. */
function searchLine(
  evaluate: SmoothFunction,
  position: Position,
  line: { readonly direction: Float64Array; readonly trial: number },
): Pair | undefined {
  const { point, gradient, value } = position;
  const slope = dot(gradient, line.direction);
  if (!(slope < 0)) return undefined;
  const slack = VALUE_ROUNDING * Math.abs(value);
  const candidate = new Float64Array(point.length);
  const reached = new Float64Array(point.length);
  // The minimum lies between `low`, where the function falls, and `high`, where it rises.
  let low = { length: 0, slope };
  let high: { length: number; slope: number } | undefined;
  let length = line.trial;
  for (let trial = 0; trial < TRIALS_MAX; trial += 1) {
    for (let index = 0; index < point.length; index += 1)
      candidate[index] = (point[index] as number) + length * (line.direction[index] as number);
    const valueThere = evaluate(candidate, reached);
    const slopeThere = dot(reached, line.direction);
    const rises = !(valueThere <= value + slack) || slopeThere > -OVERSHOOT_SHARE * slope;
    if (rises) high = { length, slope: slopeThere };
    else if (slopeThere < SLOPE_SHARE * slope) low = { length, slope: slopeThere };
    else return accept(position, { candidate, reached, valueThere });
    length = nextLength(low, high);
  }
  return undefined;
}

/** Where the slopes' straight line crosses 0, kept off the ends of the interval; doubles while it is open. */
function nextLength(
  low: { readonly length: number; readonly slope: number },
  high: { readonly length: number; readonly slope: number } | undefined,
): number {
  if (high === undefined) return low.length * 4;
  const width = high.length - low.length;
  const share = low.slope / (low.slope - high.slope);
  // Also where the slope is NaN or does not rise, as rounding and overflow have it.
  return low.length + width * (share >= 0.1 && share <= 0.9 ? share : share > 0.9 ? 0.9 : 0.1);
}

function accept(
  position: Position,
  found: { readonly candidate: Float64Array; readonly reached: Float64Array; readonly valueThere: number },
): Pair {
  const { point, gradient } = position;
  const step = found.candidate.map((component, index) => component - (point[index] as number));
  const change = found.reached.map((component, index) => component - (gradient[index] as number));
  point.set(found.candidate);
  gradient.set(found.reached);
  position.value = found.valueThere;
  return { step, change, curvature: dot(step, change) };
}
