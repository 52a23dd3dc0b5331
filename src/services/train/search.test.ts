import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type FreshDatabase, freshDatabase } from '../../../test/conformance/embedded-server.ts';
import { searchedApp } from '../../../test/support/searched-app.ts';
import { openTrain, type OpenTrain, type TrainSettings } from '../../../test/support/train-service.ts';
import { type ModelVersionInput, PlatformError, type Run } from '../../contract/index.ts';
import type { InnerTrainer } from '../../define/index.ts';
import type { Compute } from '../../runtime/index.ts';
import { DAY_MS } from './periods.ts';
import type { SearchOutcome } from './search-outcome.ts';
import { AS_OF, type TestTable } from './test-host.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 });

const PROCESS = new URL('../../../test/support/search-process.ts', import.meta.url);

const boosted = searchedApp.models.get('boosted');
if (boosted === undefined) throw new Error('The app of the tests has no model boosted');
/** Each customer has ten payments behind each other, of which the larger ones are more often fraud. */
const ranked: TestTable = {
  vector: boosted.vector,
  label: boosted.label,
  keys: ['customerId'],
  select: ({ from, to }) => `
    select 'p' || range as id, (${from} + range * ((${to} - ${from}) // 3000))::bigint as time,
      0::bigint as partition, range::bigint as position, 'customer ' || (range // 10) as "key_customerId",
      hash(range) % 100 > 80 - range % 10 as label, (range % 10)::double as amount, (hash(range + 1) % 70)::double as age
    from range(3000) order by time`,
};

/** A database and a store of objects: what the processes of one deployment share. */
interface Place {
  readonly database: FreshDatabase;
  readonly directory: string;
}

let root: string;
let places = 0;
let place: Place;
const opened = new Set<OpenTrain>();
const databases = new Set<FreshDatabase>();

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'search-'));
});

beforeEach(async () => {
  place = await newPlace();
});

afterEach(async () => {
  await Promise.all([...opened].map((host) => host.close()));
  opened.clear();
  for (const database of databases) await database[Symbol.asyncDispose]();
  databases.clear();
});

afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

async function newPlace(): Promise<Place> {
  const database = await freshDatabase();
  databases.add(database);
  const directory = join(root, String((places += 1)));
  await mkdir(directory);
  return { database, directory };
}

async function open(changes: Partial<TrainSettings> = {}, where: Place = place): Promise<OpenTrain> {
  const { directory, database } = where;
  const settings = { app: searchedApp, databaseUrl: database.url, directory, appDirectory: directory };
  const host = await openTrain({ ...settings, ...changes });
  opened.add(host);
  return host;
}

async function outcomeOf(host: OpenTrain, run: string): Promise<SearchOutcome> {
  return JSON.parse(await host.search(run, 'json')) as SearchOutcome;
}

const isOver = ({ state }: Run): boolean => ['done', 'failed', 'cancelled'].includes(state);

/** What a version is apart from the run that came to it. */
function contentOf({ neighbours }: OpenTrain): unknown {
  return neighbours.versions.map(({ lineage: { run: _run, ...lineage }, ...version }: ModelVersionInput) => ({
    ...version,
    lineage,
  }));
}

describe('a search', () => {
  it('judges trials on the training side alone, and the model is fitted with the best of them', async () => {
    const host = await open();
    const run = await host.finish('boosted');
    expect(run.error).toBeNull();
    expect(run.state).toBe('done');
    const { search } = run;
    expect(search).toMatchObject({
      state: 'done',
      progress: 1,
      metric: 'averagePrecision',
      trials: { planned: 8, done: 8, failed: 0 },
    });
    expect(search?.note).toMatch(/^8 trials, best averagePrecision 0\.\d{4} \(trial \d+: learningRate /);
    expect(run.steps.map(({ name }) => name)).toEqual([
      'dataset',
      'split',
      'fit',
      'evaluate',
      'gate',
      'bundle',
    ]);

    const outcome = await outcomeOf(host, run.id);
    // The newest fold judges by the end of the training period, and the dataset reaches as far back as the oldest.
    expect(outcome.folds.map(({ learnt, judged }) => [learnt, judged])).toEqual([
      ['2024-02-27 .. 2024-03-01', '2024-03-02 .. 2024-03-04'],
      ['2024-02-25 .. 2024-02-28', '2024-02-29 .. 2024-03-02'],
    ]);
    expect(outcome.folds.every(({ isUsed, test }) => isUsed && test.positives > 0)).toBe(true);
    const [request] = host.neighbours.built;
    const trainEnd = Date.parse('2024-03-04T00:00Z');
    expect(request?.from).toBe(trainEnd - (2 + 1 + 3 + 2) * DAY_MS);
    expect(request?.asOf).toBe(AS_OF);

    // The trainer's own values come first, and the best is no worse than they are.
    const { trials } = outcome.search;
    expect(trials[0]?.parameters).toEqual({ learningRate: 0.1, depthMax: 6 });
    const best = trials.reduce((a, b) => ((b.score ?? 0) > (a.score ?? 0) ? b : a));
    expect(search?.best).toEqual({ trial: best.number, score: best.score, parameters: best.parameters });
    const [version] = host.neighbours.versions;
    expect(version?.lineage.trainer).toEqual({
      ...(searchedApp.models.get('boosted')?.trainer as object),
      search: undefined,
      ...best.parameters,
    });
    expect(version?.lineage.search).toMatchObject({
      metric: 'averagePrecision',
      score: best.score,
      parameters: best.parameters,
      trials: { done: 8, failed: 0 },
    });
    expect(version?.lineage.codeVersion).toBe('steps-1.1.2.3.2.3-search-1.1.1');

    const table = await host.search(run.id, 'table');
    expect(table).toContain('| rank | trial | learningRate | depthMax | averagePrecision | spread |');
    expect(table.split('\n').filter((line) => /^\| \d+ \|/.test(line))).toHaveLength(8);
    expect(await host.search(run.id, 'picture')).toMatch(/^<svg [^]*<\/svg>\s*$/);
    const card = new TextDecoder().decode(await host.objects.get(version?.card?.markdown.digest ?? ''));
    expect(card).toContain('## How its options were chosen');
  });

  it('that repeats another, or has trials of it, does them not again', async () => {
    const host = await open();
    const first = await host.finish('boosted');
    const trials = host.tasks.filter((task) => task === 'trial').length;
    const second = await host.finish('boosted');
    expect(second).toMatchObject({ state: 'done', version: first.version, search: { state: 'reused' } });
    expect(second.search?.best).toEqual(first.search?.best);
    expect(host.tasks.filter((task) => task === 'trial')).toHaveLength(trials);
    expect(await host.search(second.id, 'json')).toBe(await host.search(first.id, 'json'));
    // What it found is lost: its trials are still known.
    await host.objects.remove(host.neighbours.versions[0]?.lineage.search?.outcome ?? '');
    const third = await host.finish('boosted');
    expect(third).toMatchObject({ state: 'done', version: first.version, search: { state: 'done' } });
    expect(host.tasks.filter((task) => task === 'trial')).toHaveLength(trials);
  });

  it('by Hyperband gives few trees to many trials and all to the best', async () => {
    const host = await open();
    const run = await host.finish('halved');
    expect(run).toMatchObject({ state: 'done', search: { state: 'done', metric: 'logLoss' } });
    const { search } = await outcomeOf(host, run.id);
    expect(new Set(search.trials.map(({ resource }) => resource))).toEqual(new Set([1, 3, 9]));
    expect(run.search?.best?.parameters).toHaveProperty('rounds', 9);
    // Less is better.
    const full = search.trials.filter(({ resource }) => resource === 9).map(({ score }) => score ?? 1);
    expect(run.search?.best?.score).toBe(Math.min(...full));
  });

  it('by a grid with stratified folds tries every combination', async () => {
    const host = await open();
    const run = await host.finish('penalised');
    expect(run).toMatchObject({ state: 'done', search: { trials: { planned: 4, done: 4, failed: 0 } } });
    const { search, folds, foldScores } = await outcomeOf(host, run.id);
    const tried = search.trials.map(({ parameters }) => `${parameters['c']} ${parameters['l1Ratio']}`);
    expect(new Set(tried)).toEqual(new Set(['0.001 0.1', '0.001 1', '1000 0.1', '1000 1']));
    expect(folds).toHaveLength(3);
    expect(foldScores[0]).toHaveLength(3);
    // The training rows are those of the model: the dataset need not reach further back.
    expect(host.neighbours.built[0]?.from).toBe(Date.parse('2024-03-01T00:00Z'));
    expect(host.neighbours.versions[0]?.lineage.trainer).toMatchObject(run.search?.best?.parameters ?? {});
  });

  it('of a model that is judged by folds deals the rows as that does, and its card says what that means', async () => {
    const host = await open();
    const run = await host.finish('crossed');
    expect(run.error).toBeNull();
    expect(run).toMatchObject({ state: 'done', search: { trials: { planned: 4, done: 4, failed: 0 } } });
    const { folds, isApart } = await outcomeOf(host, run.id);
    expect(folds).toHaveLength(5);
    expect(isApart).toBe(false);
    const [version] = host.neighbours.versions;
    expect(version?.lineage.trainer).toMatchObject({ calibrate: 'platt', ...run.search?.best?.parameters });
    const card = new TextDecoder().decode(await host.objects.get(version?.card?.markdown.digest ?? ''));
    expect(card).toContain('The metrics above are of those rows too');
  });

  it('of a model that ranks judges by its metrics, group by group', async () => {
    const host = await open({ table: ranked });
    const run = await host.finish('ranking');
    expect(run.error).toBeNull();
    expect(run.search).toMatchObject({ state: 'done', metric: 'ndcg10', trials: { done: 3, failed: 0 } });
    expect(host.neighbours.versions[0]?.lineage.trainer).toMatchObject({
      objective: 'rank',
      groupBy: 'customerId',
    });
  });

  it('leaves out folds that reach back to before there was anything', async () => {
    const host = await open();
    host.neighbours.historyFrom = Date.parse('2024-02-26T12:00Z');
    const run = await host.finish('far');
    expect(run).toMatchObject({ state: 'done', search: { state: 'done' } });
    const { folds, foldScores } = await outcomeOf(host, run.id);
    expect(folds.map(({ isUsed }) => isUsed)).toEqual([true, true, false]);
    expect(foldScores[0]).toHaveLength(2);
    expect(await host.search(run.id, 'table')).toContain('1 further folds have not both classes');
    host.neighbours.historyFrom = Date.parse('2024-03-03T00:00Z');
    const young = await host.finish('far');
    expect(young.state).toBe('failed');
    expect(young.error).toMatch(
      /^UNPROCESSABLE: A search needs a fold with positive and negative rows on both sides: 2024-02-/,
    );
  });

  it('ends when its time is over, with the best that there is', async () => {
    const host = await open();
    const run = await host.finish('hasty');
    expect(run).toMatchObject({ state: 'done', search: { state: 'done' } });
    const { ended, search } = await outcomeOf(host, run.id);
    expect(ended).toBe('time');
    expect(search.trials.length).toBeLessThan(1_000);
    expect(search.trials.every(({ status }) => status === 'done')).toBe(true);
  });
});

describe('processes', () => {
  it('share the trials of a search, and come to what one of them comes to', async () => {
    const alone = await open();
    const one = await alone.finish('boosted');
    expect(one.state).toBe('done');

    const other = await newPlace();
    const pair = [await open({}, other), await open({ options: { trialConcurrency: 2 } }, other)] as const;
    const run = await pair[0].finish('boosted');
    expect(run.state).toBe('done');
    const took = pair.map(({ tasks }) => tasks.filter((task) => task === 'trial').length);
    expect(Math.min(...took)).toBeGreaterThan(0);
    expect(run.search).toEqual({ ...one.search, seconds: expect.any(Number), note: expect.any(String) });
    const made = pair.flatMap((host) => contentOf(host));
    expect(made).toEqual(contentOf(alone));
    expect(await pair[1].search(run.id, 'json')).toBe(await alone.search(one.id, 'json'));
  });

  it('that are killed cost the trials that they worked on', async () => {
    const alone = await open();
    expect((await alone.finish('boosted')).state).toBe('done');

    const other = await newPlace();
    const watcher = await open({ concurrency: 0 }, other);
    const { database, directory } = other;
    const settings = JSON.stringify({ databaseUrl: database.url, directory, appDirectory: directory });
    const child = fork(PROCESS, [settings]);
    await once(child, 'message');
    const id = await watcher.start('boosted');
    await watcher.until(id, ({ search }) => (search?.trials.done ?? 0) >= 3);
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    const known = async (): Promise<Record<string, unknown>[]> =>
      watcher.tables.query(`select key, finished_at from train_step where step = 'trial' order by key`);
    const before = await known();
    expect(before.length).toBeGreaterThanOrEqual(3);
    // While nobody works on it, what it found can be read.
    expect((await watcher.search(id, 'table')).split('\n').length).toBeGreaterThan(4);

    const heir = await open({}, other);
    const run = await heir.until(id, isOver);
    expect(run).toMatchObject({ state: 'done', search: { trials: { done: 8, failed: 0 } } });
    expect(await known()).toEqual(expect.arrayContaining(before));
    expect(heir.tasks.filter((task) => task === 'trial')).toHaveLength(8 - before.length);
    expect(contentOf(heir)).toEqual(contentOf(alone));
  });

  it('end the trials of a run that is cancelled, whoever works on them', async () => {
    const hosts = [await open(), await open()] as const;
    const id = await hosts[0].start('endless');
    const isBusy = (): boolean => hosts.every(({ tasks }) => tasks.includes('trial'));
    await vi.waitUntil(isBusy, { timeout: 60_000, interval: 50 });
    await hosts[0].cancel(id);
    // The only thread of each is free.
    const next = await hosts[0].finish('boosted');
    expect(next.state).toBe('done');
    expect(await hosts[0].until(id, isOver)).toMatchObject({ state: 'cancelled', version: null });
    const left = await hosts[0].tables.query(`select key from train_step where step = 'trial' and run = $1`, [
      id,
    ]);
    expect(left).toEqual([]);
  });
});

/** Lets trials of some depths fail. */
function failing(codes: Readonly<Record<number, PlatformError>>): (compute: Compute) => Compute {
  return (compute) => ({
    run(task, input, options) {
      const { trainer } = input as { readonly trainer: InnerTrainer };
      const error = task === 'trial' && trainer.kind === 'gbdt' ? codes[trainer.depthMax] : undefined;
      return error === undefined ? compute.run(task, input, options) : Promise.reject(error);
    },
  });
}

describe('trials', () => {
  it('that fail are told, and the search goes on', async () => {
    const between = failing({
      6: new PlatformError('UNPROCESSABLE', 'Too deep'),
      5: new PlatformError('INTERNAL', 'It broke'),
    });
    const host = await open({ between });
    const run = await host.finish('boosted');
    expect(run.state).toBe('done');
    const failed = run.search?.trials.failed ?? 0;
    expect(failed).toBeGreaterThan(0);
    expect(run.search?.trials.done).toBe(8 - failed);
    const { search } = await outcomeOf(host, run.id);
    expect(search.trials[0]).toMatchObject({
      status: 'failed',
      score: null,
      error: 'UNPROCESSABLE: Too deep',
    });
    expect(run.search?.best?.parameters['depthMax']).toBeLessThan(5);
    expect(await host.search(run.id, 'table')).toContain('UNPROCESSABLE: Too deep');
    const notes = await host.tables.query<{ error: string }>('select error from train_trial_failure');
    expect(notes.every(({ error }) => error === 'INTERNAL: It broke')).toBe(true);
  });

  it('that all fail fail the run, with the first reason', async () => {
    const host = await open();
    const run = await host.finish('hopeless');
    expect(run.state).toBe('failed');
    expect(run.error).toMatch(
      /^UNPROCESSABLE: All 3 trials of the search failed, the first with: UNPROCESSABLE: /,
    );
    expect(run.error).toContain('early stopping judges, need both classes');
    expect(run.search).toMatchObject({ state: 'failed', trials: { done: 0, failed: 3 }, best: null });
    expect(await host.search(run.id, 'table')).toContain('early stopping');
  });

  it('that take too long fail', async () => {
    const host = await open({ options: { trialSecondsMax: 1 } });
    const run = await host.finish('endless');
    expect(run.state).toBe('failed');
    expect(run.error).toContain('It took longer than trialSecondsMax, 1 s');
  });

  it('have their outcome once, where what they need is away for a while', async () => {
    let refusals = 3;
    const between = (compute: Compute): Compute => ({
      run: (task, input, options) =>
        task === 'trial' && (refusals -= 1) >= 0
          ? Promise.reject(new PlatformError('UNAVAILABLE', 'away'))
          : compute.run(task, input, options),
    });
    const host = await open({ between });
    const run = await host.finish('penalised');
    expect(run).toMatchObject({ state: 'done', search: { trials: { done: 4, failed: 0 } } });
    expect(refusals).toBeLessThan(0);
  });
});

describe('calls', () => {
  it('for the search of a run without one, or that has not begun, are refused', async () => {
    const host = await open({ concurrency: 0 });
    await expect(host.search('other', 'table')).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
    const queued = await host.start('boosted');
    await expect(host.search(queued, 'table')).rejects.toMatchObject({ code: 'OBJECT_NOT_FOUND' });
    const plain = await host.start('linear');
    await expect(host.search(plain, 'json')).rejects.toThrow(/is not tuned/);
    expect(await host.until(plain, () => true)).not.toHaveProperty('search');
    expect((await host.until(queued, () => true)).search).toMatchObject({
      state: 'waiting',
      trials: { planned: 8, done: 0, failed: 0 },
    });
  });
});
