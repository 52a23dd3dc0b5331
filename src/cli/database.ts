import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type EmbeddedServer, removeEmbedded, startEmbedded } from '../adapters/postgres/index.ts';
import { type FailPoints, type Logger, noFailPoints } from '../runtime/index.ts';
import { isAlive } from './process-identity.ts';

/** How often the embedded server is looked after, in milliseconds: everything waits for its return. */
const LOOK_MS = 100;
/** Pause before another try when it could not be started again, in milliseconds. */
const RETRY_MS = 1_000;

/** The database of a process: one that somebody runs, or the embedded one. */
export interface Database {
  readonly url: string;
  /** Whether it is the embedded one of the data directory. */
  readonly isEmbedded: boolean;
  /** The process id of the embedded server once it is there. */
  readonly pid: number | undefined;
  /** Settles when it takes connections; rejects when it does not start. */
  readonly ready: Promise<void>;
  /** Stops the embedded server; somebody else's goes on. */
  stop(): Promise<void>;
}

/** A database that is given by its address. */
export function givenDatabase(url: string): Database {
  return { url, isEmbedded: false, pid: undefined, ready: Promise.resolve(), stop: () => Promise.resolve() };
}

/**
 * Starts or adopts the embedded server of a data directory and keeps it alive: if it is killed, it is started
 * again on the same address, and the connections of the services find their way back. Resolves when it takes connections.
 */
export async function embeddedDatabase(...parameters: Parameters<typeof startDatabase>): Promise<Database> {
  const database = await startDatabase(...parameters);
  await database.ready;
  return database;
}

/**
 * As {@link embeddedDatabase}, but resolves as soon as the address is known: a server that was here before recovers
 * while others already load what they need.
 */
export async function startDatabase(
  dataDir: string,
  logger: Logger,
  note: (line: string) => void,
  failPoints: FailPoints = noFailPoints,
): Promise<Database> {
  const directory = join(dataDir, 'postgres');
  const start = (starting?: (url: string) => void): Promise<EmbeddedServer> =>
    startEmbedded({ directory, log: note, failPoints, ...(starting === undefined ? {} : { starting }) });
  const address = Promise.withResolvers<string>();
  const first = start(address.resolve);
  first.then((server) => address.resolve(server.url), address.reject);
  let url = await address.promise;
  const ready = first.then(() => undefined);
  // Whoever needs it waits for it, perhaps later than it fails.
  ready.catch(() => undefined);
  const over = new AbortController();
  let current: EmbeddedServer | undefined;
  const watching = first.then(watch, () => undefined);
  async function watch(server: EmbeddedServer): Promise<void> {
    current = server;
    ({ url } = server);
    for (let pauseMs = LOOK_MS; ;) {
      await sleep(pauseMs, undefined, { signal: over.signal, ref: false }).catch(() => undefined);
      if (over.signal.aborted) return;
      pauseMs = LOOK_MS;
      // Also one that has ended and is not waited for: of a server that was adopted somebody else is the parent.
      if (await isAlive({ pid: current.pid, started: '' })) continue;
      logger.warn('The embedded PostgreSQL is gone; starting it again', { pid: current.pid });
      try {
        current = await start();
        if (current.url !== url)
          logger.error('The embedded PostgreSQL came back on another port; restart this process');
      } catch (error) {
        logger.error('The embedded PostgreSQL could not be started again', { error });
        pauseMs = RETRY_MS;
      }
    }
  }
  return {
    get url() {
      return url;
    },
    isEmbedded: true,
    get pid() {
      return current?.pid;
    },
    ready,
    async stop() {
      over.abort();
      await watching;
      await current?.stop();
    },
  };
}

/**
 * Removes everything that `tandem dev` keeps in a data directory, after stopping a database that was left
 * running.
 */
export async function removeData(dataDir: string, isEmbedded: boolean): Promise<void> {
  if (isEmbedded) await removeEmbedded(join(dataDir, 'postgres'));
  for (const folder of ['postgres', 'objects', 'objects-cache', 'warehouse', 'ingest']) {
    await rm(join(dataDir, folder), { recursive: true, force: true });
  }
}
