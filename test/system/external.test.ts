import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { trainerFileDigests } from '../../src/adapters/process/index.ts';
import { type App, defineApp, defineModel, external, withTrainerFiles } from '../../src/define/index.ts';
import { loadModel, logLoss } from '../../src/ml/index.ts';
import { readPart } from '../../src/services/train/part-file.ts';
import { app } from '../../src/services/train/test-host.ts';
import { type FreshDatabase, freshDatabase } from '../conformance/embedded-server.ts';
import { type OpenTrain, openTrain } from '../support/train-service.ts';

const FIXTURES = fileURLToPath(new URL('./fixtures/external', import.meta.url));
/** The system's Python comes first: that is where Debian's packages are. */
const PYTHONS = ['/usr/bin/python3', 'python3'];
const MODULES = 'import numpy, onnx, sklearn, xgboost';
const python = PYTHONS.find((program) => spawnSync(program, ['-c', MODULES]).status === 0);
if (python === undefined) {
  console.warn(
    'SKIPPED: external trainers in Python. None of ' +
      `${PYTHONS.join(', ')} can '${MODULES}'; on Debian: apt-get install python3-sklearn python3-xgboost python3-onnx`,
  );
}

let directory: string;
let database: FreshDatabase;
let train: OpenTrain;

function appOf(): App {
  const linear = app.models.get('linear');
  if (linear === undefined) throw new Error('The app of the tests has no model linear');
  const models = (['logistic', 'trees'] as const).map((kind) =>
    defineModel(`python_${kind}`, {
      ...linear,
      gates: [],
      trainer: external({
        command: [python ?? 'python3', 'train.py'],
        timeout: '5m',
        parameters: { kind, rounds: 20 },
      }),
    }),
  );
  const own = defineApp('shop', { decisions: Object.fromEntries(app.decisions), models });
  return withTrainerFiles(own, (trainer) => trainerFileDigests(FIXTURES, trainer));
}

/** Log loss of a stored model on the rows that all models of this file learnt from. */
async function trainingLogLoss(onnx: string): Promise<number> {
  const [step] = await train.tables.query<{ output: { train: { digest: string } } }>(
    `select output from train_step where step = 'split' limit 1`,
  );
  const part = readPart(await train.objects.get(step?.output.train.digest ?? ''));
  const scores = new Float64Array(part.rows);
  loadModel(await train.objects.get(onnx)).predict(part.values, part.rows, scores);
  return logLoss(part.labels, scores);
}

describe.skipIf(python === undefined)('a model that Python trains', () => {
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'external-python-'));
    database = await freshDatabase();
    train = await openTrain({
      app: appOf(),
      databaseUrl: database.url,
      directory,
      appDirectory: FIXTURES,
    });
  });
  afterAll(async () => {
    await train.close();
    await database[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  it('with scikit-learn is as good as our logistic regression', async () => {
    const ours = await train.finish('linear');
    const theirs = await train.finish('python_logistic');
    expect(theirs.error).toBeNull();
    expect(theirs.state).toBe('done');
    expect(theirs.metrics['aucRoc']).toBeCloseTo(ours.metrics['aucRoc'] ?? 0, 2);
    expect(theirs.metrics['logLoss']).toBeCloseTo(ours.metrics['logLoss'] ?? 0, 2);
    expect(theirs.metrics['external.trainingLogLoss']).toBeGreaterThan(0);
  });

  it('with xgboost answers on the training rows what xgboost answers', async () => {
    const run = await train.finish('python_trees');
    expect(run.error).toBeNull();
    expect(run.state).toBe('done');
    expect(run.metrics['aucRoc']).toBeGreaterThan(0.7);
    // The file that serves, scored here on the rows it learnt from, against the loss that Python computed with xgboost.
    const version = train.neighbours.versions.at(-1);
    const loss = await trainingLogLoss(version?.onnx.digest ?? '');
    expect(loss).toBeCloseTo(run.metrics['external.trainingLogLoss'] ?? 0, 6);
  });

  it('comes out the same a second time', async () => {
    const first = await train.finish('python_trees');
    await train.tables.query(`delete from train_step where step = 'fit'`);
    const second = await train.finish('python_trees');
    expect(second.steps.map(({ state }) => state)).toEqual([
      'done',
      'reused',
      'done',
      'reused',
      'reused',
      'reused',
    ]);
    expect(second.version).toBe(first.version);
  });
});
