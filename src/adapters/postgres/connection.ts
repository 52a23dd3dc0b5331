import pg from 'pg';
import { PlatformError } from '../../contract/errors.ts';

/** Sizes and times of the connections to a server. */
const CONNECTION_LIMITS = {
  /** How long to wait for a connection, new or from the pool, in milliseconds. */
  connectMs: 10_000,
  /** After this much idle time a connection is closed, in milliseconds. */
  idleMs: 30_000,
  /** The server ends a statement that runs longer, in milliseconds. */
  statementMs: 300_000,
  /** The server ends a session that holds a transaction open without asking for anything, in milliseconds. */
  transactionIdleMs: 60_000,
} as const;

/** A pool of connections, or one connection, to make. */
export interface ConnectionOptions {
  readonly url: string;
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
    connectionString: options.url,
    application_name: options.applicationName,
    connectionTimeoutMillis: CONNECTION_LIMITS.connectMs,
    statement_timeout: CONNECTION_LIMITS.statementMs,
    // A little later than the server's own limit: it catches a server that no longer answers at all.
    query_timeout: CONNECTION_LIMITS.statementMs + 10_000,
    idle_in_transaction_session_timeout: CONNECTION_LIMITS.transactionIdleMs,
    keepAlive: true,
    types: types as unknown as pg.CustomTypesConfig,
  };
}

/** A pool; connections are opened when needed. Lost connections are replaced and never end the process. */
export function makePool(options: ConnectionOptions, connectionsMax: number): pg.Pool {
  const pool = new pg.Pool({
    ...clientConfig(options),
    max: connectionsMax,
    idleTimeoutMillis: CONNECTION_LIMITS.idleMs,
    allowExitOnIdle: true,
  });
  // An idle connection broke: the pool has dropped it, and whoever needs one next learns more.
  pool.on('error', ignore);
  // A connection that is lent out has no listener of the pool's; its borrower learns of the loss from its
  // statement.
  pool.on('connect', (client) => client.on('error', ignore));
  return pool;
}

/** One connection of its own, not yet connected. `overrides` change the defaults of a pool's connections. */
export function makeClient(options: ConnectionOptions, overrides: pg.ClientConfig = {}): pg.Client {
  const client = new pg.Client({ ...clientConfig(options), ...overrides });
  client.on('error', ignore);
  return client;
}

function ignore(): void {}

/** Checks the form of a database address. Throws CONFIGURATION; the text shows no password. */
export function checkAddress(url: string): void {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new PlatformError(
      'CONFIGURATION',
      'DATABASE_URL must look like postgres://user:password@host:5432/database',
    );
  }
  if (parsed.protocol !== 'postgres:' && parsed.protocol !== 'postgresql:') {
    throw new PlatformError(
      'CONFIGURATION',
      `DATABASE_URL must begin with postgres://, it begins with ${parsed.protocol}//`,
    );
  }
}
