/** Scores of cases with what they turned out to be. */
export interface Scored {
  readonly score: number;
  readonly isPositive: boolean;
}

/**
 * Area under the ROC curve: the probability that a positive has a higher score than a negative, ties counted
 * half (Mann and Whitney's U). Null unless there are both.
 */
export function aucRoc(scored: readonly Scored[]): number | null {
  const sorted = scored.toSorted((one, other) => one.score - other.score);
  const positives = sorted.filter(({ isPositive }) => isPositive).length;
  const negatives = sorted.length - positives;
  if (positives === 0 || negatives === 0) return null;
  let ranks = 0;
  for (let first = 0; first < sorted.length;) {
    let end = first + 1;
    while (end < sorted.length && sorted[end]?.score === sorted[first]?.score) end += 1;
    // Ranks from 1; equal scores share the mean of theirs.
    const rank = (first + 1 + end) / 2;
    for (let place = first; place < end; place += 1) if (sorted[place]?.isPositive === true) ranks += rank;
    first = end;
  }
  return (ranks - (positives * (positives + 1)) / 2) / (positives * negatives);
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
