import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { freshDatabase } from '../../../test/conformance/embedded-server.ts';
import { openTrain } from '../../../test/support/train-service.ts';
import {
  byFolds,
  defineApp,
  defineModel,
  gbdt,
  id,
  type InnerTrainer,
  key,
  label,
  logistic,
  number,
  source,
  timestamp,
  vector,
} from '../../define/index.ts';
import { run as evaluate } from './evaluate-task.ts';
import { run as fit } from './fit-task.ts';
import { createPart, sealPart } from './part-file.ts';
import type { ModelReport } from './report.ts';
import type { TestTable } from './test-host.ts';

vi.setConfig({ testTimeout: 240_000 });

/** Tumour images, of which 212 of 569 are malignant (UCI, Breast Cancer Wisconsin (Diagnostic)); the last column 0 is malignant. */
const FILE = join(
  resolve(process.env['TANDEM_SHARED'] ?? '../shared', 'data/diagnostics'),
  'wdbc_breast_cancer.csv',
);
const isThere = existsSync(FILE);
if (!isThere) process.stderr.write(`\nSKIPPED: WDBC reference: there is no ${FILE} (TANDEM_SHARED)\n\n`);

const FOLDS = 10;
const INPUTS = Array.from({ length: 30 }, (_, column) => `x${column}`);
const CONTEXT = { progress: () => undefined, cpuSeconds: () => 0, wallSeconds: () => 0 };

function part(): Uint8Array {
  const [, ...lines] = readFileSync(FILE, 'utf8').trim().split('\n');
  const rows = lines.map((line) => line.split(',').map(Number));
  const { part: made, bytes } = createPart({
    names: INPUTS,
    categories: {},
    rows: rows.length,
    days: false,
    entities: false,
  });
  rows.forEach((row, index) => {
    made.values.set(row.slice(0, 30), index * 30);
    made.labels[index] = row[30] === 0 ? 1 : 0;
  });
  sealPart(made);
  return bytes;
}

/** The vector of an image, and whether its tumour is malignant. */
function images() {
  const fields = Object.fromEntries(INPUTS.map((name) => [name, number()]));
  const cases = source('cases', {
    id: 'caseId',
    time: 'at',
    key: 'caseId',
    fields: { caseId: id(), at: timestamp(), ...fields },
  });
  const findings = source('findings', {
    id: 'findingId',
    time: 'at',
    key: 'caseId',
    fields: { findingId: id(), at: timestamp(), caseId: key() },
  });
  const values = INPUTS.map((name) => [name, (c: Record<string, never>) => c[name]]);
  return {
    vector: vector('image', { candidate: cases, ...Object.fromEntries(values) }),
    label: label('malignant', { of: cases, from: findings, on: 'caseId', maturesAfter: '3d' }),
  };
}

function table(): TestTable {
  const columns = INPUTS.map((name, column) => `column${String(column).padStart(2, '0')}::double as ${name}`);
  return {
    ...images(),
    keys: [],
    select: ({ to }) => `
      select 'c' || row as id, (${String(to)} - (570 - row) * 3600000)::bigint as time, 0::bigint as partition, row::bigint as position,
        column30 = 0 as label, ${columns.join(', ')}
      from (select row_number() over () as row, * from read_csv('${FILE}', header = false, skip = 1))`,
  };
}

/** What a run comes to: fits of all folds and of all rows, and what is measured out of fold. */
function crossValidated(trainer: InnerTrainer, seed = 0): ModelReport {
  const rows = part();
  const task = { part: rows, trainer, seed, deal: 'random' } as const;
  const models = Array.from(
    { length: FOLDS },
    (_, fold) => fit({ ...task, without: { fold, folds: FOLDS } }, CONTEXT).onnx,
  );
  const { onnx } = fit(task, CONTEXT);
  const folds = { models, groupBy: null };
  return evaluate({ onnx, part: rows, train: rows, seed, asked: [], folds }, CONTEXT).report;
}

describe.skipIf(!isThere)('tumours, ten folds', () => {
  it('are told apart by a run with logistic regression as well as by the reference, AUC .9952', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'wdbc-'));
    const database = await freshDatabase();
    const model = defineModel('tumour', {
      ...images(),
      trainer: logistic(),
      split: byFolds({ folds: FOLDS }),
    });
    const app = defineApp('clinic', { decisions: {}, models: [model] });
    const shared = { databaseUrl: database.url, directory, appDirectory: directory };
    const train = await openTrain({ app, table: table(), ...shared });
    try {
      const { error, metrics } = await train.finish('tumour');
      expect(error).toBeNull();
      expect(metrics).toMatchObject({ trainRows: 569, testRows: 569, testPositives: 212 });
      expect(Math.abs((metrics['aucRoc'] ?? 0) - 0.9952)).toBeLessThan(0.01);
      // The run adds nothing to what its tasks come to.
      expect(crossValidated(logistic()).metrics['aucRoc']).toBeCloseTo(metrics['aucRoc'] ?? 0, 12);
    } finally {
      await train.close();
      await database[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    }
  });

  it('are given probabilities by calibrated trees that are not worse than those of the trees by more than noise', () => {
    const trainer = gbdt({ rounds: 40, hessianMin: 0.1 });
    const plain = crossValidated(trainer);
    // AUC .9934 is that of the boosted trees of the reference.
    expect(Math.abs((plain.metrics['aucRoc'] ?? 0) - 0.9934)).toBeLessThan(0.01);
    const { low = 0, high = 0 } = plain.intervals['brier'] ?? {};
    for (const calibrate of ['platt', 'isotonic'] as const) {
      const { metrics } = crossValidated({ ...trainer, calibrate });
      // The interval's width is what other rows of the same kind would change.
      expect(metrics['brier']).toBeLessThan((plain.metrics['brier'] ?? 0) + (high - low) / 4);
      expect(metrics['logLoss']).toBeLessThan((plain.metrics['logLoss'] ?? 0) + 0.02);
    }
  });
});
