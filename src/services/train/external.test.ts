import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type FreshDatabase, freshDatabase } from '../../../test/conformance/embedded-server.ts';
import { type OpenTrain, openTrain } from '../../../test/support/train-service.ts';
import type { Run } from '../../contract/index.ts';
import type { CommandResult } from '../../runtime/index.ts';
import {
  type App,
  atLeast,
  defineApp,
  defineModel,
  external,
  type ExternalTrainerOptions,
  type Model,
  withTrainerFiles,
} from '../../define/index.ts';
import { trainerFileDigests } from '../../adapters/process/index.ts';
import { app } from './test-host.ts';

vi.setConfig({ testTimeout: 120_000 });

const FIXTURES = fileURLToPath(new URL('./fixtures', import.meta.url));
const SHARED = fileURLToPath(new URL('../../ml/index.ts', import.meta.url));

/** A model that the fixture trains; `what` is what it does besides. */
function outside(name: string, what: string, options: Partial<ExternalTrainerOptions> = {}): Model {
  const { vector, label, split } = app.models.get('linear') as Model;
  return defineModel(name, {
    vector,
    label,
    split,
    gates: [atLeast('aucRoc', 0.7)],
    trainer: external({
      command: [process.execPath, 'fit.mjs'],
      memoryMiB: 4_096,
      ...options,
      parameters: { shared: SHARED, what, ...options.parameters },
    }),
  });
}

let directory: string;
let database: FreshDatabase;
let train: OpenTrain;

function appOf(...models: Model[]): App {
  const decisions = Object.fromEntries(app.decisions);
  return withTrainerFiles(defineApp('shop', { decisions, models }), (trainer) =>
    trainerFileDigests(FIXTURES, trainer),
  );
}

function open(models: Model[], set: Partial<Parameters<typeof openTrain>[0]> = {}): Promise<OpenTrain> {
  return openTrain({
    app: appOf(...models),
    databaseUrl: database.url,
    directory,
    appDirectory: FIXTURES,
    ...set,
  });
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'external-'));
  database = await freshDatabase();
}, 60_000);
afterEach(() => train.close());
afterAll(async () => {
  await database[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

const fitOf = (run: Run): Run['steps'][number] | undefined => run.steps.find(({ name }) => name === 'fit');

describe('a model that a command trains', () => {
  it('is the one that the same training inside gives, with what the command says of it', async () => {
    train = await open([outside('outside', 'metrics')]);
    const inside = await train.finish('linear');
    const run = await train.finish('outside');
    expect(run.error).toBeNull();
    expect(run.state).toBe('done');
    const [first, second] = train.neighbours.versions;
    expect(second?.onnx).toEqual(first?.onnx);
    expect(second?.lineage.trainer).toMatchObject({
      kind: 'external',
      digests: { 'fit.mjs': expect.stringMatching(/^sha256:/) as string },
    });
    // What the command calls aucRoc stands for nothing that was measured.
    const { aucRoc } = inside.metrics;
    expect(run.metrics).toMatchObject({ aucRoc, 'external.aucRoc': 2, 'external.trainingLoss': 0.25 });
    expect(second?.metrics).toMatchObject({ aucRoc, 'external.aucRoc': 2 });
    expect(run.gates).toMatchObject([{ metric: 'aucRoc', value: aucRoc, passed: true }]);
    const note = fitOf(run)?.note ?? '';
    expect(note).toMatch(/^external, \d+ rows, .* bytes of ONNX \(logistic\), external\.aucRoc 2, /);
    const log = /log (sha256:[0-9a-f]{64})$/.exec(note)?.[1] ?? '';
    expect(new TextDecoder().decode(await train.objects.get(log))).toContain('"note":"rows read"');
    // Nothing is done twice.
    const again = await train.finish('outside');
    expect(fitOf(again)?.state).toBe('reused');
    expect(again.metrics).toEqual(run.metrics);
    expect(again.version).toBe(run.version);
  });

  it('has another hash when a parameter or the script is another', () => {
    const one = appOf(outside('outside', 'nothing')).models.get('outside');
    const same = appOf(outside('outside', 'nothing')).models.get('outside');
    const other = appOf(outside('outside', 'metrics')).models.get('outside');
    expect(same?.hash).toBe(one?.hash);
    expect(other?.hash).not.toBe(one?.hash);
    const changed = withTrainerFiles(appOf(outside('outside', 'nothing')), () => ({
      'fit.mjs': 'sha256:other',
    }));
    expect(changed.models.get('outside')?.hash).not.toBe(one?.hash);
    expect(changed.hash).not.toBe(appOf(outside('outside', 'nothing')).hash);
  });

  it('reads the rows from Parquet as from the plain files', async () => {
    const models = [outside('kept', 'loop', { timeout: '1m' })];
    const files = new Map<string, Uint8Array>();
    train = await open(models, {
      commands: {
        async run({ inputs }) {
          for (const input of inputs) {
            files.set(input.name, 'bytes' in input ? input.bytes : await train.readFile(input.path));
          }
          throw new TypeError('seen');
        },
      },
    });
    await train.finish('kept');
    const parquet = join(directory, 'seen.parquet');
    await writeFile(parquet, files.get('train.parquet') ?? new Uint8Array());
    const job = JSON.parse(new TextDecoder().decode(files.get('job.json'))) as Record<string, unknown>;
    expect(job).toMatchObject({ form: 1, model: 'kept', label: 'fraud', inputs: ['amount', 'age'], seed: 0 });
    const { columns, rows } = await train.query(
      `select amount::double as amount, age::double as age, label::double as label from '${parquet}'`,
    );
    expect(rows).toBe(job['rows']);
    const plain = files.get('train.f32') ?? new Uint8Array();
    const values = new Float32Array(plain.slice().buffer);
    const [amount, age, label] = ['amount', 'age', 'label'].map((name) => columns.get(name) as Float64Array);
    const seen = Float32Array.from({ length: rows * 2 }, (_, index) =>
      Number((index % 2 === 0 ? amount : age)?.[Math.floor(index / 2)]),
    );
    expect(seen).toEqual(values);
    expect(seen.some(Number.isNaN)).toBe(true);
    expect(Uint8Array.from(label ?? [])).toEqual(new Uint8Array(files.get('labels.u8') ?? []));
    const types = await train.query(
      `select column_name as name, column_type as type from (describe select * from '${parquet}')`,
    );
    expect(types.columns.get('type')).toEqual(['FLOAT', 'FLOAT', 'UTINYINT']);
    const nulls = await train.query(`select count(*)::double as n from '${parquet}' where age is null`);
    expect((nulls.columns.get('n') as Float64Array)[0]).toBeGreaterThan(0);
  });

  it.each([
    [
      'fail',
      /^UNPROCESSABLE: The command ended with exit code 3 .*\n[^]*ValueError: the third column is constant$/,
    ],
    ['nothing', /^UNPROCESSABLE: The command did not write model\.onnx /],
    ['renamed', /its input 1 is "height", that of the vector is "age"/],
    ['nameless', /it does not tell the names of its inputs/],
    ['wide', /it takes 1 inputs, the vector has 2/],
    [
      'foreign',
      /evaluates logistic regressions and ensembles of trees.*The operator Sigm0id is not supported/,
    ],
    ['broken', /it is no ONNX model/],
    ['words', /metrics\.json has no number from .* as 'trainingLoss'/],
  ])('fails its run when the command does: %s', async (what, error) => {
    train = await open([outside('outside', what)]);
    const run = await train.finish('outside');
    expect(run.state).toBe('failed');
    expect(run.error).toMatch(error);
    expect(run.error).toMatch(/What it printed is object sha256:[0-9a-f]{64}; the end of it:\n/);
    expect(train.neighbours.versions).toEqual([]);
  });

  it.each<[Partial<CommandResult>, RegExp]>([
    [
      { outputs: new Map([['model.onnx', { kind: 'too-large', bytes: 268_435_457 }]]) },
      /The command wrote 268435457 bytes to model\.onnx, more than 268435456/,
    ],
    [
      { outputs: new Map([['model.onnx', { kind: 'irregular' }]]) },
      /The command left something else than a file as model\.onnx/,
    ],
    [{ end: { kind: 'signal', signal: 'SIGSEGV' } }, /The command was ended by SIGSEGV/],
    [
      { end: { kind: 'limit', limit: 'memory', text: 'its processes took too much' } },
      /The command was ended: its processes took too much \(memory watched\)/,
    ],
  ])('fails its run when the command comes to %o', async (result, error) => {
    const log = new TextEncoder().encode('\u001b[31mred\u0000 words');
    const whole: CommandResult = {
      end: { kind: 'exit', code: 0 },
      log,
      outputs: new Map(),
      cpuSeconds: null,
      memoryLimit: 'memory watched',
      ...result,
    };
    train = await open([outside('outside', '')], { commands: { run: () => Promise.resolve(whole) } });
    const run = await train.finish('outside');
    expect(run.error).toMatch(error);
    // Nothing of it acts on a terminal.
    expect(run.error).toMatch(/the end of it:\n\[31mred {2}words$/);
  });

  it('fails its run when the command takes too long, or is not there', async () => {
    train = await open([
      outside('slow', 'loop', { timeout: '3s' }),
      outside('absent', '', { command: ['no-such-program'] }),
    ]);
    expect((await train.finish('slow')).error).toMatch(/it ran for longer than 3000 ms/);
    expect((await train.finish('absent')).error).toMatch(
      /^DEFINITION: There is no program 'no-such-program'/,
    );
  });

  it('is refused before anything is built where no commands are run', async () => {
    train = await open([outside('outside', 'nothing')], { commands: undefined });
    expect((await train.finish('outside')).error).toMatch(
      /^CONFIGURATION: Model 'outside' is trained by a command/,
    );
    expect(train.neighbours.built).toEqual([]);
  });

  it('shows the progress of its command, and a cancellation ends it', async () => {
    train = await open([outside('endless', 'loop')]);
    const id = await train.start('endless');
    const running = await train.until(id, (run) => (fitOf(run)?.progress ?? 0) > 0);
    expect(fitOf(running)).toMatchObject({ state: 'running', progress: 0.25, note: 'rows read' });
    await train.cancel(id);
    await train.noCommands();
    // The place is free for the next run.
    expect((await train.finish('linear')).state).toBe('done');
  });

  it('leaves no command when another attempt takes the run, or the service stops', async () => {
    train = await open([outside('endless', 'loop')]);
    const id = await train.start('endless');
    await train.until(id, (run) => (fitOf(run)?.progress ?? 0) > 0);
    await train.tables.query('update train_run set epoch = epoch + 1 where id = $1', [id]);
    await train.noCommands();
    await train.tables.query(`update train_run set state = 'cancelled' where id = $1`, [id]);
    const other = await train.start('endless');
    await train.until(other, (run) => (fitOf(run)?.progress ?? 0) > 0);
    await train.stop();
    await train.noCommands();
    await train.tables.query(`update train_run set state = 'cancelled' where id = $1`, [other]);
  });

  it('comes out the same when its process was killed with kill -9 in the middle', async () => {
    const marker = join(directory, 'go on');
    const models = (): Model[] => [outside('waits', 'wait', { parameters: { marker, c: 2 } })];
    train = await open(models(), { concurrency: 0 });
    const fixture = fileURLToPath(new URL('../../../test/support/train-process.ts', import.meta.url));
    const doomed = fork(
      fixture,
      [
        JSON.stringify({
          databaseUrl: database.url,
          directory,
          appDirectory: FIXTURES,
          shared: SHARED,
          marker,
        }),
      ],
      { execArgv: [] },
    );
    await once(doomed, 'message');
    const id = await train.start('waits');
    await train.until(id, (run) => (fitOf(run)?.progress ?? 0) > 0);
    doomed.kill('SIGKILL');
    await train.noCommands();
    await writeFile(marker, '');
    const heir = await open(models());
    const run = await heir.until(id, ({ state }) => state === 'done' || state === 'failed');
    expect(run.error).toBeNull();
    await heir.close();
    await train.close();
    // Nobody disturbed this one.
    train = await open([defineModelInside()]);
    await train.finish('inside');
    expect(heir.neighbours.versions[0]?.onnx).toEqual(train.neighbours.versions[0]?.onnx);
  });
});

/** What the fixture learns with `c` 2. */
function defineModelInside(): Model {
  const linear = app.models.get('linear') as Model;
  return defineModel('inside', { ...linear, trainer: { kind: 'logistic', c: 2 } });
}
