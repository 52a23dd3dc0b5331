import { checkCutOff } from './ranking.ts';
import { checkScored } from './scored.ts';

/** Scored transactions, one entry of each array a transaction, in any order. */
export interface CardPrecisionInput<TCard extends number | string> {
  readonly scores: ArrayLike<number>;
  /** 1 for a fraudulent transaction, else 0. */
  readonly labels: ArrayLike<number>;
  /** Whole number of the day. */
  readonly days: ArrayLike<number>;
  /** The card, or whoever is investigated as a whole. All numbers or all strings. */
  readonly cards: ArrayLike<TCard>;
  /** Cards that can be investigated a day. */
  readonly k: number;
}

/** Card precision at k. */
export interface CardPrecision {
  /** Mean of the days' precisions. */
  readonly mean: number;
  /** The days in order. */
  readonly byDay: readonly { readonly day: number; readonly precision: number }[];
}

interface CardOfDay<TCard> {
  readonly card: TCard;
  score: number;
  label: number;
}

/**
 * Card precision at k (Le Borgne, Siblini, Lebichot and Bontempi, "Reproducible Machine Learning for Credit
 * Card Fraud Detection", 2022): each day in order, a card that is not yet detected has the largest score and
 * the largest label of its transactions of that day; the precision of the day is the number of fraudulent
 * cards among the k with the highest scores, divided by k. Those are then detected and leave all following
 * days. The result is the mean over the days.
 *
 * Of cards with equal scores the smaller card ranks higher, so the order of the transactions does not matter.
 * With fewer than k cards the places left empty count as misses.
 *
 * @throws RangeError on unsound input.
 */
export function cardPrecisionAtK<TCard extends number | string>(
  input: CardPrecisionInput<TCard>,
): CardPrecision {
  const { scores, labels, days, cards, k } = input;
  checkScored(labels, scores);
  checkCutOff(k);
  if (days.length !== labels.length || cards.length !== labels.length) {
    throw new RangeError(
      `There are ${labels.length} labels but ${days.length} days and ${cards.length} cards`,
    );
  }
  const rowsByDay = new Map<number, number[]>();
  for (let row = 0; row < labels.length; row += 1) {
    const day = days[row] as number;
    if (!Number.isSafeInteger(day)) throw new RangeError(`Day ${row} must be a whole number, not ${day}`);
    const rows = rowsByDay.get(day);
    if (rows === undefined) rowsByDay.set(day, [row]);
    else rows.push(row);
  }
  const detected = new Set<TCard>();
  const byDay = [...rowsByDay]
    .sort(([a], [b]) => a - b)
    .map(([day, rows]) => {
      const fraudulent = rank(cardsOf(rows, input, detected))
        .slice(0, k)
        .filter((card) => card.label === 1);
      for (const { card } of fraudulent) detected.add(card);
      return { day, precision: fraudulent.length / k };
    });
  return { mean: byDay.reduce((sum, { precision }) => sum + precision, 0) / byDay.length, byDay };
}

/** The cards of one day's rows, without those detected before. */
function cardsOf<TCard extends number | string>(
  rows: readonly number[],
  input: CardPrecisionInput<TCard>,
  detected: ReadonlySet<TCard>,
): CardOfDay<TCard>[] {
  const found = new Map<TCard, CardOfDay<TCard>>();
  for (const row of rows) {
    const card = input.cards[row] as TCard;
    if (detected.has(card)) continue;
    const score = input.scores[row] as number;
    const label = input.labels[row] as number;
    const known = found.get(card);
    if (known === undefined) {
      found.set(card, { card, score, label });
    } else {
      known.score = Math.max(known.score, score);
      known.label = Math.max(known.label, label);
    }
  }
  return [...found.values()];
}

function rank<TCard extends number | string>(cards: CardOfDay<TCard>[]): CardOfDay<TCard>[] {
  return cards.sort((a, b) => {
    if (a.score !== b.score) return a.score > b.score ? -1 : 1;
    return a.card < b.card ? -1 : 1;
  });
}
