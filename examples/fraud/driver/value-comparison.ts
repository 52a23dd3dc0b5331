import { EXPECTED_FEATURES } from '../expected-features.ts';
import type { ExpectedTable } from '../expected-table.ts';

/**
 * Values are equal when they differ by at most this part of the expected one; expected ones are rounded to 9
 * decimals.
 */
const RELATIVE_DIFFERENCE_MAX = 1e-6;
const ROUNDING = 1e-9;
const DIFFERENCES_KEPT = 5;

/**
 * Compares rows of values with the expected ones. A value that differs counts as a mismatch unless its row is
 * a tie; an amount that is not its transaction's counts as a mismatch too. Values of ties are counted as
 * compared.
 */
export class ValueComparison {
  readonly #table: ExpectedTable;
  readonly #seen: Uint8Array;
  rows = 0;
  values = 0;
  mismatches = 0;
  /** The first differences, in words. */
  readonly differences: string[] = [];

  constructor(table: ExpectedTable) {
    this.#table = table;
    this.#seen = new Uint8Array(table.rows);
  }

  /** Where each expected feature and the amount are in a list of names. Throws when one is missing. */
  static places(names: readonly string[]): { readonly features: readonly number[]; readonly amount: number } {
    const placeOf = (name: string): number => {
      const place = names.indexOf(name);
      if (place < 0) throw new Error(`The vector has no value '${name}'; it has ${names.join(', ')}`);
      return place;
    };
    return { features: EXPECTED_FEATURES.map(({ name }) => placeOf(name)), amount: placeOf('amount') };
  }

  /** Compares the values of a transaction, given in the order of the names that made `places`. */
  compare(
    id: number,
    values: ArrayLike<number | null>,
    places: { readonly features: readonly number[]; readonly amount: number },
  ): void {
    const row = this.#table.rowOf(id);
    if (row < 0) throw new RangeError(`No features are expected of transaction ${String(id)}`);
    if (this.#seen[row] === 0) {
      this.#seen[row] = 1;
      this.rows += 1;
    }
    const tied = this.#table.ties.has(id);
    for (let feature = 0; feature < EXPECTED_FEATURES.length; feature += 1) {
      const came = values[places.features[feature] ?? -1];
      const expected = this.#table.valueAt(row, feature);
      this.values += 1;
      if (!tied && !isClose(came, expected))
        this.#differ(id, EXPECTED_FEATURES[feature]?.name ?? '', came, expected);
    }
    const cents = this.#table.centsAt(row);
    const amount = values[places.amount];
    if (cents >= 0 && amount !== cents / 100) this.#differ(id, 'amount', amount, cents / 100);
  }

  #differ(id: number, name: string, came: number | null | undefined, expected: number): void {
    this.mismatches += 1;
    if (this.differences.length < DIFFERENCES_KEPT) {
      this.differences.push(
        `transaction ${String(id)}: ${name} is ${String(came)}, expected ${String(expected)}`,
      );
    }
  }
}

/** Whether a value is the expected one up to rounding. */
export function isClose(came: number | null | undefined, expected: number): boolean {
  if (came === null || came === undefined) return false;
  return Math.abs(came - expected) <= Math.max(ROUNDING, RELATIVE_DIFFERENCE_MAX * Math.abs(expected));
}
