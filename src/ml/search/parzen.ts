import type { SeededRandom } from '../random.ts';

/**
 * A density on [0, 1]: a mean of normal kernels, each cut off at the borders and made whole again, one around
 * each point that was seen and one wide kernel in the middle as a prior (Bergstra et al., 2011).
 */
export interface ParzenDensity {
  readonly centres: Float64Array;
  readonly deviations: Float64Array;
  /** Mass of each whole kernel within [0, 1]. */
  readonly masses: Float64Array;
}

/** No kernel is narrower than this share of the range, nor, with n points, than a quarter of 1 / (n + 1). */
const DEVIATION_MIN = 0.01;

/**
 * @internal The density of points in [0, 1]. A kernel is as wide as the distance to its farther neighbour,
 * so it is narrow where points crowd.
 *
 * @param narrowest least deviation that makes sense, half a step for whole numbers.
 */
export function parzenDensity(points: readonly number[], narrowest: number): ParzenDensity {
  const sorted = Float64Array.from(points).sort();
  const count = sorted.length;
  const centres = new Float64Array(count + 1).fill(0.5);
  const deviations = new Float64Array(count + 1).fill(1);
  const least = Math.max(DEVIATION_MIN, narrowest, 0.25 / (count + 1));
  sorted.forEach((centre, at) => {
    // The borders are no neighbours, or the outermost points of a narrow crowd would have wide kernels.
    const below = at > 0 ? centre - (sorted[at - 1] as number) : 0;
    const above = at + 1 < count ? (sorted[at + 1] as number) - centre : 0;
    const alone = count === 1 ? Math.max(centre, 1 - centre) : 0;
    centres[at] = centre;
    deviations[at] = Math.min(1, Math.max(below, above, alone, least));
  });
  const masses = centres.map(
    (centre, at) =>
      normalCumulative((1 - centre) / (deviations[at] as number)) -
      normalCumulative(-centre / (deviations[at] as number)),
  );
  return { centres, deviations, masses };
}

/** @internal Draws a point. */
export function drawPoint(density: ParzenDensity, random: SeededRandom): number {
  const kernel = random.integer(density.centres.length);
  const centre = density.centres[kernel] as number;
  const deviation = density.deviations[kernel] as number;
  // A kernel's centre is in [0, 1] and its deviation at most 1, so at least a third of the draws are too.
  for (;;) {
    const point = centre + deviation * random.normal();
    if (point >= 0 && point <= 1) return point;
  }
}

/** @internal Logarithm of the density at a point. */
export function logDensity(density: ParzenDensity, point: number): number {
  const { centres, deviations, masses } = density;
  let sum = 0;
  for (let kernel = 0; kernel < centres.length; kernel += 1) {
    const deviation = deviations[kernel] as number;
    const distance = (point - (centres[kernel] as number)) / deviation;
    sum += Math.exp(-0.5 * distance * distance) / (deviation * (masses[kernel] as number));
  }
  return Math.log(sum / (centres.length * Math.sqrt(2 * Math.PI)));
}

/**
 * Distribution function of the standard normal distribution, with an error below 1e-7 (Abramowitz and Stegun,
 * 26.2.17): far less than what it is divided into.
 */
function normalCumulative(x: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(x));
  const series =
    t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  const tail = (Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI)) * series;
  return x >= 0 ? 1 - tail : tail;
}
