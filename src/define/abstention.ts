/** Scores that are not answered but given to a person. */
export interface Abstention {
  /** Lowest score of the range, which is part of it. In [0, 1]. */
  readonly from: number;
  /** End of the range, which is no part of it. In [0, 1], above `from`. */
  readonly to: number;
  /** What such a score is answered with: neither of the two outcomes of the decision. */
  readonly outcome: string;
}

/** Longest outcome of an abstention, in UTF-16 units. */
export const ABSTENTION_OUTCOME_LENGTH_MAX = 63;

/**
 * @internal The abstention, and nothing else that may have been given with it.
 *
 * @throws TypeError when its range is empty or leaves [0, 1], or its outcome is none of its own.
 */
export function abstentionOf(
  owner: string,
  { from, to, outcome }: Abstention,
  outcomes: readonly [string, string],
): Abstention {
  if (!(from >= 0 && from < to && to <= 1)) {
    throw new TypeError(
      `${owner}: abstain is from a score to a higher one, both in [0, 1]; got ${String(from)} to ${String(to)}`,
    );
  }
  const isText = typeof outcome === 'string' && outcome.length >= 1;
  if (!isText || outcome.length > ABSTENTION_OUTCOME_LENGTH_MAX || outcomes.includes(outcome)) {
    throw new TypeError(
      `${owner}: abstain.outcome is a text of 1 to ${String(ABSTENTION_OUTCOME_LENGTH_MAX)} characters beside ` +
        `'${outcomes.join("' and '")}'; got '${String(outcome)}'`,
    );
  }
  return { from, to, outcome };
}

/** Whether a score is in the range of an abstention. */
export function abstains({ from, to }: Abstention, score: number): boolean {
  return score >= from && score < to;
}
