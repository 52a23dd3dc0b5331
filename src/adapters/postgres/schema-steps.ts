import type { StepContract } from '../../contract/index.ts';
import type { MigrationSet } from '../../runtime/index.ts';
import { instanceMigrations } from './instances.ts';
import { jobsSchemaVersion } from './jobs.ts';
import { keyMigrations } from './keys.ts';
import { logMigrations } from './log/schema.ts';
import { describeMigrations } from './migrate.ts';

/** The steps of the adapter's own tables. */
export const ADAPTER_MIGRATIONS: readonly MigrationSet[] = [logMigrations, instanceMigrations, keyMigrations];

/** Every step of the schema that processes with `sets` need, by owner: what {@link Postgres.migrate} would land. */
export async function schemaSteps(sets: readonly MigrationSet[]): Promise<Record<string, StepContract[]>> {
  const version = await jobsSchemaVersion();
  return {
    ...describeMigrations([...ADAPTER_MIGRATIONS, ...sets]),
    // Its older versions refuse to work on the tables of a newer one.
    'pg-boss': Array.from({ length: version }, (_, index) => ({
      number: index + 1,
      name: `version ${String(index + 1)} of the job tables`,
      checksum: `pg-boss ${String(index + 1)}`,
      additive: false,
    })),
  };
}
