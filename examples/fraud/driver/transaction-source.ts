import type { ExpectedTable } from '../expected-table.ts';
import { ExpectedTable as Table } from '../expected-table.ts';
import { FeatureOracle, LOOKBACK_MS } from '../expected-features.ts';
import { simulateDays } from '../simulator.ts';
import { DAY_MS } from '@tandem-examples/driver';
import { isFraud, type Transaction } from '../transaction.ts';
import type { World } from '../world.ts';

/** Where the transactions of a run come from, and what their features must be. */
export interface TransactionSource {
  /** All transactions in the order of time, in pieces. */
  transactions(): AsyncIterable<readonly Transaction[]>;
  /** Expected features, at least of those that are compared. */
  expected(): Promise<ExpectedTable>;
}

/** The days `0 .. toDay - 1` of a simulated world; features are expected from `fromDay` on. */
export function simulatedSource(world: World, fromDay: number, toDay: number): TransactionSource {
  return {
    async *transactions() {
      yield* simulateDays(world, 0, toDay);
    },
    expected: async () => {
      const table = new Table();
      const oracle = new FeatureOracle();
      const firstDay = Math.max(0, fromDay - Math.ceil(LOOKBACK_MS / DAY_MS));
      const evaluatedFrom = world.startMs + fromDay * DAY_MS;
      for (const day of simulateDays(world, firstDay, toDay)) {
        for (const transaction of day) {
          oracle.add(transaction);
          if (transaction.time >= evaluatedFrom) table.add(transaction.id, oracle.valuesOf(transaction));
        }
      }
      return table;
    },
  };
}

/** The transactions of a source before an instant. */
export async function* transactionsUntil(
  source: TransactionSource,
  endMs: number,
): AsyncGenerator<readonly Transaction[]> {
  for await (const piece of source.transactions()) {
    const end = piece.findIndex(({ time }) => time >= endMs);
    if (end !== 0) yield end < 0 ? piece : piece.slice(0, end);
    if (end >= 0) return;
  }
}

/** Counts the transactions before an instant and the frauds among them. */
export async function countTransactions(
  source: TransactionSource,
  endMs: number,
): Promise<{ readonly transactions: number; readonly frauds: number }> {
  let transactions = 0;
  let frauds = 0;
  for await (const piece of transactionsUntil(source, endMs)) {
    transactions += piece.length;
    for (const transaction of piece) if (isFraud(transaction)) frauds += 1;
  }
  return { transactions, frauds };
}
