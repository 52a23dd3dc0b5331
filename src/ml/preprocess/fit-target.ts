import { SeededRandom } from '../random.ts';
import type { TargetStep } from './description.ts';
import { CATEGORIES_MAX } from './description.ts';
import { fillCategories } from './fit-categorical.ts';
import type { TargetPlan } from './plan.ts';
import type { CategoricalColumn } from './table.ts';

/** Folds of one target encoding. */
export const TARGET_FOLDS_MAX = 100;

/** What target encodings learn from. */
export interface TargetData {
  readonly targets: Float64Array;
  readonly weights: Float64Array;
  readonly seed: number;
}

/** The step that serves, and the value of each training row, which was fitted without that row. */
export interface FittedTarget {
  readonly step: TargetStep;
  readonly outOfFold: Float64Array;
}

/** Weights and weighted targets of each fold, of one category or of all rows. */
interface FoldSums {
  readonly weights: Float64Array;
  readonly targets: Float64Array;
}

/**
 * @internal Fits a target encoding: for serving on all rows, for the training rows out of fold.
 *
 * @throws RangeError on options out of range, fewer rows than folds, more than {@link CATEGORIES_MAX}
 *   categories, or when one fold has all the weight.
 */
export function fitTarget(plan: TargetPlan, column: CategoricalColumn, data: TargetData): FittedTarget {
  const { smoothing = 10, folds = 5, indicator = false } = plan;
  checkOptions(plan, { smoothing, folds, rows: data.weights.length });
  const { fill, categories } = fillCategories(plan, column, data.weights);
  const foldOf = drawFolds(data, folds);
  const all = noSums(folds);
  const sums = new Map<string, FoldSums>();
  categories.forEach((category, row) => {
    const at = { row, fold: foldOf[row] as number };
    addRow(all, data, at);
    if (category === undefined || data.weights[row] === 0) return;
    let own = sums.get(category);
    if (own === undefined) {
      if (sums.size === CATEGORIES_MAX) {
        throw new RangeError(`The column "${plan.column}" has more than ${CATEGORIES_MAX} categories`);
      }
      own = noSums(folds);
      sums.set(category, own);
    }
    addRow(own, data, at);
  });
  const encode = (own: FoldSums | undefined, without: number): number => {
    const prior = totalsOf(all, without);
    const mean = prior.target / prior.weight;
    const { weight, target } = own === undefined ? { weight: 0, target: 0 } : totalsOf(own, without);
    return weight > 0 ? (target + smoothing * mean) / (weight + smoothing) : mean;
  };
  for (let fold = 0; fold < folds; fold += 1) {
    if (!(totalsOf(all, fold).weight > 0)) throw new RangeError(`Fold ${fold} has the weight of all rows`);
  }
  const known = [...sums].sort(([a], [b]) => (a < b ? -1 : 1));
  const step: TargetStep = {
    kind: 'target',
    column: plan.column,
    fill,
    indicator,
    categories: known.map(([category]) => category),
    // JSON does not keep the sign of 0.
    values: known.map(([, own]) => encode(own, -1) + 0),
    otherwise: encode(undefined, -1) + 0,
  };
  const outOfFold = Float64Array.from(categories, (category, row) =>
    encode(category === undefined ? undefined : sums.get(category), foldOf[row] as number),
  );
  return { step, outOfFold };
}

function checkOptions(
  plan: TargetPlan,
  options: { readonly smoothing: number; readonly folds: number; readonly rows: number },
): void {
  const { smoothing, folds, rows } = options;
  if (!(smoothing >= 0) || smoothing === Number.POSITIVE_INFINITY) {
    throw new RangeError(
      `smoothing of "${plan.column}" must be a finite number of at least 0, not ${smoothing}`,
    );
  }
  if (!Number.isSafeInteger(folds) || folds < 2 || folds > TARGET_FOLDS_MAX) {
    throw new RangeError(
      `folds of "${plan.column}" must be a whole number from 2 to ${TARGET_FOLDS_MAX}, not ${folds}`,
    );
  }
  if (rows < folds) throw new RangeError(`${folds} folds need as many rows, not ${rows}`);
}

/**
 * The fold of each row, drawn by the seed. With targets of 0 and 1 each fold gets its share of both: otherwise
 * a fold poor in positives would have rich other folds, and the encoding would tell the target turned round.
 */
function drawFolds(data: TargetData, folds: number): Int32Array {
  const { targets } = data;
  const random = new SeededRandom(data.seed);
  const rows = Int32Array.from(targets, (_, row) => row);
  random.shuffle(rows);
  const binary = targets.every((target) => target === 0 || target === 1);
  const order = binary
    ? [...rows.filter((row) => targets[row] === 1), ...rows.filter((row) => targets[row] === 0)]
    : rows;
  const foldOf = new Int32Array(targets.length);
  order.forEach((row, index) => {
    foldOf[row] = index % folds;
  });
  return foldOf;
}

function noSums(folds: number): FoldSums {
  return { weights: new Float64Array(folds), targets: new Float64Array(folds) };
}

function addRow(sums: FoldSums, data: TargetData, at: { readonly row: number; readonly fold: number }): void {
  const { row, fold } = at;
  const weight = data.weights[row] as number;
  sums.weights[fold] = (sums.weights[fold] as number) + weight;
  sums.targets[fold] = (sums.targets[fold] as number) + weight * (data.targets[row] as number);
}

/** Sums over all folds but one. Not by subtraction, whose rounding would let the fold's own targets through. */
function totalsOf(sums: FoldSums, without: number): { weight: number; target: number } {
  let weight = 0;
  let target = 0;
  for (let fold = 0; fold < sums.weights.length; fold += 1) {
    if (fold === without) continue;
    weight += sums.weights[fold] as number;
    target += sums.targets[fold] as number;
  }
  return { weight, target };
}
