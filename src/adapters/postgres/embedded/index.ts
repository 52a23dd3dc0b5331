import { realpath, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { PlatformError } from '../../../contract/errors.ts';
import { type FailPoints, noFailPoints } from '../../../runtime/fail-points.ts';
import { refuseUnsafe } from '../safety.ts';
import { checkBinaries, locateBinaries, repairLinks } from './binaries.ts';
import { clusterPassword, ensureCluster, SUPERUSER } from './cluster.ts';
import { choosePlace, type Place } from './place.ts';
import {
  endLeftovers,
  isPostmasterOf,
  isSomePostgres,
  launch,
  type PidFile,
  readPidFile,
  stopPostmaster,
} from './postmaster.ts';
import { isRunning } from './processes.ts';
import { withStartLock } from './start-lock.ts';

/** The database inside the server that {@link EmbeddedServer.url} names. */
const DATABASE = 'tandem';
/**
 * How long a server that is found running may take to accept a connection (it may be recovering from a
 * crash).
 */
const ADOPTION_MS_MAX = 60_000;

export interface EmbeddedOptions {
  /** Folder for data, password and log; made when missing. */
  readonly directory: string;
  /** Told in words what takes long: creating the database. Default: nobody is told. */
  readonly log?: (line: string) => void;
  /** Points that a chaos run may have armed. Default: none is. */
  readonly failPoints?: FailPoints;
}

/** A PostgreSQL server on this machine's loopback. It outlives the process that started it unless stopped. */
export interface EmbeddedServer {
  /**
   * Address with user, password and database, for `openPostgres`. It stays the same over restarts when it
   * can.
   */
  readonly url: string;
  /** Whether the server was running already, started by another process that may be gone. */
  readonly adopted: boolean;
  /** Process id of the postmaster. */
  readonly pid: number;
  /**
   * Where everything really lies: `directory`, or below /var/lib/tandem if root was told a folder that is
   * private.
   */
  readonly home: string;
  /**
   * Ends all sessions, writes everything out and waits until the server is gone. Calling it twice is no
   * error.
   */
  stop(): Promise<void>;
}

/**
 * Starts the PostgreSQL server of a folder, or adopts the one that runs there. The first start creates the
 * database, which takes some seconds. Processes that call it at the same time end up with the same server.
 *
 * Rejects with UNAVAILABLE when there is no usable server binary or it does not start (the text says why),
 * CONFIGURATION when the folder holds something else, UNSAFE_DATABASE when the folder's configuration would
 * lose acknowledged writes.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedServer> {
  const found = await locateBinaries();
  const place = await choosePlace(options.directory, found);
  if (place.isLeft) {
    throw new PlatformError(
      'CONFIGURATION',
      `${options.directory} is new, but ${place.home} still has the database of a folder of that name that was removed without it. ` +
        `What it refers to is gone: remove ${place.home} too ('--fresh' of 'tandem dev' does), or take another folder.`,
    );
  }
  return withStartLock(place.home, async () => {
    const { failPoints = noFailPoints } = options;
    await failPoints.pass('embedded.start.before');
    const password = await clusterPassword(place.home);
    const running = await adopt(place, password);
    if (running !== undefined) return describe(place, running, password, true);
    await repairLinks(place.binaries);
    await checkBinaries(place.binaries);
    await ensureCluster(place, password, options.log ?? (() => undefined));
    const started = await launch(place);
    await failPoints.pass('embedded.start.launched');
    try {
      await prepare(started.port, password);
    } catch (error) {
      await stopPostmaster(started.pid, place.data);
      throw error;
    }
    return describe(place, started, password, false);
  });
}

/**
 * Stops the server of a folder if it runs, and removes its data, wherever they lie. A folder without a server is no
 * error.
 */
export async function removeEmbedded(directory: string): Promise<void> {
  // They may lie elsewhere, and outlive a folder that somebody removed.
  const place = await choosePlace(directory, await locateBinaries());
  await withStartLock(place.home, async () => {
    const running = await readPidFile(place.data);
    if (running !== undefined) await stopPostmaster(running.pid, place.data);
    await endLeftovers(place.data);
    await rm(place.data, { recursive: true, force: true, maxRetries: 3 });
  });
  for (const folder of new Set([place.home, directory])) await rm(folder, { recursive: true, force: true });
}

function describe(place: Place, server: PidFile, password: string, adopted: boolean): EmbeddedServer {
  return {
    url: address(server.port, password, DATABASE),
    adopted,
    pid: server.pid,
    home: place.home,
    stop: () => stopPostmaster(server.pid, place.data),
  };
}

function address(port: number, password: string, database: string): string {
  return `postgres://${SUPERUSER}:${password}@127.0.0.1:${port}/${database}`;
}

/**
 * Finds the live server of this directory. Clears away what a killed one left, so that a new one can start.
 */
async function adopt(place: Place, password: string): Promise<PidFile | undefined> {
  const deadline = performance.now() + ADOPTION_MS_MAX;
  for (;;) {
    const file = await readPidFile(place.data);
    if (file === undefined) return undefined;
    if (!(await isSomePostgres(file.pid))) {
      await endLeftovers(place.data);
      return undefined;
    }
    const answer = file.status === 'ready' ? await dataDirectory(file.port, password) : undefined;
    if (answer === place.data) {
      await prepare(file.port, password);
      return file;
    }
    if (answer !== undefined && (await isCopyOf(answer, file.pid))) {
      await endLeftovers(place.data);
      return undefined;
    }
    if (performance.now() > deadline) {
      throw new PlatformError(
        'UNAVAILABLE',
        `Process ${file.pid} seems to be the PostgreSQL of ${place.data} but takes no connections. Stop it and try again.`,
        { details: { pid: file.pid, ours: await isPostmasterOf(file.pid, place.data) } },
      );
    }
    // Starting, stopping or gone in a moment.
    if (await isRunning(file.pid)) await sleep(100);
  }
}

/** Whether our pid file came along when somebody copied the folder of a running server. */
async function isCopyOf(otherData: string, pid: number): Promise<boolean> {
  const exists = await stat(join(otherData, 'postmaster.pid')).catch(() => undefined);
  return exists !== undefined && (await readPidFile(otherData))?.pid === pid;
}

async function dataDirectory(port: number, password: string): Promise<string | undefined> {
  try {
    return await withClient(address(port, password, 'postgres'), async (client) => {
      const { rows } = await client.query<{ path: string }>(
        `select current_setting('data_directory') as path`,
      );
      return await realpath(rows[0]?.path ?? '').catch(() => rows[0]?.path);
    });
  } catch {
    return undefined;
  }
}

async function prepare(port: number, password: string): Promise<void> {
  await withClient(address(port, password, 'postgres'), async (client) => {
    await refuseUnsafe(client);
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
  });
}

async function withClient<TResult>(
  url: string,
  work: (client: pg.Client) => Promise<TResult>,
): Promise<TResult> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'tandem start',
    connectionTimeoutMillis: 5000,
  });
  // A connection that breaks while nothing is being asked must not end this process.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
