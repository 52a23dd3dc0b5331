import { postgresInstances } from './instances.ts';
import { PlatformError } from '../../contract/errors.ts';
import { type FailPoints, noFailPoints } from '../../runtime/fail-points.ts';
import type {
  ConsumerGroups,
  EventLog,
  EventLogLimits,
  Instances,
  Jobs,
  Keys,
  MigrationSet,
  Signals,
  Tables,
} from '../../runtime/ports/index.ts';
import { type ConnectionOptions, makeClient, makePool } from './connection.ts';
import { translated } from './failures.ts';
import { postgresJobs, jobsSchema } from './jobs.ts';
import { postgresKeys } from './keys.ts';
import { postgresLog } from './log/index.ts';
import { ask } from './look.ts';
import { migrate } from './migrate.ts';
import { refuseUnsafe, refuseUnreplicated } from './safety.ts';
import { Servers } from './servers.ts';
import { ADAPTER_MIGRATIONS } from './schema-steps.ts';
import { postgresSignals } from './signals.ts';
import { postgresTables } from './tables.ts';

/** Fewest connections that tables, the log's writers and its readers can share. */
const CONNECTIONS_MIN = 3;
const WRITERS_MAX = 4;
const READERS_MAX = 4;
/** How long closing waits for connections to end in order; then they are cut, in milliseconds. */
const CLOSE_MS_MAX = 5_000;

export interface PostgresOptions {
  /** Shown by the server for every connection, for instance `tandem ingest`. */
  readonly applicationName: string;
  /**
   * Most connections of this process, at least 3, without the one that listens for signals. Of them up to 4
   * append to the log and up to 4 read it; the rest is for tables and jobs. They are opened when needed.
   * A transaction holds one of the rest until it ends, so what it calls should be given its `tx`; 5 or more
   * leave room for several at once.
   */
  readonly connectionsMax: number;
  /** Told of errors that no caller waits for (job maintenance). Default: nobody is told. */
  readonly report?: (error: unknown) => void;
  /** Other limits of the event log than its defaults. */
  readonly logLimits?: Partial<EventLogLimits>;
  /** Points that a chaos run may have armed. Default: none is. */
  readonly failPoints?: FailPoints;
}

/** Everything that one PostgreSQL server gives to a process. */
export interface Postgres extends AsyncDisposable {
  readonly tables: Tables;
  readonly signals: Signals;
  readonly log: EventLog;
  readonly groups: ConsumerGroups;
  readonly jobs: Jobs;
  readonly instances: Instances;
  readonly keys: Keys;
  /**
   * Brings the adapter's own tables and those of `sets` up to date. Any number of processes may call it at
   * once.
   */
  migrate(sets: readonly MigrationSet[]): Promise<void>;
  /** Rejects with UNAVAILABLE when the server does not answer. */
  ping(): Promise<void>;
  /** Ends workers, waits for appends under way and closes all connections. Calling it twice is no error. */
  close(): Promise<void>;
}

/**
 * Connects to the primary of the servers that `url` names and checks that it is one to trust. Rejects with UNAVAILABLE
 * when none can be reached, CONFIGURATION when the address, the credentials or the server version (15 or later) are
 * wrong, UNSAFE_DATABASE when `fsync`, `full_page_writes` or `synchronous_commit` is off, or when there are several
 * servers and the standbys are not synchronous.
 */
export async function openPostgres(url: string, options: PostgresOptions): Promise<Postgres> {
  if (!(options.connectionsMax >= CONNECTIONS_MIN)) {
    throw new PlatformError('CONFIGURATION', `connectionsMax must be at least ${CONNECTIONS_MIN}`);
  }
  const { applicationName, failPoints = noFailPoints } = options;
  const servers = new Servers(url, applicationName);
  const report = options.report ?? (() => undefined);
  const connection: ConnectionOptions = { servers, applicationName };
  await check(connection, report).catch((error: unknown) => {
    servers[Symbol.dispose]();
    throw error;
  });
  const writers = Math.max(1, Math.min(WRITERS_MAX, Math.floor(options.connectionsMax * 0.4)));
  const readers = Math.max(1, Math.min(READERS_MAX, Math.floor(options.connectionsMax * 0.2)));
  const pool = makePool(connection, options.connectionsMax - writers - readers);
  const signals = postgresSignals(connection, pool);
  const tables = postgresTables(pool);
  const jobs = postgresJobs(pool, tables, report);
  const writerPool = makePool({ servers, applicationName: `${applicationName} append` }, writers);
  const readerPool = makePool({ servers, applicationName: `${applicationName} read` }, readers);
  const eventLog = postgresLog({
    tables,
    writers: writerPool,
    writersMax: writers,
    readers: readerPool,
    limits: options.logLimits,
    failPoints,
  });
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    // A server that has gone silent answers no good-bye either.
    const cut = setTimeout(() => servers.abandonAll(), CLOSE_MS_MAX).unref();
    await jobs.close();
    await eventLog.close();
    await signals.close();
    await Promise.all([pool.end(), writerPool.end(), readerPool.end()]);
    clearTimeout(cut);
    servers[Symbol.dispose]();
  };
  return {
    tables,
    signals,
    log: eventLog.log,
    groups: eventLog.groups,
    jobs,
    instances: postgresInstances(tables, signals),
    keys: postgresKeys(tables, signals),
    migrate: (sets) => migrate(connection, [...ADAPTER_MIGRATIONS, ...sets], jobsSchema, failPoints),
    ping: () => translated(async () => void (await pool.query('select 1'))),
    close: () => (closing ??= close()),
    [Symbol.asyncDispose]: () => (closing ??= close()),
  };
}

async function check(connection: ConnectionOptions, report: (error: unknown) => void): Promise<void> {
  const { servers } = connection;
  await translated(async () => {
    const client = makeClient(connection);
    await client.connect();
    try {
      await refuseUnsafe(client);
      if (servers.hosts.length === 1) servers.note(await ask(client, servers.hosts[0]));
      else {
        const warning = await refuseUnreplicated(client);
        if (warning !== undefined) report(warning);
      }
    } finally {
      await client.end();
    }
  });
}
