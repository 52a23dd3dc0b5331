/** Points and weights of a quadrature on [0, 1]: the integral of f is about the sum of weight * f(point). */
export interface Quadrature {
  readonly points: Float64Array;
  readonly weights: Float64Array;
}

/** Newton steps from the usual first guess; three or four are enough for any rule that is used. */
const NEWTON_STEPS_MAX = 20;

/**
 * @internal The Gauss-Legendre rule of `count` points on [0, 1], which is exact for polynomials of a degree
 * of up to `2 * count - 1`. All points are inside the interval and all weights positive.
 */
export function gaussLegendre(count: number): Quadrature {
  const points = new Float64Array(count);
  const weights = new Float64Array(count);
  for (let index = 0; index < count; index += 1) {
    let root = Math.cos((Math.PI * (index + 0.75)) / (count + 0.5));
    let legendre = legendreAt(count, root);
    for (let step = 0; step < NEWTON_STEPS_MAX; step += 1) {
      const better = root - legendre.value / legendre.slope;
      if (Math.abs(better - root) < 1e-16) break;
      root = better;
      legendre = legendreAt(count, root);
    }
    // The roots fall, so the points, mirrored into [0, 1], rise.
    points[index] = (1 - root) / 2;
    weights[index] = 1 / ((1 - root * root) * legendre.slope * legendre.slope);
  }
  return { points, weights };
}

/** Legendre's polynomial of a degree from 1 and its derivative, by the three-term recurrence. */
function legendreAt(degree: number, x: number): { readonly value: number; readonly slope: number } {
  let previous = 1;
  let value = x;
  for (let k = 1; k < degree; k += 1) {
    const next = ((2 * k + 1) * x * value - k * previous) / (k + 1);
    previous = value;
    value = next;
  }
  return { value, slope: (degree * (x * value - previous)) / (x * x - 1) };
}
