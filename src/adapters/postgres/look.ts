import pg from 'pg';
import { type Host, readAddress } from './address.ts';

/** What one look at a server found. */
export interface Sight {
  readonly host: Host;
  readonly state: 'primary' | 'standby' | 'silent';
  /** Rises with every promotion. 0 when the server does not say. */
  readonly timeline: number;
  /** Which data this is: the same on a primary and its standbys. Empty when the server does not say. */
  readonly system: string;
  /** Changes with every start of the server. */
  readonly startedAt: string;
  /** Why a server is silent. */
  readonly error?: unknown;
}

interface LookRow {
  readonly isReadOnly: boolean;
  readonly startedAt: string;
}

interface IdentityRow {
  readonly timeline: number;
  readonly system: string;
}

/** A standby refuses to write, and so does a primary whose operator fenced it off. */
const LOOK = `select pg_is_in_recovery() or current_setting('transaction_read_only') = 'on' as "isReadOnly",
  extract(epoch from pg_postmaster_start_time())::text as "startedAt"`;

/** Only a primary knows its timeline; some managed servers do not tell. */
const IDENTITY = `select ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int as timeline,
  (select system_identifier::text from pg_control_system()) as system`;

/** Looks at a server on a connection of its own, for `timeoutMs` at most. Never rejects. */
export async function look(host: Host, applicationName: string, timeoutMs: number): Promise<Sight> {
  const client = new pg.Client({
    connectionString: host.url,
    application_name: `${applicationName} look`,
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs,
  });
  client.on('error', () => undefined);
  // A server that takes the connection and then says nothing must not make a look longer.
  const late = setTimeout(() => client.connection.stream.destroy(), timeoutMs);
  try {
    await client.connect();
    const sight = await ask(client, host);
    client.end().catch(() => undefined);
    return sight;
  } catch (error) {
    client.connection.stream.destroy();
    return { host, state: 'silent', timeline: 0, system: '', startedAt: '', error };
  } finally {
    clearTimeout(late);
  }
}

/** Asks on a connection that is there. */
export async function ask(client: pg.ClientBase, host: Host): Promise<Sight> {
  const { rows } = await client.query<LookRow>(LOOK);
  const [row] = rows;
  if (row === undefined) throw new Error('The server answered a look with no row');
  const { startedAt } = row;
  if (row.isReadOnly) return { host, state: 'standby', timeline: 0, system: '', startedAt };
  const identity = await client.query<IdentityRow>(IDENTITY).then(
    (answer) => answer.rows[0],
    () => undefined,
  );
  return {
    host,
    state: 'primary',
    timeline: identity?.timeline ?? 0,
    system: identity?.system ?? '',
    startedAt,
  };
}

/** How long `lookAtServers` waits for a server, in milliseconds. */
const LOOK_MS_MAX = 5_000;

/** Looks at every server of a database address. Throws CONFIGURATION when it is none. */
export function lookAtServers(url: string, applicationName: string): Promise<Sight[]> {
  return Promise.all(readAddress(url).map((host) => look(host, applicationName, LOOK_MS_MAX)));
}
