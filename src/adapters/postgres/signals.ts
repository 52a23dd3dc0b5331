import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { PlatformError } from '../../contract/errors.ts';
import type { Signals } from '../../runtime/ports/index.ts';
import { type ConnectionOptions, makeClient } from './connection.ts';
import { translated } from './failures.ts';

const RECONNECT_MS_MIN = 100;
/** Whoever is signalled polls as well, but more slowly than this. */
const RECONNECT_MS_MAX = 500;
/**
 * How often the connection is asked for a sign of life: a broken network can leave it silent without an
 * error.
 */
const PROBE_MS = 10_000;
const PROBE_TIMEOUT_MS = 5_000;

/** The port `Signals` with its own connection, which `close` ends. */
export interface PostgresSignals extends Signals {
  close(): Promise<void>;
}

/**
 * Signals by LISTEN and NOTIFY on one connection of its own, which is opened by the first subscription and
 * found again after a loss. It does not work through a connection pooler in transaction mode; subscribers
 * poll anyhow.
 */
export function postgresSignals(options: ConnectionOptions, pool: pg.Pool): PostgresSignals {
  const listener = new Listener({ ...options, applicationName: `${options.applicationName} signals` });
  return {
    async notify(channel, tx) {
      const name = channelName(channel);
      if (tx === undefined) await translated(() => pool.query(`select pg_notify($1, '')`, [name]));
      else await tx.query(`select pg_notify($1, '')`, [name]);
    },
    subscribe: (channel, wake) => listener.subscribe(channelName(channel), wake),
    close: () => listener.close(),
  };
}

function channelName(channel: string): string {
  if (/^[a-z0-9_]{1,50}$/.test(channel)) return `tandem_${channel}`;
  throw new PlatformError(
    'BAD_REQUEST',
    `A channel is 1 to 50 of a-z, 0-9 and _, it is ${JSON.stringify(channel)}`,
  );
}

class Listener {
  readonly #options: ConnectionOptions;
  readonly #wakes = new Map<string, Set<() => void>>();
  readonly #ending = new AbortController();
  #connection: Connection | undefined;
  #loop: Promise<void> | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  subscribe(name: string, wake: () => void): () => void {
    // A wrapper of its own for every call, so that one function may subscribe twice.
    const call = (): void => wake();
    const known = this.#wakes.get(name);
    if (known === undefined) {
      this.#wakes.set(name, new Set([call]));
      this.#send(`listen ${name}`);
    } else known.add(call);
    this.#loop ??= this.#run();
    return () => {
      const wakes = this.#wakes.get(name);
      wakes?.delete(call);
      if (wakes?.size !== 0) return;
      this.#wakes.delete(name);
      this.#send(`unlisten ${name}`);
    };
  }

  async close(): Promise<void> {
    this.#wakes.clear();
    this.#ending.abort();
    await this.#loop;
  }

  /** A statement that gets lost is made up for by the next connection, which listens to everything anew. */
  #send(sql: string): void {
    this.#connection?.query(sql).catch(() => undefined);
  }

  async #run(): Promise<void> {
    let pauseMs = RECONNECT_MS_MIN;
    let connectedBefore = false;
    while (!this.#ending.signal.aborted) {
      const client = makeClient(this.#options);
      const lost = new Promise<void>((resolve) => {
        client.once('error', () => resolve());
        client.once('end', () => resolve());
      });
      try {
        const connection = await this.#listen(client);
        pauseMs = RECONNECT_MS_MIN;
        // Whatever was signalled while nobody listened is lost, so everybody looks.
        if (connectedBefore) this.#wakeAll();
        connectedBefore = true;
        await this.#watch(connection, lost);
      } catch {
        // Not reachable yet: try again below.
      } finally {
        this.#connection = undefined;
        client.end().catch(() => undefined);
      }
      await sleep(pauseMs, undefined, { signal: this.#ending.signal }).catch(() => undefined);
      pauseMs = Math.min(pauseMs * 2, RECONNECT_MS_MAX);
    }
  }

  async #listen(client: pg.Client): Promise<Connection> {
    client.on('notification', ({ channel }) => {
      for (const wake of this.#wakes.get(channel) ?? []) wake();
    });
    await client.connect();
    const connection = new Connection(client);
    this.#connection = connection;
    await connection.query([...this.#wakes.keys()].map((name) => `listen ${name};`).join(' '));
    return connection;
  }

  async #watch(connection: Connection, lost: Promise<void>): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      const probe = sleep(PROBE_MS, true, { signal, ref: false }).catch(() => true);
      if ((await Promise.race([lost, probe])) !== true || signal.aborted) return;
      const timeout = sleep(PROBE_TIMEOUT_MS, false, { signal, ref: false }).catch(() => false);
      const alive = connection.query('select 1').then(
        () => true,
        () => false,
      );
      if (!(await Promise.race([alive, timeout, lost.then(() => false)]))) return;
    }
  }

  #wakeAll(): void {
    for (const wakes of this.#wakes.values()) for (const wake of wakes) wake();
  }
}

/** Does one statement at a time, in the order in which they were asked for. */
class Connection {
  readonly #client: pg.Client;
  #last: Promise<unknown> = Promise.resolve();

  constructor(client: pg.Client) {
    this.#client = client;
  }

  query(sql: string): Promise<unknown> {
    const next = this.#last.then(() => this.#client.query(sql));
    this.#last = next.catch(() => undefined);
    return next;
  }
}
