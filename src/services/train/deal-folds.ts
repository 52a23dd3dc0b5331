// Not the whole contract: a thread would load all its schemas.
import { PlatformError } from '../../contract/errors.ts';
import { type Split, stratifiedFolds, stratifiedGroupFolds } from '../../ml/index.ts';
import type { Part } from './part-file.ts';

/** How rows are dealt into folds: all that it depends on besides the rows. */
export interface FoldPlan {
  readonly folds: number;
  readonly seed: number;
}

/**
 * Folds of about equal size and share of positives; where the rows have entities, all of one entity in the same fold. It depends on
 * the labels, the entities and the plan alone, so that every step can deal anew.
 *
 * Throws UNPROCESSABLE when there are too few rows or entities of a class.
 */
export function dealFolds({ labels, entities }: Part, plan: FoldPlan): Split[] {
  try {
    const splits =
      entities === undefined
        ? stratifiedFolds(labels, plan)
        : stratifiedGroupFolds({ labels, groups: entities }, plan);
    for (const { train } of splits) assertBoth(train, labels);
    return splits;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const positives = labels.reduce((sum, label) => sum + label, 0);
    const entitiesCount = entities === undefined ? '' : ` of ${new Set(entities).size} entities`;
    throw new PlatformError(
      'UNPROCESSABLE',
      `${labels.length} rows${entitiesCount}, ${positives} of them positive, are too few for ${plan.folds} folds: ${error.message}`,
      { details: { rows: labels.length, positives, folds: plan.folds }, cause: error },
    );
  }
}

/** The fold that tests each row. */
export function foldOfRows(splits: readonly Split[], rows: number): Uint16Array {
  const foldOf = new Uint16Array(rows);
  splits.forEach(({ test }, fold) => test.forEach((row) => (foldOf[row] = fold)));
  return foldOf;
}

/** Entities that hold nearly all positives can leave a fold none to learn from. */
function assertBoth(train: Int32Array, labels: Uint8Array): void {
  const positives = train.reduce((sum, row) => sum + (labels[row] as number), 0);
  if (positives > 0 && positives < train.length) return;
  throw new RangeError(`a fold would learn from ${train.length} rows, ${positives} of them positive`);
}
