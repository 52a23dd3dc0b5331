import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type FreshDatabase, freshDatabase } from '../../../test/conformance/embedded-server.ts';
import { type OpenTrain, openTrain } from '../../../test/support/train-service.ts';
import { threadCompute } from '../../adapters/threads/index.ts';
import type { Run } from '../../contract/index.ts';
import {
  type App,
  atLeast,
  atMost,
  betterThanBaseline,
  byFolds,
  decision,
  defineApp,
  defineModel,
  gbdt,
  id,
  key,
  label,
  logistic,
  type ModelOptions,
  number,
  source,
  timestamp,
  vector,
} from '../../define/index.ts';
import { loadModel } from '../../ml/index.ts';
import type { Compute } from '../../runtime/index.ts';
import { trainTasks } from './index.ts';
import { readPart } from './part-file.ts';
import { DAY_MS } from './periods.ts';
import type { ModelReport } from './report.ts';
import { AS_OF, type TestTable } from './test-host.ts';

vi.setConfig({ testTimeout: 120_000 });

const cases = source('cases', {
  id: 'caseId',
  time: 'at',
  key: 'patientId',
  fields: {
    caseId: id(),
    at: timestamp(),
    patientId: key(),
    size: number(),
    trace: number(),
    ward: number(),
  },
});
const findings = source('findings', {
  id: 'findingId',
  time: 'at',
  key: 'caseId',
  fields: { findingId: id(), at: timestamp(), caseId: key() },
});
const ill = label('ill', { of: cases, from: findings, on: 'caseId', maturesAfter: '3d' });
const image = vector('image', {
  candidate: cases,
  size: (c) => c.size,
  trace: (c) => c.trace,
  ward: (c) => c.ward,
});
const shared = { vector: image, label: ill };

/** `patients` of five cases each. What a patient has leaves a `trace` that is the patient's own and says nothing of others. */
function casesOf({ patients = 80, isIll = 'hash(patient) % 3 = 0' }): TestTable {
  return {
    vector: image,
    label: ill,
    keys: ['patientId'],
    select: ({ to }) => `
      select 'c' || n as id, (${String(to)} - (${String(5 * patients)} - n) * 3600000)::bigint as time, 0::bigint as partition,
        n::bigint as position, 'p' || patient as "key_patientId", ${isIll} as label,
        (case when ${isIll} then 3 else 0 end + hash(n) % 1000 / 200.0)::double as size,
        (hash(patient * 31) % 100000)::double as trace, (n % 2)::double as ward
      from (select range as n, range // 5 as patient from range(${String(5 * patients)}))`,
  };
}

function appOf(options: Omit<ModelOptions<typeof cases>, 'vector' | 'label'>): App {
  const model = defineModel('tumour', { ...shared, ...options });
  return defineApp('clinic', { decisions: { triage: decision('triage', { model, subject: 'patientId' }) } });
}

let directory: string;
let database: FreshDatabase;
let train: OpenTrain;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'folds-'));
  database = await freshDatabase();
}, 60_000);
afterEach(() => train.close());
afterAll(async () => {
  await database[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

async function open(app: App, table = casesOf({}), compute?: Compute): Promise<void> {
  const ports = compute === undefined ? {} : { compute };
  train = await openTrain({
    app,
    table,
    databaseUrl: database.url,
    directory,
    appDirectory: directory,
    ...ports,
  });
}

async function text(digest = ''): Promise<string> {
  return new TextDecoder().decode(await train.objects.get(digest));
}

async function reportOf(run: Run): Promise<ModelReport> {
  const version = train.neighbours.versions[(run.version ?? 0) - 1];
  return JSON.parse(await text(version?.report?.digest)) as ModelReport;
}

describe('a model that is judged by folds', () => {
  it('learns from every row, and its report, gates and card speak of rows out of fold', async () => {
    await open(
      appOf({
        trainer: logistic({ calibrate: 'platt' }),
        split: byFolds({ folds: 4, groupBy: 'patientId', within: '100d' }),
        gates: [
          atLeast('aucRoc', 0.8),
          atLeast('recall', 0.7, { at: 0.3 }),
          atLeast('specificity', 0.999),
          atLeast('recall', 0.9, { at: 0.3, slice: 'worst' }),
          atLeast('precision', 0.5, { at: 0.3, bound: 'lower' }),
          atMost('brier', 0.2, { bound: 'upper' }),
          betterThanBaseline('logLoss', { bound: 'lower' }),
        ],
      }),
    );
    const run = await train.finish('tumour');
    expect(run.error).toBeNull();
    const to = AS_OF - 3 * DAY_MS + 1;
    expect(train.neighbours.built).toMatchObject([{ from: AS_OF - 100 * DAY_MS, to }]);
    expect(run.metrics).toMatchObject({ trainRows: 400, testRows: 400 });
    const report = await reportOf(run);
    expect(report.folds).toMatchObject({ count: 4, groupBy: 'patientId' });
    expect(report.folds?.each.map(({ rows }) => rows)).toEqual([100, 100, 100, 100]);
    expect(report.thresholds?.map(({ at }) => at)).toEqual([0.3, 0.5]);
    const [auc, recall, specificity, worst, precision, brier, lead] = run.gates;
    expect(run.gates.map(({ passed }) => passed)).toEqual([true, true, false, false, true, true, true]);
    expect(auc?.value).toBe(report.metrics['aucRoc']);
    expect(recall?.value).toBe(report.thresholds?.[0]?.recall?.value);
    expect(specificity).toMatchObject({ at: 0.5, value: report.thresholds?.[1]?.specificity?.value });
    expect(worst?.value).toBeLessThanOrEqual(recall?.value ?? 0);
    expect(worst?.where).toMatchObject({
      input: expect.any(String) as string,
      rows: expect.any(Number) as number,
    });
    expect(precision?.value).toBe(report.thresholds?.[0]?.precision?.interval.low);
    expect(brier?.value).toBe(report.intervals['brier']?.high);
    expect(lead).toMatchObject({ against: 'baseline', baseline: report.baseline.metrics['logLoss'] });
    const markdown = await text(train.neighbours.versions[0]?.card?.markdown.digest);
    expect(markdown).toContain('| judged out of fold by | ');
    expect(markdown).toContain("All rows of one 'patientId' lie in the same fold.");
    expect(markdown).toMatch(
      /\| recall at 0.3 in the worst slice \| at least 0.9 \| \S+ where \S+ is .* \(\d+ rows\) \| FAILED \|/,
    );
    expect(run.steps.find(({ name }) => name === 'gate')?.note).toMatch(
      /^specificity at 0.5 is 0\.\d{4}, at least 0.999 is asked; recall at 0.3 in the worst slice is 0\.\d{4} where size is .* \(\d+ rows\), at least 0.9 is asked$/,
    );
  });

  it('measures what the models without each row say of it, not what the one that has learnt from it says', async () => {
    await open(appOf({ trainer: gbdt({ rounds: 60, hessianMin: 0.1 }), split: byFolds({ folds: 2 }) }));
    const run = await train.finish('tumour');
    const version = train.neighbours.versions[0];
    const [row] = await train.tables.query<{ output: { test: { digest: string } } }>(
      `select output from train_step where step = 'split'`,
    );
    const part = readPart(await train.objects.get(row?.output.test.digest ?? ''));
    const own = new Float64Array(part.rows);
    loadModel(await train.objects.get(version?.onnx.digest ?? '')).predict(part.values, part.rows, own);
    const learnt =
      own.reduce((sum, score, index) => sum + (score - (part.labels[index] ?? 0)) ** 2, 0) / part.rows;
    expect(run.metrics['brier']).toBeGreaterThan(2 * learnt);
  });

  it('has no patient on both sides where it is asked to', async () => {
    // Nothing tells who is ill but the trace, by which a patient of whom there are other cases is known.
    const table = { ...casesOf({ patients: 60 }) };
    const select: TestTable['select'] = (request) =>
      `select * replace (0.0::double as size) from (${casesOf({ patients: 60 }).select(request)})`;
    const trainer = gbdt({ rounds: 30, hessianMin: 0.1 });
    const aucs: number[] = [];
    for (const groupBy of [undefined, 'patientId']) {
      const split = byFolds({ folds: 3, ...(groupBy === undefined ? {} : { groupBy }) });
      await open(appOf({ trainer, split }), { ...table, select });
      aucs.push((await train.finish('tumour')).metrics['aucRoc'] ?? 0);
      await train.close();
    }
    expect(aucs[0]).toBeGreaterThan(0.95);
    expect(aucs[1]).toBeLessThan(0.75);
  });

  it('goes on after a crash with the folds that were fitted, and comes to the same version', async () => {
    const app = appOf({ trainer: gbdt({ rounds: 20 }), split: byFolds({ folds: 4 }) });
    await open(app);
    const whole = await train.finish('tumour');
    const onnx = train.neighbours.versions[0]?.onnx;
    await train.tables.query('delete from train_step; delete from train_bundle;');
    await train.close();
    const threads = threadCompute({ tasks: trainTasks });
    const reached = Promise.withResolvers<void>();
    let fits = 0;
    await open(app, casesOf({}), {
      run(task, input, options) {
        if (task === 'fit') fits += 1;
        if (fits < 3) return threads.run(task, input, options);
        reached.resolve();
        return new Promise(() => undefined);
      },
    });
    const runId = await train.start('tumour');
    await reached.promise;
    await train.close();
    const done = async (step: string): Promise<number> => {
      const [row] = await train.tables.query<{ n: number }>(
        `select count(*)::int as n from train_step where step = '${step}' and run = '${runId}'`,
      );
      return row?.n ?? 0;
    };
    let again = 0;
    const notes = new Set<string>();
    await open(app, casesOf({}), {
      run(task, input, options) {
        if (task === 'fit') again += 1;
        return threads.run(task, input, options);
      },
    });
    expect([await done('fold'), await done('fit')]).toEqual([2, 0]);
    const run = await train.until(runId, ({ state, steps }) => {
      for (const { name, note } of steps) if (name === 'fit' && note !== null) notes.add(note);
      return ['done', 'failed'].includes(state);
    });
    expect(run).toMatchObject({ state: 'done', metrics: { aucRoc: whole.metrics['aucRoc'] } });
    expect(again).toBe(3);
    expect(train.neighbours.versions[0]?.onnx).toEqual(onnx);
    expect([...notes].at(-1)).toMatch(/^4 folds and all rows: gbdt, 400 rows, /);
  });

  it('is refused with counts where a class or its patients are too few', async () => {
    const options = { trainer: logistic() };
    await open(appOf({ ...options, split: byFolds({ folds: 10 }) }), casesOf({ isIll: 'n < 7' }));
    expect((await train.finish('tumour')).error).toBe(
      'UNPROCESSABLE: 400 rows, 7 of them positive, are too few for 10 folds: 10 stratified folds need as many rows of each label, 1 has 7',
    );
    await train.close();
    await open(
      appOf({ ...options, split: byFolds({ folds: 10, groupBy: 'patientId' }) }),
      casesOf({ isIll: 'patient < 4' }),
    );
    expect((await train.finish('tumour')).error).toBe(
      'UNPROCESSABLE: 400 rows of 80 entities, 20 of them positive, are too few for 10 folds: 10 stratified folds need as many groups with each label, 1 is in 4',
    );
    await train.close();
    await open(appOf({ ...options, split: byFolds() }), casesOf({ isIll: 'n < 0' }));
    expect((await train.finish('tumour')).error).toMatch(
      /^UNPROCESSABLE: 400 rows, 0 of them positive, are too few/,
    );
    await train.close();
    await open(
      appOf({ trainer: logistic({ calibrate: 'platt' }), split: byFolds({ folds: 2 }) }),
      casesOf({ isIll: 'n < 12' }),
    );
    expect((await train.finish('tumour')).error).toBe(
      'UNPROCESSABLE: The training rows are too few to calibrate: 6 of 200 are positive, and 10 of each class are needed',
    );
  });
});
