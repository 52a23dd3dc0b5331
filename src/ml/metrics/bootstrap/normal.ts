/** Beyond this many standard deviations a Float64 cannot tell the distribution function from 0 or 1. */
const TAIL = 8;

/** Halvings that bring the bracket of a quantile below the spacing of Float64. */
const HALVINGS = 64;

/**
 * @internal Distribution function of the standard normal distribution, to about 1e-15 in absolute terms, by
 * its power series (Marsaglia, "Evaluating the normal distribution", 2004): density(x) * (x + x^3/3 + x^5/(3
 * * 5) + ...).
 */
export function normalProbability(x: number): number {
  if (x <= -TAIL) return 0;
  if (x >= TAIL) return 1;
  let term = x;
  let sum = x;
  for (let odd = 3; Math.abs(term) > Math.abs(sum) * 1e-17; odd += 2) {
    term *= (x * x) / odd;
    sum += term;
  }
  return 0.5 + (sum * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI);
}

/**
 * @internal Quantile of the standard normal distribution, by bisection of {@link normalProbability}: an
 * interval needs a handful of them, so speed does not matter and there are no coefficients to get wrong.
 *
 * @param probability in (0, 1)
 */
export function normalQuantile(probability: number): number {
  let low = -TAIL;
  let high = TAIL;
  for (let halving = 0; halving < HALVINGS; halving += 1) {
    const middle = (low + high) / 2;
    if (normalProbability(middle) < probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
