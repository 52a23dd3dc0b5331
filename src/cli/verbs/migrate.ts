import { openPostgres } from '../../adapters/postgres/index.ts';
import { PlatformError } from '../../contract/index.ts';
import { type Config, createLogger } from '../../runtime/index.ts';
import type { Output } from '../output.ts';
import { PROCESS, SERVICES } from '../settings.ts';

/** One connection migrates; the client needs a few more for what it does besides. */
const CONNECTIONS = 3;

/**
 * `tandem migrate`: brings the tables of every service up to date and ends. Any number of them may run at a time: they
 * wait for one another. Rejects with CONFIGURATION without a database of one's own: the embedded one is migrated by
 * whoever starts it.
 */
export async function migrate(config: Config, output: Output): Promise<void> {
  const begun = performance.now();
  const { databaseUrl, logLevel } = config.section(PROCESS);
  if (databaseUrl === undefined) {
    throw new PlatformError(
      'CONFIGURATION',
      "DATABASE_URL: expected the address of a PostgreSQL to migrate. 'tandem dev' and 'tandem up' migrate the embedded one.",
    );
  }
  const logger = createLogger({
    level: logLevel ?? 'info',
    format: process.stderr.isTTY ? 'text' : 'json',
  });
  const postgres = await openPostgres(databaseUrl, {
    applicationName: 'tandem migrate',
    connectionsMax: CONNECTIONS,
    report: (error) => logger.warn('Work in the background failed', { error }),
  });
  try {
    await postgres.migrate(SERVICES.map(({ migrations }) => migrations));
  } finally {
    await postgres.close();
  }
  const seconds = (performance.now() - begun) / 1_000;
  const services = SERVICES.map(({ name, migrations }) => ({
    service: name,
    steps: migrations.migrations.length,
  }));
  output.result(
    { services, seconds },
    () => `The tables of every service are up to date (${seconds.toFixed(1)} s)`,
  );
}
