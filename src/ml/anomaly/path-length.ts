/**
 * Expected number of steps of an unsuccessful search in a binary search tree of `count` keys: what an
 * isolation tree would need on average to tell a row from `count` others (Liu, Ting and Zhou, 2008, equation
 * 1): 2 H(count - 1) - 2 (count - 1) / count. The harmonic number H is summed, not approximated, which
 * matters for few rows.
 *
 * @throws RangeError when `count` is not a whole number from 1.
 */
export function isolationPathLength(count: number): number {
  if (!Number.isSafeInteger(count) || count < 1) {
    throw new RangeError(`count must be a whole number from 1, not ${count}`);
  }
  // From the smallest term up, which loses the fewest digits.
  let harmonic = 0;
  for (let term = count - 1; term >= 1; term -= 1) harmonic += 1 / term;
  return count === 1 ? 0 : 2 * harmonic - (2 * (count - 1)) / count;
}
