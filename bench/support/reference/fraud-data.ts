import type { Matrix } from '../../../src/ml/index.ts';
import { linesOf } from './data-folder.ts';

const SECONDS_OF_DAY = 86_400;
const WINDOW_DAYS = [1, 7, 30] as const;
/** Days until the label of a transaction is known. */
const DELAY_DAYS = 7;
/** Amount, weekend, night, then count and mean amount or risk of three windows of customer and terminal. */
const COLUMNS = 15;
const TERMINAL_COLUMN = 9;

export const TRANSACTIONS_FILE = 'fraud-handbook/transactions_2018-06-18_2018-08-14.csv.gz';
export const FEATURES_FILE = 'fraud-handbook/expected_features_2018-07-25_2018-08-14.csv.gz';
/** Of the first transaction in the file, counted from 2018-04-01. */
export const FIRST_DAY = 78;

/** Transactions in the order of their time, with the features of each. */
export interface Fraud {
  readonly days: Int32Array;
  readonly customers: Int32Array;
  readonly labels: Uint8Array;
  readonly features: Matrix;
}

/** Columns of the file of transactions. */
interface Raw {
  readonly ids: Int32Array;
  readonly seconds: Int32Array;
  readonly customers: Int32Array;
  readonly terminals: Int32Array;
  readonly amounts: Float64Array;
  readonly labels: Uint8Array;
}

/**
 * Reads the transactions. Features are the published ones where the file has them, from 2018-07-25 on, and
 * else derived here from the transactions by the same definitions.
 *
 * @returns also the number of published rows and the share of them that our own derivation equals to 1e-6.
 */
export function readFraud(): {
  readonly fraud: Fraud;
  readonly published: number;
  readonly equalShare: number;
} {
  const raw = readTransactions();
  const values = deriveFeatures(raw);
  const [, ...lines] = linesOf(FEATURES_FILE);
  const first = raw.ids.indexOf(Number(lines[0]?.split(',', 1)[0]));
  let equal = 0;
  lines.forEach((line, offset) => {
    const [id, ...features] = line.split(',').map(Number);
    const row = first + offset;
    if (id !== raw.ids[row])
      throw new Error(`Features of transaction ${id} are not in the order of the transactions`);
    let same = true;
    features.forEach((value, column) => {
      const at = row * COLUMNS + 1 + column;
      same &&= Math.abs((values[at] as number) - value) <= 1e-6;
      values[at] = value;
    });
    if (same) equal += 1;
  });
  return {
    fraud: {
      days: raw.seconds.map((second) => Math.floor(second / SECONDS_OF_DAY)),
      customers: raw.customers,
      labels: raw.labels,
      features: { rows: raw.ids.length, columns: COLUMNS, values: Float32Array.from(values) },
    },
    published: lines.length,
    equalShare: equal / lines.length,
  };
}

function readTransactions(): Raw {
  const [, ...lines] = linesOf(TRANSACTIONS_FILE);
  const raw = {
    ids: new Int32Array(lines.length),
    seconds: new Int32Array(lines.length),
    customers: new Int32Array(lines.length),
    terminals: new Int32Array(lines.length),
    amounts: new Float64Array(lines.length),
    labels: new Uint8Array(lines.length),
  };
  lines.forEach((line, row) => {
    const [id = 0, second = 0, customer = 0, terminal = 0, amount = 0, label = 0] = line
      .split(',')
      .map(Number);
    raw.ids[row] = id;
    raw.seconds[row] = second;
    raw.customers[row] = customer;
    raw.terminals[row] = terminal;
    raw.amounts[row] = amount;
    raw.labels[row] = label;
  });
  return raw;
}

function deriveFeatures(raw: Raw): Float64Array {
  const { seconds, amounts } = raw;
  const values = new Float64Array(seconds.length * COLUMNS);
  for (let row = 0; row < seconds.length; row += 1) {
    const second = seconds[row] as number;
    // 2018-04-01 was a Sunday.
    const weekday = (Math.floor(second / SECONDS_OF_DAY) + 6) % 7;
    values[row * COLUMNS] = amounts[row] as number;
    values[row * COLUMNS + 1] = weekday >= 5 ? 1 : 0;
    values[row * COLUMNS + 2] = Math.floor((second % SECONDS_OF_DAY) / 3600) <= 6 ? 1 : 0;
  }
  WINDOW_DAYS.forEach((days, place) => {
    addWindow(values, { raw, keys: raw.customers, amounts, from: days, to: 0, column: 3 + 2 * place });
    addWindow(values, {
      raw,
      keys: raw.terminals,
      amounts: raw.labels,
      from: days + DELAY_DAYS,
      to: DELAY_DAYS,
      column: TERMINAL_COLUMN + 2 * place,
    });
  });
  return values;
}

/** Writes the count and the mean of `amounts` over the key's rows in (t - from, t - to] days. */
function addWindow(
  values: Float64Array,
  window: {
    readonly raw: Raw;
    readonly keys: Int32Array;
    readonly amounts: ArrayLike<number>;
    readonly from: number;
    readonly to: number;
    readonly column: number;
  },
): void {
  const { raw, keys, amounts, from, to, column } = window;
  for (const rows of rowsOfKeys(keys)) {
    let [start, end, sum] = [0, 0, 0];
    rows.forEach((row, position) => {
      const now = raw.seconds[row] as number;
      // Of rows in the same second, those that come later in the file are not yet there.
      while (end <= position && secondOf(raw, rows, end) <= now - to * SECONDS_OF_DAY) {
        sum += amounts[rows[end] as number] as number;
        end += 1;
      }
      while (start < end && secondOf(raw, rows, start) <= now - from * SECONDS_OF_DAY) {
        sum -= amounts[rows[start] as number] as number;
        start += 1;
      }
      const count = end - start;
      values[row * COLUMNS + column] = count;
      values[row * COLUMNS + column + 1] = count === 0 ? 0 : sum / count;
    });
  }
}

function secondOf(raw: Raw, rows: readonly number[], position: number): number {
  return raw.seconds[rows[position] as number] as number;
}

function rowsOfKeys(keys: Int32Array): Iterable<number[]> {
  const rowsOf = new Map<number, number[]>();
  keys.forEach((key, row) => {
    const rows = rowsOf.get(key);
    if (rows === undefined) rowsOf.set(key, [row]);
    else rows.push(row);
  });
  return rowsOf.values();
}

/** A week to learn from, a week of delay, and the week after it to test with. */
export interface FraudSplit {
  readonly train: Int32Array;
  readonly test: Int32Array;
}

/**
 * The split of the handbook that starts at a day. Cards that are known to be fraudulent leave the test: those
 * with a fraud in the training week, and each day those whose label of a week ago has become known.
 */
export function splitFrom(fraud: Fraud, trainDay: number): FraudSplit {
  const { days, customers, labels } = fraud;
  const testDay = trainDay + 7 + DELAY_DAYS;
  const train: number[] = [];
  const test: number[] = [];
  const firstFraud = new Map<number, number>();
  days.forEach((day, row) => {
    if (day < trainDay) return;
    const card = customers[row] as number;
    if (labels[row] === 1 && !firstFraud.has(card)) firstFraud.set(card, day);
    if (day < trainDay + 7) train.push(row);
    else if (day >= testDay && day < testDay + 7) test.push(row);
  });
  return {
    train: Int32Array.from(train),
    test: Int32Array.from(test).filter((row) => {
      const known = firstFraud.get(customers[row] as number) ?? Number.POSITIVE_INFINITY;
      return known > (days[row] as number) - DELAY_DAYS - 1;
    }),
  };
}
