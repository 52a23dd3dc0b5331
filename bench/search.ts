import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { duckdbWarehouse } from '../src/adapters/duckdb/index.ts';
import { directoryObjects } from '../src/adapters/objects/index.ts';
import type { Run } from '../src/contract/index.ts';
import { freshDatabase } from '../test/conformance/embedded-server.ts';
import { openTrain, type OpenTrain } from '../test/support/train-service.ts';
import type { Measurement } from './run.ts';
import { hasData } from './support/reference/data-folder.ts';
import { FEATURES_FILE, readFraud, TRANSACTIONS_FILE } from './support/reference/fraud-data.ts';
import { fraudApp } from './support/search/fraud-app.ts';
import { FraudNeighbours } from './support/search/fraud-neighbours.ts';

/** The test week is then that of the handbook, 2018-08-08 .. 08-14. */
const AS_OF = Date.parse('2018-08-22T00:00Z');

const GOALS: Measurement['goals'] = [
  { metric: 'searchedAveragePrecision', goal: 0.67 },
  { metric: 'searchedCardPrecision', goal: 0.295 },
  { metric: 'sameOutcomeOfTwoProcesses', goal: 1 },
];

/**
 * A search of 40 trials as a run of the product on the data of the fraud detection handbook, with a real database: how good the model is in the
 * test week, which the search does not see, beside trees with defaults; and whether two services of train that share the trials come to the
 * same bytes. CPU seconds are those of this process, in which all threads run; the database is not in them.
 */
export async function measure(): Promise<Measurement> {
  if (!hasData('search', [TRANSACTIONS_FILE, FEATURES_FILE])) return { metrics: {}, goals: [] };
  const { fraud } = readFraud();
  const model = fraudApp.models.get('searched');
  if (model === undefined) throw new Error('There is no model searched');
  const directory = await mkdtemp(join(tmpdir(), 'tandem-bench-'));
  try {
    await using database = await freshDatabase();
    await using otherDatabase = await freshDatabase();
    const warehouse = duckdbWarehouse({ directory: join(directory, 'warehouse') });
    const place = async (databaseUrl: string, name: string): Promise<Place> => {
      const folder = join(directory, name);
      await mkdir(folder);
      const objects = directoryObjects(join(folder, 'objects'));
      return { databaseUrl, folder, neighbours: new FraudNeighbours(fraud, model, { objects, warehouse }) };
    };
    const one = await place(database.url, 'one');
    const two = await place(otherDatabase.url, 'two');
    await using alone = await serviceAt(one);
    const plain = await finish(alone, 'plain');
    const cpuBefore = process.cpuUsage();
    const searched = await finish(alone, 'searched');
    const { user, system } = process.cpuUsage(cpuBefore);
    const cpuSeconds = (user + system) / 1e6;
    console.error(searched.search?.note);
    await using first = await serviceAt(two);
    await using second = await serviceAt(two);
    await finish(first, 'searched');
    const shared = [first, second].map(({ tasks }) => tasks.filter((task) => task === 'trial').length);
    console.error(`Two processes took ${shared.join(' and ')} trials`);
    const digest = (from: Place): string | undefined => from.neighbours.versions.at(-1)?.onnx.digest;
    const trials = (searched.search?.trials.done ?? 0) + (searched.search?.trials.failed ?? 0);
    return {
      metrics: {
        plainAveragePrecision: plain.metrics['averagePrecision'] ?? 0,
        plainCardPrecision: plain.metrics['cardPrecision100'] ?? 0,
        validationAveragePrecision: searched.search?.best?.score ?? 0,
        searchedAuc: searched.metrics['aucRoc'] ?? 0,
        searchedAveragePrecision: searched.metrics['averagePrecision'] ?? 0,
        searchedCardPrecision: searched.metrics['cardPrecision100'] ?? 0,
        trials,
        runCpu_s: cpuSeconds,
        trialCpu_s: cpuSeconds / trials,
        sameOutcomeOfTwoProcesses: digest(one) === digest(two) && Math.min(...shared) > 0 ? 1 : 0,
      },
      goals: GOALS,
    };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** What the processes of one deployment share. */
interface Place {
  readonly databaseUrl: string;
  readonly folder: string;
  readonly neighbours: FraudNeighbours;
}

async function serviceAt({ databaseUrl, folder, neighbours }: Place): Promise<OpenTrain & AsyncDisposable> {
  const settings = { app: fraudApp, databaseUrl, directory: folder, appDirectory: folder };
  const opened = await openTrain({ ...settings, call: neighbours.call, asOf: AS_OF });
  return { ...opened, [Symbol.asyncDispose]: () => opened.close() };
}

async function finish(service: OpenTrain, model: string): Promise<Run> {
  const run = await service.finish(model);
  if (run.state === 'done') return run;
  throw new Error(`The run of ${model} is ${run.state}: ${run.error ?? ''}`);
}
