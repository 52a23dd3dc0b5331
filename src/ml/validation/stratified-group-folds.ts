import { SeededRandom } from '../random.ts';
import { checkFolds, foldsOf, type FoldOptions } from './folds.ts';
import type { RowKey, Split } from './split.ts';
import { rowsByKey } from './split.ts';

/** Rows that belong together, and their labels. */
export interface LabelledGroups {
  readonly labels: ArrayLike<RowKey>;
  /** Whom each row belongs to, such as a patient. */
  readonly groups: ArrayLike<RowKey>;
}

/** A group with the rows that it has of each label. */
interface Group {
  readonly rows: Int32Array;
  readonly counts: Float64Array;
  /** Sum over the labels of the squared share that it has of the label's rows. */
  readonly weight: number;
}

/**
 * Stratified group k-fold cross-validation: every row is tested once, all rows of a group in the same fold, and the folds have each
 * label in about the same share. Groups are dealt one by one, those with the largest share of a label first, each to the fold in
 * which it adds least to the variance of the labels' shares over the folds (as scikit-learn's `StratifiedGroupKFold` does with
 * standard deviations). The seed decides the order of groups that are alike.
 *
 * Where groups are single rows, the folds differ by at most one row of each label.
 *
 * @throws RangeError on unsound input, or when a label is in fewer groups than there are folds: some fold would have none of it.
 */
export function stratifiedGroupFolds(input: LabelledGroups, options: FoldOptions = {}): Split[] {
  const { labels, groups } = input;
  const { folds = 5, seed = 0 } = options;
  checkFolds(folds);
  if (labels.length !== groups.length) {
    throw new RangeError(`There are ${labels.length} labels but groups of ${groups.length} rows`);
  }
  const rowsOfLabel = [...rowsByKey(labels, 'Label')];
  const totals = Float64Array.from(rowsOfLabel, ([, rows]) => rows.length);
  const labelOf = new Int32Array(labels.length);
  rowsOfLabel.forEach(([, rows], label) => rows.forEach((row) => (labelOf[row] = label)));
  const members = [...rowsByKey(groups, 'Group').values()].map((rows) => groupOf(rows, labelOf, totals));
  rowsOfLabel.forEach(([label], index) => {
    const holders = members.filter(({ counts }) => (counts[index] as number) > 0).length;
    if (holders >= folds) return;
    throw new RangeError(
      `${folds} stratified folds need as many groups with each label, ${String(label)} is in ${holders}`,
    );
  });
  const dealt = new SeededRandom(seed).shuffle(members).sort((a, b) => b.weight - a.weight);
  return foldsOf(deal(dealt, { folds, totals, rows: labels.length }), folds);
}

function groupOf(rows: Int32Array, labelOf: Int32Array, totals: Float64Array): Group {
  const counts = new Float64Array(totals.length);
  for (const row of rows) {
    const label = labelOf[row] as number;
    counts[label] = (counts[label] as number) + 1;
  }
  const weight = counts.reduce((sum, count, label) => sum + (count / (totals[label] as number)) ** 2, 0);
  return { rows, counts, weight };
}

/** The fold of each row. */
function deal(
  groups: readonly Group[],
  { folds, totals, rows }: { readonly folds: number; readonly totals: Float64Array; readonly rows: number },
): Int32Array {
  const foldOf = new Int32Array(rows);
  const counts = Array.from({ length: folds }, () => new Float64Array(totals.length));
  const sizes = new Float64Array(folds);
  for (const group of groups) {
    let chosen = 0;
    let least = Number.POSITIVE_INFINITY;
    for (let fold = 0; fold < folds; fold += 1) {
      // What the sum of squared shares grows by, less what is the same for every fold.
      const held = counts[fold] as Float64Array;
      let growth = 0;
      for (let label = 0; label < totals.length; label += 1) {
        growth +=
          ((group.counts[label] as number) * (held[label] as number)) / (totals[label] as number) ** 2;
      }
      const isSmaller = growth === least && (sizes[fold] as number) < (sizes[chosen] as number);
      if (growth < least || isSmaller) [chosen, least] = [fold, growth];
    }
    for (const row of group.rows) foldOf[row] = chosen;
    const held = counts[chosen] as Float64Array;
    group.counts.forEach((count, label) => (held[label] = (held[label] as number) + count));
    sizes[chosen] = (sizes[chosen] as number) + group.rows.length;
  }
  return foldOf;
}
