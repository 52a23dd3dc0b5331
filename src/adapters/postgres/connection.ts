import pg from 'pg';
import { PrimaryClient } from './primary-client.ts';
import type { Servers } from './servers.ts';

/** Sizes and times of the connections to a server. */
const CONNECTION_LIMITS = {
  /** How long to wait for a connection, new or from the pool, in milliseconds. */
  connectMs: 10_000,
  /** After this much idle time a connection is closed, in milliseconds. */
  idleMs: 30_000,
  /** The server ends a statement that runs longer, in milliseconds. */
  statementMs: 300_000,
  /**
   * The server ends a session that holds a transaction open without asking for anything, in milliseconds: so long others
   * wait for the locks of a process that stands still.
   */
  transactionIdleMs: 15_000,
  /**
   * After this much silence the network is asked whether the server is still there, in milliseconds; ten questions a
   * second apart without an answer end the connection.
   */
  keepAliveMs: 10_000,
} as const;

/** A pool of connections, or one connection, to make. */
export interface ConnectionOptions {
  readonly servers: Servers;
  readonly applicationName: string;
}

const INT8 = 20;
const INT8_ARRAY = 1016;

/**
 * int8 comes as a number while it is a safe integer, else as a bigint; everything else as the driver has it.
 */
const types = {
  getTypeParser(oid: number, format?: string): (text: string) => unknown {
    if (oid === INT8) return parseInteger;
    if (oid === INT8_ARRAY) return parseIntegers;
    return pg.types.getTypeParser(oid, (format ?? 'text') as 'text') as (text: string) => unknown;
  },
};

function parseInteger(text: string): number | bigint {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text);
}

/** A flat array such as `{1,2,NULL}`. */
function parseIntegers(text: string): (number | bigint | null)[] {
  if (text === '{}') return [];
  return text
    .slice(1, -1)
    .split(',')
    .map((item) => (item === 'NULL' ? null : parseInteger(item)));
}

function clientConfig(options: ConnectionOptions): pg.ClientConfig {
  return {
    connectionString: options.servers.hosts[0].url,
    application_name: options.applicationName,
    connectionTimeoutMillis: CONNECTION_LIMITS.connectMs,
    statement_timeout: CONNECTION_LIMITS.statementMs,
    // A little later than the server's own limit: it catches a server that no longer answers at all.
    query_timeout: CONNECTION_LIMITS.statementMs + 10_000,
    idle_in_transaction_session_timeout: CONNECTION_LIMITS.transactionIdleMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: CONNECTION_LIMITS.keepAliveMs,
    types: types as unknown as pg.CustomTypesConfig,
  };
}

/**
 * A pool; connections are opened to the primary when needed. Lost connections are replaced and never end the process.
 */
export function makePool(options: ConnectionOptions, connectionsMax: number): pg.Pool {
  const { servers } = options;
  class Client extends PrimaryClient {
    constructor(config: pg.ClientConfig = {}) {
      super(servers, config);
    }
  }
  const pool = new pg.Pool({
    ...clientConfig(options),
    Client,
    max: connectionsMax,
    idleTimeoutMillis: CONNECTION_LIMITS.idleMs,
    allowExitOnIdle: true,
  });
  // An idle connection broke: the pool has dropped it, and whoever needs one next learns more.
  pool.on('error', ignore);
  // A connection that is lent out has no listener of the pool's; its borrower learns of the loss from its
  // statement.
  pool.on('connect', (client) => client.on('error', ignore));
  pool.on('acquire', (client) => {
    if (client instanceof Client) servers.lent(client);
  });
  pool.on('release', (_error, client) => {
    if (client instanceof Client) servers.returned(client);
  });
  return pool;
}

/**
 * One connection of its own to the primary, not yet connected. `overrides` change the defaults of a pool's connections.
 */
export function makeClient(options: ConnectionOptions, overrides: pg.ClientConfig = {}): PrimaryClient {
  const client = new PrimaryClient(options.servers, { ...clientConfig(options), ...overrides });
  client.on('error', ignore);
  return client;
}

function ignore(): void {}
