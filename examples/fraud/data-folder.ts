import { DAY_MS } from '@tandem-examples/driver';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createGunzip } from 'node:zlib';
import { EXPECTED_FEATURES } from './expected-features.ts';
import { ExpectedTable } from './expected-table.ts';
import type { Scenario, Transaction } from './transaction.ts';

/** The instant that TX_TIME_SECONDS counts from. */
const EPOCH_MS: number = Date.UTC(2018, 3, 1);

const TRANSACTION_COLUMNS = [
  'TRANSACTION_ID',
  'TX_TIME_SECONDS',
  'CUSTOMER_ID',
  'TERMINAL_ID',
  'TX_AMOUNT',
  'TX_FRAUD',
  'TX_FRAUD_SCENARIO',
] as const;
const FEATURE_COLUMNS = ['TRANSACTION_ID', ...EXPECTED_FEATURES.map(({ column }) => column)];
const TIE_COLUMNS = ['TRANSACTION_ID', 'CUSTOMER_ID', 'TX_TIME_SECONDS'];

/**
 * Something is wrong with the data folder; the message says with which file and line, and what was expected.
 */
export class DataFolderError extends Error {
  override readonly name = 'DataFolderError';
}

/**
 * A folder with a published set of card transactions and the features others computed from it, as CSV (`.csv`
 * or `.csv.gz`):
 * - `transactions_<first day>_<last day>`: ordered by time, TX_TIME_SECONDS from 2018-04-01T00:00:00Z;
 * - `expected_features_<first day>_<last day>`: the 14 features of each transaction of those days, ordered by
 *   id;
 * - `tie_rows.csv` (may be absent): transactions whose features depend on an order that is not defined.
 *
 * Files are read as streams; memory does not depend on their size.
 */
export class DataFolder {
  readonly #transactions: string;
  readonly #features: string;
  readonly #ties: string | undefined;
  /**
   * The days whose features are expected: start of the first and end of the last, in milliseconds since 1970
   * UTC.
   */
  readonly fromMs: number;
  readonly toMs: number;

  private constructor(files: { transactions: string; features: string; ties: string | undefined }) {
    this.#transactions = files.transactions;
    this.#features = files.features;
    this.#ties = files.ties;
    const [, first = '', last = ''] =
      /_(\d{4}-\d{2}-\d{2})_(\d{4}-\d{2}-\d{2})\.csv/.exec(files.features) ?? [];
    this.fromMs = Date.parse(`${first}T00:00:00Z`);
    this.toMs = Date.parse(`${last}T00:00:00Z`) + DAY_MS;
    if (!(this.fromMs < this.toMs)) {
      throw new DataFolderError(
        `${files.features}: expected two days in the name, the first not after the last`,
      );
    }
  }

  /** Finds the files. Rejects with a DataFolderError when the folder has not exactly one of each. */
  static async open(folder: string): Promise<DataFolder> {
    let names: string[];
    try {
      names = await readdir(folder);
    } catch (error) {
      throw new DataFolderError(`The data folder ${folder} cannot be read: ${(error as Error).message}`);
    }
    const find = (kind: string): string => {
      const pattern = new RegExp(`^${kind}_\\d{4}-\\d{2}-\\d{2}_\\d{4}-\\d{2}-\\d{2}\\.csv(\\.gz)?$`);
      const [found, ...more] = names.filter((name) => pattern.test(name));
      if (found === undefined || more.length > 0) {
        throw new DataFolderError(
          `${folder} must hold one file ${kind}_<first day>_<last day>.csv.gz (or .csv); ` +
            `found ${found === undefined ? 'none' : [found, ...more].join(', ')}`,
        );
      }
      return join(folder, found);
    };
    return new DataFolder({
      transactions: find('transactions'),
      features: find('expected_features'),
      ties: names.includes('tie_rows.csv') ? join(folder, 'tie_rows.csv') : undefined,
    });
  }

  /** The transactions in order, in pieces of some thousand. */
  async *transactions(): AsyncGenerator<readonly Transaction[]> {
    let before = -Infinity;
    for await (const rows of numbers(this.#transactions, TRANSACTION_COLUMNS)) {
      yield rows.map(({ values, line }) => {
        const [id = 0, seconds = 0, customer = 0, terminal = 0, paid = 0, fraud = 0, scenario = 0] = values;
        const cents = Math.round(paid * 100);
        // Amounts were multiplied in floating point by those who made them: 183.70000000000002 is 183.70.
        if (Math.abs(cents / 100 - paid) > 1e-6 || cents < 0) {
          throw new DataFolderError(
            `${this.#transactions}:${String(line)}: TX_AMOUNT ${String(paid)} is not in cents`,
          );
        }
        if ((fraud !== 0) !== (scenario !== 0) || ![0, 1, 2, 3].includes(scenario)) {
          throw new DataFolderError(
            `${this.#transactions}:${String(line)}: TX_FRAUD_SCENARIO is 1 to 3 for a fraud, else 0; ` +
              `got ${String(scenario)} with TX_FRAUD ${String(fraud)}`,
          );
        }
        if (!Number.isSafeInteger(seconds) || seconds < before) {
          throw new DataFolderError(
            `${this.#transactions}:${String(line)}: TX_TIME_SECONDS are whole and never fall; ` +
              `got ${String(seconds)} after ${String(before)}`,
          );
        }
        before = seconds;
        return {
          id,
          time: EPOCH_MS + seconds * 1_000,
          customer,
          terminal,
          cents,
          scenario: scenario as Scenario,
        };
      });
    }
    if (before === -Infinity) throw new DataFolderError(`${this.#transactions}: there are no transactions`);
  }

  /** The expected features. */
  async expected(): Promise<ExpectedTable> {
    const ties = new Set<number>();
    if (this.#ties !== undefined) {
      for await (const rows of numbers(this.#ties, TIE_COLUMNS))
        for (const { values } of rows) ties.add(values[0] ?? 0);
    }
    const table = new ExpectedTable(ties);
    for await (const rows of numbers(this.#features, FEATURE_COLUMNS)) {
      for (const { values, line } of rows) {
        try {
          table.add(values[0] ?? 0, values.slice(1));
        } catch (error) {
          throw new DataFolderError(`${this.#features}:${String(line)}: ${(error as Error).message}`);
        }
      }
    }
    return table;
  }
}

interface NumberRow {
  readonly values: number[];
  /** From 1; the header is line 1. */
  readonly line: number;
}

/** Rows of a CSV file that holds plain numbers only, under exactly these columns. */
async function* numbers(path: string, columns: readonly string[]): AsyncGenerator<NumberRow[]> {
  let line = 0;
  for await (const lines of linesOf(path)) {
    const rows: NumberRow[] = [];
    for (const text of lines) {
      line += 1;
      if (line === 1) {
        if (text !== columns.join(',')) {
          throw new DataFolderError(
            `${path}: expected the header ${columns.join(',')}; got ${text.slice(0, 500)}`,
          );
        }
        continue;
      }
      const cells = text.split(',');
      const values = cells.map((cell) => (cell === '' ? Number.NaN : Number(cell)));
      if (values.length !== columns.length || values.some((value) => !Number.isFinite(value))) {
        throw new DataFolderError(
          `${path}:${String(line)}: expected ${String(columns.length)} numbers; got ${text.slice(0, 200)}`,
        );
      }
      rows.push({ values, line });
    }
    if (rows.length > 0) yield rows;
  }
  if (line === 0) throw new DataFolderError(`${path}: the file is empty`);
}

async function* linesOf(path: string): AsyncGenerator<string[]> {
  const file = createReadStream(path);
  const bytes = path.endsWith('.gz') ? file.pipe(createGunzip()) : file;
  // pipe() does not hand on errors: a file that cannot be read must not hang the reader.
  file.on('error', (error) => bytes.destroy(error));
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for await (const chunk of bytes) {
      const lines = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split(/\r?\n/);
      rest = lines.pop() ?? '';
      if (lines.length > 0) yield lines;
    }
  } catch (error) {
    if (error instanceof DataFolderError) throw error;
    throw new DataFolderError(`${path} cannot be read: ${(error as Error).message}`);
  } finally {
    file.destroy();
  }
  if (rest !== '') yield [rest];
}
