import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { duckdbWarehouse } from '../adapters/duckdb/index.ts';
import { directoryObjects, s3Objects } from '../adapters/objects/index.ts';
import { openPostgres, type Postgres } from '../adapters/postgres/index.ts';
import { systemClock, systemRandom } from '../adapters/system/index.ts';
import { threadCompute } from '../adapters/threads/index.ts';
import { contractHash } from '../contract/index.ts';
import type { App } from '../define/index.ts';
import {
  type Config,
  createMetrics,
  type FailPoints,
  type Objects,
  type Ports,
  type RootLogger,
  type RunningServices,
  type ServiceDefinition,
  startServices,
} from '../runtime/index.ts';
import { trainTasks } from '../services/train/index.ts';
import { contractOf } from './deploy/contract.ts';
import { HTTP, PROCESS, SCALING, serviceOptions } from './settings.ts';
import { VERSION } from './version.ts';

/** What a process needs to run services. */
export interface Composition {
  readonly definitions: readonly ServiceDefinition[];
  readonly app: App;
  readonly config: Config;
  readonly databaseUrl: string;
  readonly port: number;
  readonly peers: ReadonlyMap<ServiceDefinition['name'], URL>;
  readonly logger: RootLogger;
  readonly failPoints: FailPoints;
  /** Name of the replica unless the configuration has one. */
  readonly replica?: string;
}

/** Services with their ports open. */
export interface RunningProcess {
  readonly services: RunningServices;
  /** Stops the services, then closes what they stood on. */
  stop(graceMs: number): Promise<void>;
}

/**
 * Opens the ports, brings the tables up to date and starts the services. Whatever was opened is closed when
 * that fails.
 */
export async function startProcess(composition: Composition): Promise<RunningProcess> {
  const { definitions, config, logger } = composition;
  const { build: id = VERSION, dataDir, databaseConnectionsMax, host, replica } = config.section(PROCESS);
  const names = definitions.map(({ name }) => name);
  const postgres = await openPostgres(composition.databaseUrl, {
    applicationName: `tandem ${names.length === 1 ? String(names[0]) : 'dev'}`,
    connectionsMax: databaseConnectionsMax,
    failPoints: composition.failPoints,
    report: (error) => logger.warn('Work in the background failed', { error }),
  });
  const metrics = createMetrics();
  const opened = new AsyncDisposableStack();
  opened.defer(() => postgres.close());
  opened.defer(() => metrics.close());
  // When one process runs everything there is nobody to turn to while it stops.
  const limits = { ...config.section(HTTP), ...(names.length === 1 ? {} : { drainMs: 0 }) };
  const build = { id, contract: contractHash(await contractOf(composition.app)) };
  try {
    const objects = await openObjects(dataDir, composition);
    opened.defer(() => objects.close());
    const ports = await openPorts(postgres, objects.objects, composition);
    const services = await startServices(definitions, ports, {
      app: composition.app,
      serviceOptions: serviceOptions(config),
      peers: composition.peers,
      migrate: (sets) => postgres.migrate(sets),
      http: { host, port: composition.port, limits },
      version: VERSION,
      build,
      replica: replica ?? composition.replica,
      logger,
      metrics,
      scalingTargets: config.section(SCALING),
    });
    return {
      services,
      async stop(graceMs) {
        await services.stop(graceMs);
        await opened.disposeAsync();
      },
    };
  } catch (error) {
    await opened.disposeAsync();
    throw error;
  }
}

/** A store of objects, with what ends it. */
interface OpenObjects {
  readonly objects: Objects;
  close(): Promise<void>;
}

/** Objects in the bucket of OBJECT_URL, else in a folder of the data directory. */
async function openObjects(dataDir: string, { config, failPoints }: Composition): Promise<OpenObjects> {
  const { objectUrl, objectCacheBytesMax } = config.section(PROCESS);
  if (objectUrl === undefined) {
    const folder = join(dataDir, 'objects');
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return { objects: directoryObjects(folder, failPoints), close: () => Promise.resolve() };
  }
  const cacheFolder = join(dataDir, 'objects-cache');
  await mkdir(cacheFolder, { recursive: true, mode: 0o700 });
  const objects = s3Objects({
    url: objectUrl,
    environment: process.env,
    cacheFolder,
    cacheBytesMax: objectCacheBytesMax,
  });
  return { objects, close: async () => objects[Symbol.asyncDispose]() };
}

async function openPorts(
  postgres: Postgres,
  objects: Objects,
  { config, failPoints }: Composition,
): Promise<Ports> {
  const { tables, signals, log, groups, jobs, instances } = postgres;
  const warehouse = join(config.section(PROCESS).dataDir, 'warehouse');
  await mkdir(warehouse, { recursive: true, mode: 0o700 });
  return {
    clock: systemClock(),
    random: systemRandom(),
    tables,
    signals,
    log,
    groups,
    jobs,
    instances,
    objects,
    warehouse: duckdbWarehouse({
      directory: warehouse,
      memoryBytesMax: config.section(PROCESS).warehouseMemoryBytesMax,
      threads: config.section(PROCESS).warehouseThreads,
    }),
    compute: threadCompute({ tasks: trainTasks }),
    failPoints,
  };
}
