/**
 * @internal Weights of rows times the weights of their classes.
 *
 * @throws RangeError when the weights of classes are unsound.
 */
export function classWeighted(
  weights: Float64Array,
  labels: Float64Array,
  given: { readonly classWeights: 'balanced' | readonly number[] | undefined; readonly classes: number },
): Float64Array {
  const { classWeights, classes } = given;
  if (classWeights === undefined) return weights;
  const factors =
    classWeights === 'balanced' ? balanced(classTotals(weights, labels, classes)) : classWeights;
  if (factors.length !== classes) {
    throw new RangeError(`There are ${classes} classes but ${factors.length} classWeights`);
  }
  factors.forEach((factor, index) => {
    if (!(factor >= 0 && factor < Number.POSITIVE_INFINITY)) {
      throw new RangeError(`classWeights of class ${index} must be a finite number from 0, not ${factor}`);
    }
  });
  return weights.map((weight, row) => weight * (factors[labels[row] as number] as number));
}

/** @internal The weight of all rows of each class. */
export function classTotals(weights: Float64Array, labels: Float64Array, classes: number): Float64Array {
  const totals = new Float64Array(classes);
  weights.forEach((weight, row) => {
    const label = labels[row] as number;
    totals[label] = (totals[label] as number) + weight;
  });
  return totals;
}

/** Factors that give all classes the same total and keep the sum of all weights. */
function balanced(totals: Float64Array): readonly number[] {
  const mean = totals.reduce((sum, total) => sum + total, 0) / totals.length;
  // A class without weight is refused later, by its name.
  return Array.from(totals, (total) => (total > 0 ? mean / total : 0));
}
