import type { Design } from './design.ts';

/** What the descent knows of the columns. */
export interface CovarianceSource {
  /** Variance of each column; one of 0 is passed over. */
  readonly variances: Float64Array;
  /** Covariance of a column with each column. */
  column(column: number): Float64Array;
}

/**
 * @internal Weighted covariances of the columns of a design, computed column by column when first asked for:
 * a column that never enters the model costs nothing (the covariance updates of Friedman, Hastie and
 * Tibshirani, 2010). The row weights are divided by the total weight of the design.
 */
export class Covariances implements CovarianceSource {
  /** Variance of each column. */
  readonly variances: Float64Array;
  /** Weighted mean of each column: 0 up to rounding under the design's own weights. */
  readonly means: Float64Array;
  readonly #design: Design;
  readonly #weights: Float64Array;
  readonly #columns: (Float64Array | undefined)[];

  constructor(design: Design, rowWeights: Float64Array) {
    this.#design = design;
    this.#weights = rowWeights.map((weight) => weight / design.total);
    this.#columns = Array.from({ length: design.columns });
    this.means = new Float64Array(design.columns);
    this.variances = new Float64Array(design.columns);
    let sum = 0;
    for (const weight of this.#weights) sum += weight;
    design.values.forEach((values, column) => {
      let mean = 0;
      let squares = 0;
      for (let row = 0; row < values.length; row += 1)
        mean += (this.#weights[row] as number) * (values[row] as number);
      mean /= sum;
      for (let row = 0; row < values.length; row += 1) {
        squares += (this.#weights[row] as number) * ((values[row] as number) - mean) ** 2;
      }
      this.means[column] = mean;
      this.variances[column] = design.standardisation.varies[column] === 1 ? squares : 0;
    });
  }

  /** Covariance of a column with each column. */
  column(column: number): Float64Array {
    const known = this.#columns[column];
    if (known !== undefined) return known;
    const mean = this.means[column] as number;
    const source = this.#design.values[column] as Float64Array;
    const weighted = this.#weights.map((weight, row) => weight * ((source[row] as number) - mean));
    const made = new Float64Array(this.#design.columns);
    this.#design.values.forEach((values, other) => {
      const mirrored = this.#columns[other]?.[column];
      if (mirrored !== undefined) {
        made[other] = mirrored;
        return;
      }
      let sum = 0;
      for (let row = 0; row < values.length; row += 1)
        sum += (weighted[row] as number) * (values[row] as number);
      made[other] = sum;
    });
    made[column] = this.variances[column] as number;
    this.#columns[column] = made;
    return made;
  }
}
