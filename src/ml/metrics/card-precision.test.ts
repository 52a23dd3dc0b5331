import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../random.ts';
import { cardPrecisionAtK } from './card-precision.ts';

interface Row {
  readonly score: number;
  readonly label: number;
  readonly day: number;
  readonly card: number;
}

function columns(rows: readonly Row[], k: number): Parameters<typeof cardPrecisionAtK<number>>[0] {
  return {
    scores: rows.map((row) => row.score),
    labels: rows.map((row) => row.label),
    days: rows.map((row) => row.day),
    cards: rows.map((row) => row.card),
    k,
  };
}

/** The definition, written down as slowly as possible. */
function bySteps(rows: readonly Row[], k: number): number {
  const days = [...new Set(rows.map((row) => row.day))].sort((a, b) => a - b);
  let detected: number[] = [];
  let sum = 0;
  for (const day of days) {
    const today = rows.filter((row) => row.day === day && !detected.includes(row.card));
    const cards = [...new Set(today.map((row) => row.card))].sort((a, b) => a - b);
    const best = cards
      .map((card) => {
        const own = today.filter((row) => row.card === card);
        const label = Math.max(...own.map((row) => row.label));
        return { card, label, score: Math.max(...own.map((row) => row.score)) };
      })
      .sort((a, b) => b.score - a.score)
      .slice(0, k)
      .filter((card) => card.label === 1);
    detected = [...detected, ...best.map((card) => card.card)];
    sum += best.length / k;
  }
  return sum / days.length;
}

const rows: fc.Arbitrary<Row[]> = fc.array(
  fc.record({
    score: fc.integer({ min: 0, max: 5 }).map((score) => score / 5),
    label: fc.constantFrom(0, 0, 1),
    day: fc.integer({ min: 10, max: 13 }),
    card: fc.integer({ min: 0, max: 6 }),
  }),
  { minLength: 1, maxLength: 40 },
);

describe('cardPrecisionAtK', () => {
  it('is what a hand finds', () => {
    const found = cardPrecisionAtK({
      // Day 1: a is fraud by its second row and first by its first row, before b. Day 2: a is gone, c second.
      scores: [0.9, 0.1, 0.8, 0.7, 1.0, 0.6, 0.5],
      labels: [0, 1, 0, 1, 1, 0, 1],
      days: [1, 1, 1, 1, 2, 2, 2],
      cards: ['a', 'a', 'b', 'c', 'a', 'b', 'c'],
      k: 2,
    });
    expect(found).toEqual({
      mean: 0.5,
      byDay: [
        { day: 1, precision: 0.5 },
        { day: 2, precision: 0.5 },
      ],
    });
  });

  it('divides by k also when there are fewer cards, and is 0 without frauds', () => {
    expect(cardPrecisionAtK({ scores: [1], labels: [1], days: [1], cards: [7], k: 4 }).mean).toBe(0.25);
    expect(cardPrecisionAtK({ scores: [1], labels: [0], days: [1], cards: [7], k: 4 }).mean).toBe(0);
  });

  it('equals the definition and does not depend on the order of the rows', () => {
    fc.assert(
      fc.property(rows, fc.integer({ min: 1, max: 5 }), fc.nat(), (given, k, seed) => {
        const expected = bySteps(given, k);
        expect(cardPrecisionAtK(columns(given, k)).mean).toBeCloseTo(expected, 12);
        expect(cardPrecisionAtK(columns(new SeededRandom(seed).shuffle([...given]), k)).mean).toBeCloseTo(
          expected,
          12,
        );
      }),
    );
  });

  it('refuses unsound input', () => {
    const sound = { scores: [1], labels: [1], days: [1], cards: [1], k: 1 };
    expect(() => cardPrecisionAtK({ ...sound, k: 0 })).toThrow(/k must be/);
    expect(() => cardPrecisionAtK({ ...sound, days: [] })).toThrow(/1 labels but 0 days and 1 cards/);
    expect(() => cardPrecisionAtK({ ...sound, days: [1.5] })).toThrow(/Day 0/);
    expect(() => cardPrecisionAtK({ scores: [], labels: [], days: [], cards: [], k: 1 })).toThrow(RangeError);
  });
});
