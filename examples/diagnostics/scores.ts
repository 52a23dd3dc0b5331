/** Scores of cases with what they turned out to be. */
export interface Scored {
  readonly score: number;
  readonly isPositive: boolean;
}

/** Area under the ROC curve. Null unless there are positives and negatives. */
export function aucRoc(scored: readonly Scored[]): number | null {
  const { right, pairs } = pairsOf(scored);
  return pairs === 0 ? null : right / pairs;
}

/**
 * The same over pairs of one group alone: for scores that cannot be compared between groups. Null when no group
 * has positives and negatives.
 */
export function aucWithin(scored: readonly (Scored & { readonly group: number })[]): number | null {
  const groups = new Map<number, Scored[]>();
  for (const row of scored) {
    const rows = groups.get(row.group);
    if (rows === undefined) groups.set(row.group, [row]);
    else rows.push(row);
  }
  let [right, pairs] = [0, 0];
  for (const rows of groups.values()) {
    const found = pairsOf(rows);
    right += found.right;
    pairs += found.pairs;
  }
  return pairs === 0 ? null : right / pairs;
}

/**
 * Pairs of a positive and a negative, and those of them in which the positive has the higher score, ties
 * counted half: Mann and Whitney's U, by ranks.
 */
function pairsOf(scored: readonly Scored[]): { readonly right: number; readonly pairs: number } {
  const sorted = scored.toSorted((one, other) => one.score - other.score);
  const positives = sorted.filter(({ isPositive }) => isPositive).length;
  let ranks = 0;
  for (let first = 0; first < sorted.length;) {
    let end = first + 1;
    while (end < sorted.length && sorted[end]?.score === sorted[first]?.score) end += 1;
    // Ranks from 1; equal scores share the mean of theirs.
    const rank = (first + 1 + end) / 2;
    for (let place = first; place < end; place += 1) if (sorted[place]?.isPositive === true) ranks += rank;
    first = end;
  }
  return { right: ranks - (positives * (positives + 1)) / 2, pairs: positives * (sorted.length - positives) };
}

/** Probabilities are kept this far from 0 and 1, so that one that was sure and wrong is not infinitely bad. */
const PROBABILITY_MIN = 1e-6;

/** Mean of -ln(p) where p is the probability given to what it turned out to be. Null without any. */
export function logLoss(scored: readonly Scored[]): number | null {
  if (scored.length === 0) return null;
  const losses = scored.map(({ score, isPositive }) => {
    const probability = Math.min(1 - PROBABILITY_MIN, Math.max(PROBABILITY_MIN, score));
    return -Math.log(isPositive ? probability : 1 - probability);
  });
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
}
