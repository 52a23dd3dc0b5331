import { SEARCH_TRIALS_MAX } from './options.ts';
import type { Parameter, ParameterValue, ParameterValues, SearchSpace } from './space.ts';
import { fromUnit, isActive, sizeOf } from './values.ts';

/**
 * @internal All points of a grid, the last parameter turning fastest, but no more than the limit. A parameter
 * that is not active takes no part, so no configuration comes twice.
 */
export function gridPoints(space: SearchSpace, steps: number, limit: number): readonly ParameterValues[] {
  let points: ParameterValues[] = [{}];
  for (const parameter of space) {
    const values = gridValues(parameter, steps);
    const longer: ParameterValues[] = [];
    for (const point of points) {
      if (longer.length >= limit) break;
      if (!isActive(parameter, point)) longer.push(point);
      else longer.push(...values.map((value) => ({ ...point, [parameter.name]: value })));
    }
    // Every point has a continuation, so the first ones are those of the first ones here.
    points = longer.slice(0, limit);
  }
  return points;
}

/** @internal Number of points of a grid, or a larger number than any search takes. */
export function gridSize(space: SearchSpace, steps: number): number {
  return gridPoints(space, steps, SEARCH_TRIALS_MAX + 1).length;
}

function gridValues(parameter: Parameter, steps: number): readonly ParameterValue[] {
  const size = sizeOf(parameter);
  if (parameter.kind === 'choice') return parameter.options;
  if (size <= steps) return Array.from({ length: size }, (_, index) => parameter.least + index);
  const values = Array.from({ length: steps }, (_, step) => fromUnit(parameter, step / (steps - 1)));
  // On a narrow logarithmic scale neighbouring steps may round to the same whole number.
  return [...new Set(values)];
}
