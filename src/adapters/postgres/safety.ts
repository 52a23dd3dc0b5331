import { PlatformError } from '../../contract/errors.ts';

interface Queryable {
  query<TRow extends Record<string, unknown>>(sql: string): Promise<{ rows: TRow[] }>;
}

interface Setting extends Record<string, unknown> {
  readonly name: string;
  readonly setting: string;
}

interface Replication extends Record<string, unknown> {
  readonly names: string;
  readonly level: string;
  readonly standbys: number;
}

/** Levels of `synchronous_commit` that wait for a standby's disk; `remote_write` waits for its memory alone. */
const DURABLE_LEVELS: ReadonlySet<string> = new Set(['on', 'remote_apply']);

/** The oldest server version whose SQL the adapter may use. */
const VERSION_MIN = 15;

/**
 * Refuses a server that would lose acknowledged writes (UNSAFE_DATABASE) or is too old (CONFIGURATION).
 * Nothing that Tandem promises about acknowledged events holds on such a server.
 */
export async function refuseUnsafe(client: Queryable): Promise<void> {
  const { rows } = await client.query<Setting>(
    `select name, setting from pg_settings
     where name in ('fsync', 'full_page_writes', 'synchronous_commit', 'server_version_num')`,
  );
  const settings = new Map(rows.map((row) => [row.name, row.setting]));
  const version = Math.floor(Number(settings.get('server_version_num')) / 10_000);
  if (!(version >= VERSION_MIN)) {
    throw new PlatformError(
      'CONFIGURATION',
      `PostgreSQL ${VERSION_MIN} or later is needed, this server is ${version}`,
    );
  }
  for (const name of ['fsync', 'full_page_writes', 'synchronous_commit']) {
    if (settings.get(name) !== 'off') continue;
    throw new PlatformError(
      'UNSAFE_DATABASE',
      `The database server has ${name} = off and would lose acknowledged writes in a crash. Set it to on.`,
      { details: { setting: name } },
    );
  }
}

/**
 * Refuses several servers of which a fail-over could lose acknowledged writes (UNSAFE_DATABASE): standbys are connected
 * and none of them is synchronous. When no standby is connected the primary is alone for the moment: cluster managers
 * then take the setting back so that writes go on, and to refuse would turn a lost standby into an outage. Resolves with
 * a warning in that case.
 */
export async function refuseUnreplicated(client: Queryable): Promise<PlatformError | undefined> {
  const { rows } = await client.query<Replication>(
    `select current_setting('synchronous_standby_names') as names, current_setting('synchronous_commit') as level,
       (select count(*)::int from pg_stat_replication) as standbys`,
  );
  const [row] = rows;
  if (row === undefined) throw new Error('The server answered with no row');
  const { names, level, standbys } = row;
  const isSynchronous = names.trim() !== '' && DURABLE_LEVELS.has(level);
  if (isSynchronous) return undefined;
  const found = `synchronous_standby_names = '${names}', synchronous_commit = ${level}, ${standbys} standbys connected`;
  const details = { names, level, standbys };
  if (standbys > 0) {
    throw new PlatformError(
      'UNSAFE_DATABASE',
      `DATABASE_URL names several servers, and a fail-over would lose acknowledged writes: ${found}. Make a standby ` +
        'synchronous (Patroni: synchronous_mode: true), or name a single server.',
      { details },
    );
  }
  return new PlatformError(
    'UNSAFE_DATABASE',
    `The primary is alone: until a synchronous standby is back, losing its disk loses acknowledged writes (${found})`,
    { details },
  );
}
