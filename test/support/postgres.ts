import { afterAll, beforeAll } from 'vitest';
import { openPostgres, type Postgres } from '../../src/adapters/postgres/index.ts';
import type { MigrationSet } from '../../src/runtime/index.ts';
import { type FreshDatabase, freshDatabase } from '../conformance/embedded-server.ts';

/** Connections of a test file. */
const CONNECTIONS = 6;

/** A database of the test file's own with these tables, open from the first to the last of its tests. */
export function usePostgres(...sets: readonly MigrationSet[]): () => Postgres {
  let database: FreshDatabase | undefined;
  let postgres: Postgres | undefined;
  beforeAll(async () => {
    database = await freshDatabase();
    postgres = await openPostgres(database.url, { applicationName: 'test', connectionsMax: CONNECTIONS });
    await postgres.migrate(sets);
  });
  afterAll(async () => {
    await postgres?.close();
    await database?.[Symbol.asyncDispose]();
  });
  return () => {
    if (postgres === undefined)
      throw new Error('The database is opened before the first test, not before that');
    return postgres;
  };
}
