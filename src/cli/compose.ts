import { unwatchFile, watchFile } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { duckdbWarehouse } from '../adapters/duckdb/index.ts';
import { directoryObjects, openS3Objects } from '../adapters/objects/index.ts';
import { openPostgres, type Postgres, postgresOutsideTables } from '../adapters/postgres/index.ts';
import { processCommands } from '../adapters/process/index.ts';
import { giveWay, systemClock, systemRandom } from '../adapters/system/index.ts';
import { threadCompute, workerThreads } from '../adapters/threads/index.ts';
import { contractHash, PlatformError } from '../contract/index.ts';
import type { App } from '../define/index.ts';
import {
  type Config,
  createMetrics,
  type FailPoints,
  type Objects,
  type Ports,
  refuseOpenAddress,
  type RootLogger,
  type RunningServices,
  type ServiceDefinition,
  type SpanExporter,
  startServices,
  type TraceOptions,
} from '../runtime/index.ts';
import { featuresThreads } from '../services/features/index.ts';
import { type TrainOptions, trainTasks } from '../services/train/index.ts';
import { accessOf, TLS, tlsIdentity, tlsPeers } from './access-settings.ts';
import { contractOf } from './deploy/contract.ts';
import { HTTP, PROCESS, SCALING, serviceOptions, TRACE } from './settings.ts';
import { VERSION } from './version.ts';

/** How the process gives way that builds datasets and writes the archive: as training does, for which it mostly works. */
const BACKGROUND_NICENESS = 10;

/** What a process needs to run services. */
export interface Composition {
  readonly definitions: readonly ServiceDefinition[];
  readonly app: App;
  /** The folder of the app's file, where the files of its commands lie. */
  readonly appDirectory: string;
  readonly config: Config;
  readonly databaseUrl: string;
  readonly port: number;
  readonly peers: ReadonlyMap<ServiceDefinition['name'], URL>;
  readonly logger: RootLogger;
  readonly failPoints: FailPoints;
  /** Whether credentials are asked for whatever the configuration says. */
  readonly isAlwaysGuarded: boolean;
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
  const {
    build: id = VERSION,
    dataDir,
    databaseConnectionsMax,
    host,
    advertisedHost,
    replica,
  } = config.section(PROCESS);
  const [access, tls, peers] = await Promise.all([
    accessOf(config, composition.isAlwaysGuarded),
    tlsIdentity(config),
    tlsPeers(config.section(TLS)),
  ]);
  refuseOpenAddress(host, {
    isGuarded: access.isRequired,
    isPrivate: tls !== undefined || config.section(HTTP).insecureHttp,
  });
  const names = definitions.map(({ name }) => name);
  const postgres = await openPostgres(composition.databaseUrl, {
    applicationName: `tandem ${names.length === 1 ? String(names[0]) : 'dev'}`,
    connectionsMax: databaseConnectionsMax,
    failPoints: composition.failPoints,
    report: (error) => {
      const isUnsafe = PlatformError.is(error) && error.code === 'UNSAFE_DATABASE';
      logger.warn(
        isUnsafe ? 'The database is not as safe as it should be' : 'Work in the background failed',
        {
          error,
        },
      );
    },
  });
  const metrics = createMetrics();
  const opened = new AsyncDisposableStack();
  opened.defer(() => postgres.close());
  opened.defer(() => metrics.close());
  // When one process runs everything there is nobody to turn to while it stops.
  const limits = { ...config.section(HTTP), ...(names.length === 1 ? {} : { drainMs: 0 }) };
  let contract: Promise<string> | undefined;
  const build = { id, contract: () => (contract ??= contractOf(composition.app).then(contractHash)) };
  const trace = config.section(TRACE);
  try {
    const objects = await openObjects(dataDir, composition);
    opened.defer(() => objects.close());
    const outsideTables = postgresOutsideTables({
      environment: process.env,
      applicationName: 'tandem poll',
    });
    opened.defer(() => outsideTables[Symbol.asyncDispose]());
    const ports = await openPorts(postgres, { objects: objects.objects, outsideTables }, composition);
    const services = await startServices(definitions, ports, {
      app: composition.app,
      serviceOptions: serviceOptions(config),
      peers: composition.peers,
      migrate: (sets) => postgres.migrate(sets),
      http: { host, advertisedHost, port: composition.port, limits, tls, peers },
      access,
      version: VERSION,
      build,
      replica: replica ?? composition.replica,
      logger,
      metrics,
      trace,
      spanExporter: await openExporter(trace, names),
      scalingTargets: config.section(SCALING),
    });
    if (tls !== undefined) opened.defer(watchTls(config, services, logger));
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
  const objects = await openS3Objects({
    url: objectUrl,
    environment: process.env,
    cacheFolder,
    cacheBytesMax: objectCacheBytesMax,
  });
  return { objects, close: async () => objects[Symbol.asyncDispose]() };
}

/** The exporter's library is loaded only where traces are exported. */
async function openExporter(
  { endpoint, serviceName }: TraceOptions,
  names: readonly string[],
): Promise<SpanExporter | undefined> {
  if (endpoint === undefined) return undefined;
  const { otlpExporter } = await import('../adapters/otlp/index.ts');
  return otlpExporter({
    endpoint,
    serviceName: serviceName ?? (names.length === 1 ? `tandem-${String(names[0])}` : 'tandem'),
    version: VERSION,
    instance: `${hostname()}-${String(process.pid)}`,
  });
}

async function openPorts(
  postgres: Postgres,
  { objects, outsideTables }: Pick<Ports, 'objects' | 'outsideTables'>,
  { appDirectory, config, definitions, failPoints }: Composition,
): Promise<Ports> {
  const { tables, signals, log, groups, jobs, instances, keys } = postgres;
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
    keys,
    objects,
    warehouse: duckdbWarehouse({
      directory: warehouse,
      memoryBytesMax: config.section(PROCESS).warehouseMemoryBytesMax,
      spillBytesMax: config.section(PROCESS).warehouseSpillBytesMax,
      threads: config.section(PROCESS).warehouseThreads,
      // Where one process does everything, there is one of everything.
      ...(definitions.length === 1 ? { lower: (pid: number) => giveWay(pid, BACKGROUND_NICENESS) } : {}),
    }),
    outsideTables,
    compute: threadCompute({
      tasks: trainTasks,
      // As many as may run at a time: what waits for a thread could be with another process.
      threadsMax: (serviceOptions(config).get('train') as TrainOptions).trialConcurrency,
    }),
    threads: workerThreads(featuresThreads),
    commands: processCommands({
      directory: join(config.section(PROCESS).dataDir, 'commands'),
      appDirectory,
      niceness: BACKGROUND_NICENESS,
    }),
    failPoints,
  };
}

/** How often it is looked whether the certificate is another, in milliseconds. */
const TLS_LOOK_MS = 5_000;

/** Shows a renewed certificate as soon as its file is another; one that cannot be read leaves the old one. */
function watchTls(config: Config, services: RunningServices, logger: RootLogger): () => void {
  const { certFile = '' } = config.section(TLS);
  const renew = (): void => {
    tlsIdentity(config)
      .then((identity) => {
        if (identity === undefined) return;
        services.renewTls(identity);
        logger.info('The certificate was renewed');
      })
      .catch((error: unknown) => logger.error('The renewed certificate cannot be used', { error }));
  };
  watchFile(certFile, { interval: TLS_LOOK_MS, persistent: false }, renew);
  return () => unwatchFile(certFile, renew);
}
