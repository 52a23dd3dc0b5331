/** @internal Largest absolute value, 0 of an empty vector; NaN when a component is NaN. */
export function largestOf(vector: Float64Array): number {
  let found = 0;
  for (const value of vector) found = Math.max(found, Math.abs(value));
  return found;
}

/** @internal Scalar product of two vectors of equal length. */
export function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let index = 0; index < a.length; index += 1) sum += (a[index] as number) * (b[index] as number);
  return sum;
}

/** @internal Adds `factor` times `vector` to `into`. */
export function addScaled(into: Float64Array, factor: number, vector: Float64Array): void {
  for (let index = 0; index < into.length; index += 1) {
    into[index] = (into[index] as number) + factor * (vector[index] as number);
  }
}
