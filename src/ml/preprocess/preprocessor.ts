import { copyTargets, totalWeight } from '../linear/targets.ts';
import type { Matrix } from '../matrix.ts';
import { readWeights } from '../training-input.ts';
import type { CodesStep, PreprocessorDescription, StepDescription } from './description.ts';
import { readDescription, requireCodes } from './description.ts';
import { fitOneHot } from './fit-categorical.ts';
import { fitNumeric } from './fit-numeric.ts';
import { fitTarget } from './fit-target.ts';
import type { ColumnPlan } from './plan.ts';
import type { CategoricalColumn, NumericColumn, Table } from './table.ts';
import { categoricalColumn, categoryAt, columnsByName, numericColumn } from './table.ts';

/** Values of a preprocessed table, rows times columns: 2 GiB. */
export const PREPROCESSED_VALUES_MAX: number = 2 ** 29;

export interface PreprocessorOptions {
  /**
   * One finite number for each row, for target encodings: 0 or 1, or any measure. A class of several is turned
   * into one `0 or 1` for each class, with a preprocessor of its own.
   */
  readonly targets?: ArrayLike<number>;
  /** One weight of at least 0 for each row. A row of weight 2 counts as that row twice. Default all 1. */
  readonly weights?: ArrayLike<number>;
  /** Draws the folds of target encodings. Default 0. */
  readonly seed?: number;
}

/** A fitted preprocessor, and the training rows as the model must see them. */
export interface FittedPreprocessor {
  readonly preprocessor: Preprocessor;
  /**
   * Not `transform` of the training table: target encodings are out of fold here. A model that is fitted on
   * transformed training rows instead has seen their targets.
   */
  readonly training: Matrix;
}

interface Step {
  readonly description: StepDescription;
  readonly names: readonly string[];
  /** Index of each category. */
  readonly indexes: ReadonlyMap<string, number>;
}

/** Where the values of one step go: `values[row * stride + offset]` and behind it. */
interface Place {
  readonly values: Float32Array;
  readonly stride: number;
  readonly offset: number;
}

/**
 * Turns tables of numeric and categorical columns into the matrix that a model takes, with what it learnt from
 * the training table. It is no more than its description, every operation of which ONNX has as well.
 *
 * @example
 * ```ts
 * const { preprocessor, training } = Preprocessor.fit(table, [
 *   { kind: 'numeric', column: 'amount', impute: 'median', indicator: true },
 *   { kind: 'target', column: 'merchant' },
 * ], { targets: labels });
 * const model = fitLogistic(training, labels);
 * const served = preprocessor.transform(later);
 * ```
 */
export class Preprocessor {
  /** Names of the output columns: `age`, `age missing`, `colour=red`, `merchant target mean`. */
  readonly names: readonly string[];
  readonly #description: PreprocessorDescription;
  readonly #steps: readonly Step[];

  private constructor(description: PreprocessorDescription) {
    this.#description = description;
    this.#steps = description.steps.map(stepOf);
    this.names = this.#steps.flatMap((step) => step.names);
    const seen = new Set<string>();
    for (const name of this.names) {
      if (seen.has(name)) throw new RangeError(`Two output columns would have the name "${name}"`);
      seen.add(name);
    }
  }

  /**
   * Fits each plan to its column.
   *
   * @param plans in the order of their output columns; a column may have several, and unnamed ones are left
   *   out.
   * @throws RangeError on an unsound table, options out of range, or a target encoding without targets.
   */
  static fit(
    table: Table,
    plans: readonly ColumnPlan[],
    options: PreprocessorOptions = {},
  ): FittedPreprocessor {
    const columns = columnsByName(table);
    const weights = readWeights(options.weights, table.rows);
    totalWeight(weights);
    const targets = options.targets && copyTargets(options.targets, table.rows);
    const outOfFold = new Map<number, Float64Array>();
    const steps = plans.map((plan, index): StepDescription => {
      switch (plan.kind) {
        case 'numeric':
          return fitNumeric(plan, numericColumn(columns, plan.column), weights);
        case 'one-hot':
          return fitOneHot(plan, categoricalColumn(columns, plan.column), weights);
        case 'codes':
          requireCodes(plan.categories, `"${plan.column}"`);
          return { kind: 'codes', column: plan.column, categories: [...plan.categories] };
        case 'target': {
          if (targets === undefined) {
            throw new RangeError(`The target encoding of "${plan.column}" needs targets`);
          }
          const data = { targets, weights, seed: options.seed ?? 0 };
          const fitted = fitTarget(plan, categoricalColumn(columns, plan.column), data);
          outOfFold.set(index, fitted.outOfFold);
          return fitted.step;
        }
      }
    });
    const preprocessor = new Preprocessor({ format: 'preprocessor', version: 1, steps });
    return { preprocessor, training: preprocessor.#fill(table, outOfFold) };
  }

  /**
   * Rebuilds a preprocessor from its description: it transforms every table to the same bits.
   *
   * @param description from {@link Preprocessor.describe}, also through JSON.
   * @throws RangeError naming the part that is no description.
   */
  static of(description: unknown): Preprocessor {
    return new Preprocessor(readDescription(description));
  }

  /** Everything that was learnt, as plain data for JSON. */
  describe(): PreprocessorDescription {
    return structuredClone(this.#description);
  }

  /**
   * The matrix of a table, a row for each of its rows, with the columns {@link Preprocessor.names}. Columns
   * that no step reads are passed over.
   *
   * @throws RangeError when a column is absent, of the other kind or of another length, or when there would be
   *   more than {@link PREPROCESSED_VALUES_MAX} values.
   */
  transform(table: Table): Matrix {
    return this.#fill(table, new Map());
  }

  /** Transforms the table, with the values of some target encodings, by step, given. */
  #fill(table: Table, given: ReadonlyMap<number, Float64Array>): Matrix {
    const columns = columnsByName(table);
    const stride = this.names.length;
    const { rows } = table;
    if (rows * stride > PREPROCESSED_VALUES_MAX) {
      throw new RangeError(
        `A preprocessed table has ${PREPROCESSED_VALUES_MAX} values at most, not ${rows} x ${stride}`,
      );
    }
    const values = new Float32Array(rows * stride);
    let offset = 0;
    this.#steps.forEach((step, index) => {
      const place = { values, stride, offset };
      const { description } = step;
      if (description.kind === 'codes') {
        fillCodes(description, numericColumn(columns, description.column), place);
      } else if (description.kind === 'numeric') {
        fillNumeric(description, numericColumn(columns, description.column), place);
      } else {
        fillCategorical(step, categoricalColumn(columns, description.column), place);
        given.get(index)?.forEach((value, row) => {
          values[row * stride + offset] = value;
        });
      }
      offset += step.names.length;
    });
    return { rows, columns: stride, values };
  }
}

function stepOf(description: StepDescription): Step {
  const { column } = description;
  const hasIndicator = description.kind !== 'codes' && description.indicator;
  const indicator = hasIndicator ? [`${column} missing`] : [];
  switch (description.kind) {
    case 'codes':
      return {
        description,
        names: description.categories.map((category) => `${column}=${category}`),
        indexes: new Map(),
      };
    case 'numeric':
      return { description, names: [column, ...indicator], indexes: new Map() };
    case 'one-hot': {
      const names = description.categories.map((category) => `${column}=${category}`);
      return { description, names: [...names, ...indicator], indexes: indexesOf(description.categories) };
    }
    case 'target':
      return {
        description,
        names: [`${column} target mean`, ...indicator],
        indexes: indexesOf(description.categories),
      };
  }
}

function indexesOf(categories: readonly string[]): Map<string, number> {
  return new Map(categories.map((category, index) => [category, index]));
}

function fillNumeric(
  step: Extract<StepDescription, { kind: 'numeric' }>,
  column: NumericColumn,
  place: Place,
): void {
  const { values, stride, offset } = place;
  const fill = step.fill ?? Number.NaN;
  for (let row = 0; row < column.values.length; row += 1) {
    const value = Math.fround(column.values[row] as number);
    const missing = Number.isNaN(value);
    const at = row * stride + offset;
    values[at] = ((missing ? fill : value) - step.mean) / step.scale;
    if (step.indicator) values[at + 1] = missing ? 1 : 0;
  }
}

function fillCodes({ categories }: CodesStep, column: NumericColumn, place: Place): void {
  const { values, stride, offset } = place;
  for (let row = 0; row < column.values.length; row += 1) {
    const code = Math.fround(column.values[row] as number);
    const isCode = Number.isInteger(code) && code >= 0 && code < categories.length;
    // Whether 0 has a sign does not matter.
    if (isCode) values[row * stride + offset + Math.abs(code)] = 1;
  }
}

function fillCategorical(step: Step, column: CategoricalColumn, place: Place): void {
  const { description, indexes, names } = step;
  if (description.kind === 'numeric' || description.kind === 'codes') return;
  const { values, stride, offset } = place;
  for (let row = 0; row < column.values.length; row += 1) {
    const found = categoryAt(column, row);
    const category = found ?? description.fill;
    const index = category === null ? undefined : indexes.get(category);
    const at = row * stride + offset;
    if (description.kind === 'target') {
      values[at] = index === undefined ? description.otherwise : (description.values[index] as number);
    } else if (index !== undefined) {
      values[at + index] = 1;
    }
    if (description.indicator) values[at + names.length - 1] = found === undefined ? 1 : 0;
  }
}
