import { DAY_MS } from '@tandem-examples/driver';
import { isFraud, type Transaction } from './transaction.ts';

/**
 * The features that the vector `card` must have for a transaction, by their names in the vector and in the
 * columns of the published data set. The amount itself comes first in the vector and is not listed: it is the
 * transaction's.
 */
export const EXPECTED_FEATURES: readonly { readonly name: string; readonly column: string }[] = [
  { name: 'weekend', column: 'TX_DURING_WEEKEND' },
  { name: 'night', column: 'TX_DURING_NIGHT' },
  ...[1, 7, 30].flatMap((days) => [
    { name: `customer_count_${String(days)}d`, column: `CUSTOMER_ID_NB_TX_${String(days)}DAY_WINDOW` },
    { name: `customer_amount_${String(days)}d`, column: `CUSTOMER_ID_AVG_AMOUNT_${String(days)}DAY_WINDOW` },
  ]),
  ...[1, 7, 30].flatMap((days) => [
    { name: `terminal_count_${String(days)}d`, column: `TERMINAL_ID_NB_TX_${String(days)}DAY_WINDOW` },
    { name: `terminal_risk_${String(days)}d`, column: `TERMINAL_ID_RISK_${String(days)}DAY_WINDOW` },
  ]),
];

/** Labels are known this long after their transaction. */
const MATURITY_MS = 7 * DAY_MS;
/**
 * How long before a transaction those lie that its features depend on: 30 days of labels that took 7 to
 * mature.
 */
export const LOOKBACK_MS: number = 30 * DAY_MS + MATURITY_MS;

/**
 * Computes features by looking at every transaction of the customer and of the terminal, with no state kept
 * from row to row: slow, and simple enough to be checked by reading. It is what the platform's answers are
 * compared with.
 */
export class FeatureOracle {
  readonly #byCustomer = new Map<number, Transaction[]>();
  readonly #byTerminal = new Map<number, Transaction[]>();

  /** Transactions are added in the order of time; of equal times the first added counts as earlier. */
  add(transaction: Transaction): void {
    append(this.#byCustomer, transaction.customer, transaction);
    append(this.#byTerminal, transaction.terminal, transaction);
  }

  /** Values of a transaction that was added, in the order of {@link EXPECTED_FEATURES}. */
  valuesOf(transaction: Transaction): number[] {
    const { time } = transaction;
    const date = new Date(time);
    const weekday = (date.getUTCDay() + 6) % 7;
    const values = [weekday >= 5 ? 1 : 0, date.getUTCHours() <= 6 ? 1 : 0];
    const bought = this.#byCustomer.get(transaction.customer) ?? [];
    const upToThis = bought.slice(0, bought.indexOf(transaction) + 1);
    for (const days of [1, 7, 30]) {
      const window = upToThis.filter((other) => other.time > time - days * DAY_MS);
      values.push(window.length, sum(window, (other) => other.cents) / 100 / window.length);
    }
    const sold = this.#byTerminal.get(transaction.terminal) ?? [];
    const known = time - MATURITY_MS;
    for (const days of [1, 7, 30]) {
      const window = sold.filter((other) => other.time > known - days * DAY_MS && other.time <= known);
      const frauds = sum(window, (other) => (isFraud(other) ? 1 : 0));
      values.push(window.length, window.length === 0 ? 0 : frauds / window.length);
    }
    return values;
  }

  /** Forgets transactions that no transaction from `time` on depends on. */
  forget(time: number): void {
    for (const lists of [this.#byCustomer, this.#byTerminal]) {
      for (const [key, list] of lists) {
        const kept = list.filter((transaction) => transaction.time > time - LOOKBACK_MS);
        if (kept.length === 0) lists.delete(key);
        else if (kept.length < list.length) lists.set(key, kept);
      }
    }
  }
}

function append(lists: Map<number, Transaction[]>, key: number, transaction: Transaction): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [transaction]);
  else list.push(transaction);
}

function sum(transactions: readonly Transaction[], value: (transaction: Transaction) => number): number {
  return transactions.reduce((total, transaction) => total + value(transaction), 0);
}
