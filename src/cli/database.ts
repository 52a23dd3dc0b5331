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
  /** The process id of the embedded server. */
  readonly pid: number | undefined;
  /** Stops the embedded server; somebody else's goes on. */
  stop(): Promise<void>;
}

/** A database that is given by its address. */
export function givenDatabase(url: string): Database {
  return { url, pid: undefined, stop: () => Promise.resolve() };
}

/**
 * Starts or adopts the embedded server of a data directory and keeps it alive: if it is killed, it is started
 * again on the same address, and the connections of the services find their way back.
 */
export async function embeddedDatabase(
  dataDir: string,
  logger: Logger,
  note: (line: string) => void,
  failPoints: FailPoints = noFailPoints,
): Promise<Database> {
  const directory = join(dataDir, 'postgres');
  const start = (): Promise<EmbeddedServer> => startEmbedded({ directory, log: note, failPoints });
  let server = await start();
  const { url } = server;
  const over = new AbortController();
  const watching = watch();
  async function watch(): Promise<void> {
    for (let pauseMs = LOOK_MS; ;) {
      await sleep(pauseMs, undefined, { signal: over.signal, ref: false }).catch(() => undefined);
      if (over.signal.aborted) return;
      pauseMs = LOOK_MS;
      // Also one that has ended and is not waited for: of a server that was adopted somebody else is the parent.
      if (await isAlive({ pid: server.pid, started: '' })) continue;
      logger.warn('The embedded PostgreSQL is gone; starting it again', { pid: server.pid });
      try {
        server = await start();
        if (server.url !== url)
          logger.error('The embedded PostgreSQL came back on another port; restart this process');
      } catch (error) {
        logger.error('The embedded PostgreSQL could not be started again', { error });
        pauseMs = RETRY_MS;
      }
    }
  }
  return {
    url,
    get pid() {
      return server.pid;
    },
    async stop() {
      over.abort();
      await watching;
      await server.stop();
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
