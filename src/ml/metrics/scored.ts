/**
 * @internal Checks labels and scores that belong together.
 *
 * @throws RangeError when there are none, when the lengths differ, when a label is not 0 or 1 or a score is
 *   NaN.
 */
export function checkScored(labels: ArrayLike<number>, scores: ArrayLike<number>): void {
  if (labels.length !== scores.length) {
    throw new RangeError(`There are ${labels.length} labels but ${scores.length} scores`);
  }
  if (labels.length === 0) throw new RangeError('A metric needs at least one row');
  for (let row = 0; row < labels.length; row += 1) {
    const label = labels[row];
    if (label !== 0 && label !== 1) throw new RangeError(`Label ${row} must be 0 or 1, not ${label}`);
    if (Number.isNaN(scores[row])) throw new RangeError(`Score ${row} is NaN`);
  }
}

/**
 * @internal As {@link checkScored}, for scores that must be probabilities.
 *
 * @throws RangeError on one outside [0, 1].
 */
export function checkProbabilities(labels: ArrayLike<number>, probabilities: ArrayLike<number>): void {
  checkScored(labels, probabilities);
  for (let row = 0; row < probabilities.length; row += 1) {
    const probability = probabilities[row] as number;
    if (probability < 0 || probability > 1)
      throw new RangeError(`Probability ${row} is ${probability}, not in [0, 1]`);
  }
}

/** @internal Row numbers by falling score; rows of equal score keep their order. */
export function byFallingScore(scores: ArrayLike<number>): Int32Array {
  return Int32Array.from({ length: scores.length }, (_, row) => row).sort((a, b) => {
    const first = scores[a] as number;
    const second = scores[b] as number;
    // Not a difference: infinity minus infinity would be NaN.
    if (first === second) return a - b;
    return first > second ? -1 : 1;
  });
}

/**
 * @internal Positive and negative rows of each group of equal scores, from the highest score down.
 *
 * @throws RangeError when a class is missing: the ranking metrics compare one class with the other.
 */
export function scoreGroups(
  labels: ArrayLike<number>,
  scores: ArrayLike<number>,
  metric: string,
): readonly { positives: number; negatives: number }[] {
  checkScored(labels, scores);
  const groups: { positives: number; negatives: number }[] = [];
  let previous: number | undefined;
  let positives = 0;
  for (const row of byFallingScore(scores)) {
    if (scores[row] !== previous) groups.push({ positives: 0, negatives: 0 });
    previous = scores[row];
    const group = groups.at(-1) as { positives: number; negatives: number };
    if (labels[row] === 1) {
      group.positives += 1;
      positives += 1;
    } else {
      group.negatives += 1;
    }
  }
  if (positives === 0 || positives === labels.length) {
    throw new RangeError(
      `${metric} needs labels of both classes, all ${labels.length} are ${positives === 0 ? 0 : 1}`,
    );
  }
  return groups;
}
