import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { duckdbWarehouse } from '../../src/adapters/duckdb/index.ts';
import { directoryObjects } from '../../src/adapters/objects/index.ts';
import { openPostgres } from '../../src/adapters/postgres/index.ts';
import { processCommands } from '../../src/adapters/process/index.ts';
import { systemClock, systemRandom } from '../../src/adapters/system/index.ts';
import { threadCompute, workerThreads } from '../../src/adapters/threads/index.ts';
import { routes, type Run } from '../../src/contract/index.ts';
import type { App } from '../../src/define/index.ts';
import {
  type Commands,
  type Compute,
  noFailPoints,
  type Objects,
  type ResultColumns,
  type Tables,
} from '../../src/runtime/index.ts';
import { NO_TRACE } from '../../src/runtime/trace/index.ts';
import { train, trainTasks } from '../../src/services/train/index.ts';
import { AS_OF, Neighbours, type TestTable } from '../../src/services/train/test-host.ts';

export interface TrainSettings {
  readonly app: App;
  readonly databaseUrl: string;
  /** For objects, scratch and the folders of commands. */
  readonly directory: string;
  readonly appDirectory: string;
  readonly concurrency?: number;
  /** Default: those of this machine. */
  readonly commands?: Commands | undefined;
  /** What datasets hold. Default: payments. */
  readonly table?: TestTable;
  /** Default: threads of this process. */
  readonly compute?: Compute;
}

/** The service train with real ports and stubs for its neighbours. */
export interface OpenTrain {
  readonly neighbours: Neighbours;
  readonly objects: Objects;
  readonly tables: Tables;
  /** Starts a run; gives its id. */
  start(model: string): Promise<string>;
  cancel(id: string): Promise<void>;
  until(id: string, met: (run: Run) => boolean): Promise<Run>;
  /** Starts a run and waits for its end. */
  finish(model: string): Promise<Run>;
  /** Waits until no command has a folder, of whichever process. */
  noCommands(): Promise<void>;
  readFile(path: string): Promise<Uint8Array>;
  query(sql: string): Promise<ResultColumns>;
  stop(): Promise<void>;
  close(): Promise<void>;
}

const POLL_MS = 25;

/** Opens it. */
export async function openTrain(settings: TrainSettings): Promise<OpenTrain> {
  const { app, databaseUrl, directory, appDirectory } = settings;
  const postgres = await openPostgres(databaseUrl, { applicationName: 'train test', connectionsMax: 10 });
  await postgres.migrate([train.migrations]);
  const objects = directoryObjects(join(directory, 'objects'));
  const warehouse = duckdbWarehouse({ directory: join(directory, 'scratch') });
  const folders = join(directory, 'commands');
  const commands =
    'commands' in settings
      ? settings.commands
      : processCommands({ directory: folders, appDirectory, graceMs: 500, niceness: 0 });
  const neighbours = new Neighbours(objects, warehouse);
  neighbours.table = settings.table;
  const { tables, signals, log, groups, jobs, keys } = postgres;
  const service = await train.start({
    app,
    options: train.options.parse({ concurrency: settings.concurrency ?? 1 }),
    failPoints: noFailPoints,
    instance: 'test',
    replica: 'test',
    peers: () => [],
    clock: systemClock(),
    random: systemRandom(),
    tables,
    signals,
    log,
    groups,
    jobs,
    keys,
    objects,
    warehouse,
    commands,
    reachable: () => new Set(),
    outsideTables: { read: () => Promise.reject(new Error('train reads no table of others')) },
    compute: settings.compute ?? threadCompute({ tasks: trainTasks }),
    threads: workerThreads(new Map()),
    call: neighbours.call,
    logger: { info: () => undefined, warn: () => undefined, error: () => undefined },
    metrics: {
      counter: () => ({ add: () => undefined }),
      gauge: () => ({ set: () => undefined }),
      histogram: () => ({ observe: () => undefined }),
    },
    trace: NO_TRACE,
  });
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= service.stop(0));
  let closed: Promise<void> | undefined;
  const invoke = (name: string, input: object): Promise<unknown> => {
    const entry = service.handlers.find(({ route }) => route.name === name);
    if (entry === undefined) throw new Error(`No handler for ${name}`);
    return entry.handle(
      { params: {}, query: {}, body: {}, ...input },
      {
        requestId: 'test',
        principal: { subject: 'test', roles: ['admin'] },
        deadlineMs: Number.POSITIVE_INFINITY,
        signal: new AbortController().signal,
      },
    );
  };
  const start = async (model: string): Promise<string> => {
    const input = { params: { model }, body: { asOf: AS_OF } };
    return routes.startRun.result.parse(await invoke('startRun', input)).id;
  };
  const until = async (id: string, met: (run: Run) => boolean): Promise<Run> => {
    for (;;) {
      const run = routes.getRun.result.parse(await invoke('getRun', { params: { id } }));
      if (met(run)) return run;
      await pause();
    }
  };
  return {
    neighbours,
    objects,
    tables,
    start,
    until,
    stop,
    cancel: async (id) => void (await invoke('cancelRun', { params: { id } })),
    finish: async (model) =>
      until(await start(model), ({ state }) => ['done', 'failed', 'cancelled'].includes(state)),
    async noCommands() {
      while ((await readdir(folders)).length > 0) await pause();
    },
    readFile,
    async query(sql) {
      await using session = await warehouse.session();
      return await session.query(sql);
    },
    close: () => (closed ??= stop().then(() => postgres.close())),
  };
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, POLL_MS));
}
