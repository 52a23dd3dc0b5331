import type { UserSplit } from '../../define/index.ts';
import { type InteractionsFile, SIDE } from './recommender-file.ts';

/** A user's first interactions with each of the items, in their order. */
interface FirstMet {
  /** Row of each, user after user; of each user in the order of the rows. */
  readonly rows: Uint32Array;
  /** Where each user's begin, and at the end their number. */
  readonly starts: Uint32Array;
}

/** Fractions of whole numbers are seldom whole: 0.2 x 35 is a little more than 7. */
const ROUNDING = 1e-9;

/**
 * Says of each row what it is for, see {@link UserSplit}: of each user the last items are to be predicted from all that came before
 * the first of them. What comes later and is not to be predicted is for nothing. Rows come in the order of time.
 */
export function markSides(file: InteractionsFile, { fraction, core }: UserSplit): void {
  const { rows, users, userOf, sides } = file;
  const met = firstMet(file);
  const isIn = coreOf(file, met, core);
  // The row from which on a user's items are to be predicted.
  const cuts = new Float64Array(users).fill(Number.POSITIVE_INFINITY);
  const later = new Uint8Array(rows);
  for (let user = 0; user < users; user += 1) {
    const own = met.rows.subarray(met.starts[user], met.starts[user + 1]).filter((row) => isIn(row));
    if (own.length < 2) continue;
    const predicted = Math.min(own.length - 1, Math.ceil(fraction * own.length - ROUNDING));
    const last = own.subarray(own.length - predicted);
    cuts[user] = last[0] as number;
    for (const row of last) later[row] = 1;
  }
  for (let row = 0; row < rows; row += 1) {
    const isEarlier = row < (cuts[userOf[row] as number] as number) && isIn(row);
    sides[row] = later[row] === 1 ? SIDE.later : isEarlier ? SIDE.earlier : SIDE.none;
  }
}

function firstMet({ rows, users, items, userOf, itemOf }: InteractionsFile): FirstMet {
  const starts = new Uint32Array(users + 1);
  for (const user of userOf) starts[user + 1] = (starts[user + 1] as number) + 1;
  for (let user = 0; user < users; user += 1)
    starts[user + 1] = (starts[user + 1] as number) + (starts[user] as number);
  const ordered = new Uint32Array(rows);
  const next = starts.slice();
  for (let row = 0; row < rows; row += 1) {
    const place = next[userOf[row] as number] as number;
    next[userOf[row] as number] = place + 1;
    ordered[place] = row;
  }
  /** The last user, plus one, who was seen to have the item. */
  const seenBy = new Uint32Array(items.length);
  const found = new Uint32Array(users + 1);
  let count = 0;
  for (let user = 0; user < users; user += 1) {
    for (const row of ordered.subarray(starts[user], starts[user + 1])) {
      const item = itemOf[row] as number;
      if (seenBy[item] === user + 1) continue;
      seenBy[item] = user + 1;
      // Never ahead of what is still to be read.
      ordered[count] = row;
      count += 1;
    }
    found[user + 1] = count;
  }
  return { rows: ordered.subarray(0, count), starts: found };
}

/** Whether a row's user and item are among those that have `core` of each other; others are left out until all have. */
function coreOf(
  { users, items, userOf, itemOf }: InteractionsFile,
  met: FirstMet,
  core: number,
): (row: number) => boolean {
  const ofUser = new Uint32Array(users);
  const ofItem = new Uint32Array(items.length);
  let before = -1;
  for (let pairs = met.rows; pairs.length !== before;) {
    before = pairs.length;
    ofUser.fill(0);
    ofItem.fill(0);
    for (const row of pairs) {
      ofUser[userOf[row] as number] = (ofUser[userOf[row] as number] as number) + 1;
      ofItem[itemOf[row] as number] = (ofItem[itemOf[row] as number] as number) + 1;
    }
    const enough = (row: number): boolean =>
      (ofUser[userOf[row] as number] as number) >= core && (ofItem[itemOf[row] as number] as number) >= core;
    pairs = pairs.filter(enough);
  }
  return (row) =>
    (ofUser[userOf[row] as number] as number) >= core && (ofItem[itemOf[row] as number] as number) >= core;
}
