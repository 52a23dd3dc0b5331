import { PlatformError } from '../../contract/errors.ts';

interface Queryable {
  query(sql: string): Promise<{ rows: { name: string; setting: string }[] }>;
}

/** The oldest server version whose SQL the adapter may use. */
const VERSION_MIN = 15;

/**
 * Refuses a server that would lose acknowledged writes (UNSAFE_DATABASE) or is too old (CONFIGURATION).
 * Nothing that Tandem promises about acknowledged events holds on such a server.
 */
export async function refuseUnsafe(client: Queryable): Promise<void> {
  const { rows } = await client.query(
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
