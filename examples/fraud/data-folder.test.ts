import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataFolder } from './data-folder.ts';
import { EXPECTED_FEATURES, FeatureOracle } from './expected-features.ts';
import { isFraud, reportRecord, type Transaction, transactionRecord } from './transaction.ts';

const fixtures = join(import.meta.dirname, 'fixtures');
const HEADER = 'TRANSACTION_ID,TX_TIME_SECONDS,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_FRAUD,TX_FRAUD_SCENARIO';

async function allOf(folder: DataFolder): Promise<Transaction[]> {
  const transactions: Transaction[] = [];
  for await (const piece of folder.transactions()) transactions.push(...piece);
  return transactions;
}

describe('the hand-checked transactions', () => {
  it('are read with times from 2018-04-01 UTC and exact amounts', async () => {
    const folder = await DataFolder.open(fixtures);
    const transactions = await allOf(folder);
    expect(transactions).toHaveLength(22);
    expect(new Date(folder.fromMs).toISOString()).toBe('2018-07-25T00:00:00.000Z');
    expect(new Date(folder.toMs).toISOString()).toBe('2018-08-01T00:00:00.000Z');
    const fraud = transactions[17];
    expect(fraud).toEqual({
      id: 17,
      time: Date.UTC(2018, 6, 29),
      customer: 4,
      terminal: 1,
      cents: 22_001,
      scenario: 1,
    });
    if (fraud === undefined) return;
    expect(JSON.parse(transactionRecord(fraud))).toEqual({
      transactionId: '17',
      at: '2018-07-29T00:00:00Z',
      customerId: '4',
      terminalId: '1',
      amount: 220.01,
    });
    expect(JSON.parse(reportRecord(fraud))).toEqual({
      reportId: 'r17',
      at: '2018-08-04T00:00:00Z',
      transactionId: '17',
    });
  });

  it('have the features that were worked out by hand', async () => {
    const folder = await DataFolder.open(fixtures);
    const expected = await folder.expected();
    expect(expected.rows).toBe(10);
    expect([...expected.ties]).toEqual([19, 20]);
    const oracle = new FeatureOracle();
    for (const transaction of await allOf(folder)) {
      oracle.add(transaction);
      const row = expected.rowOf(transaction.id);
      expect(row >= 0).toBe(transaction.time >= folder.fromMs);
      if (row < 0) continue;
      const values = oracle.valuesOf(transaction);
      EXPECTED_FEATURES.forEach(({ name }, index) => {
        expect(values[index], `${name} of ${String(transaction.id)}`).toBeCloseTo(
          expected.valueAt(row, index),
          8,
        );
      });
    }
  });

  it('give the same features when the oracle forgets what is too old', async () => {
    const transactions = await allOf(await DataFolder.open(fixtures));
    const remembering = new FeatureOracle();
    const forgetting = new FeatureOracle();
    for (const transaction of transactions) {
      remembering.add(transaction);
      forgetting.add(transaction);
      forgetting.forget(transaction.time);
      expect(forgetting.valuesOf(transaction)).toEqual(remembering.valuesOf(transaction));
    }
    expect(transactions.filter(isFraud)).toHaveLength(5);
  });
});

describe('a folder that is wrong', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'data-folder-'));
    await writeFile(join(folder, 'expected_features_2018-07-25_2018-07-26.csv'), 'x');
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function inspect(rows: string): Promise<Transaction[]> {
    await writeFile(join(folder, 'transactions_2018-07-01_2018-07-26.csv.gz'), gzipSync(rows));
    return allOf(await DataFolder.open(folder));
  }

  it('is named when it is not there or has not the files', async () => {
    await expect(DataFolder.open(join(folder, 'absent'))).rejects.toThrow(/absent cannot be read/);
    await expect(DataFolder.open(folder)).rejects.toThrow(/must hold one file transactions_.*found none/);
    await writeFile(join(folder, 'transactions_2018-07-01_2018-07-26.csv'), '');
    await writeFile(join(folder, 'transactions_2018-07-01_2018-07-27.csv'), '');
    await expect(DataFolder.open(folder)).rejects.toThrow(/must hold one file transactions_.*07-26.csv, /);
  });

  it('is told apart by file and line', async () => {
    await expect(inspect('')).rejects.toThrow(/the file is empty/);
    await expect(inspect('A,B\n1,2\n')).rejects.toThrow(/expected the header TRANSACTION_ID,.*got A,B/);
    await expect(inspect(`${HEADER}\n`)).rejects.toThrow(/there are no transactions/);
    await expect(inspect(`${HEADER}\n1,2,3\n`)).rejects.toThrow(/csv.gz:2: expected 7 numbers; got 1,2,3/);
    await expect(inspect(`${HEADER}\n1,20,3,4,5.5,0,0\n2,20,3,x,5,0,0\n`)).rejects.toThrow(
      /:3: expected 7 numbers/,
    );
    await expect(inspect(`${HEADER}\n1,20,3,4,5.555,0,0\n`)).rejects.toThrow(
      /:2: TX_AMOUNT 5.555 is not in cents/,
    );
    await expect(inspect(`${HEADER}\n1,20,3,4,5,1,0\n`)).rejects.toThrow(
      /:2: TX_FRAUD_SCENARIO is 1 to 3 for a fraud/,
    );
    await expect(inspect(`${HEADER}\n1,20,3,4,5,0,0\n2,19,3,4,5,0,0\n`)).rejects.toThrow(
      /:3: .*got 19 after 20/,
    );
  });

  it('accepts amounts that were multiplied in floating point', async () => {
    expect(await inspect(`${HEADER}\n1,20,3,4,183.70000000000002,1,3`)).toMatchObject([
      { cents: 18_370, scenario: 3 },
    ]);
  });

  it('says so when a compressed file is cut', async () => {
    const whole = gzipSync(`${HEADER}\n${'1,20,3,4,5,0,0\n'.repeat(1_000)}`);
    await writeFile(
      join(folder, 'transactions_2018-07-01_2018-07-26.csv.gz'),
      whole.subarray(0, whole.length - 20),
    );
    await expect(allOf(await DataFolder.open(folder))).rejects.toThrow(/cannot be read/);
  });

  it('says so when expected features are not in order', async () => {
    await writeFile(join(folder, 'transactions_2018-07-01_2018-07-26.csv'), HEADER);
    const header = ['TRANSACTION_ID', ...EXPECTED_FEATURES.map(({ column }) => column)].join(',');
    const row = ',0'.repeat(EXPECTED_FEATURES.length);
    await writeFile(
      join(folder, 'expected_features_2018-07-25_2018-07-26.csv'),
      `${header}\n2${row}\n1${row}\n`,
    );
    await expect((await DataFolder.open(folder)).expected()).rejects.toThrow(/:3: .*ordered by id/);
  });
});
