import { createHash } from 'node:crypto';
import type pg from 'pg';
import { PlatformError } from '../../contract/errors.ts';
import type { FailPoints } from '../../runtime/fail-points.ts';
import type { Migration, MigrationSet } from '../../runtime/ports/index.ts';
import { type ConnectionOptions, makeClient } from './connection.ts';
import { translated } from './failures.ts';

/** Any number, the same in every version: whoever changes the schema holds this advisory lock. */
const LOCK = 7_239_401_182;

const CREATE_TABLE = `create table if not exists tandem_migration (
  owner text not null,
  number integer not null,
  name text not null,
  checksum text not null,
  applied_at timestamptz not null default now(),
  primary key (owner, number)
)`;

/** A step of the schema that is not ours: it says whether anything is to do, and does it. */
export interface ForeignSchema {
  isCurrent(client: pg.ClientBase): Promise<boolean>;
  install(client: pg.ClientBase): Promise<void>;
}

/**
 * Brings the schema to the state of `sets`: each step once, in its own transaction, in the order of the sets.
 * One advisory lock covers everything, so any number of processes may call it at the same time.
 *
 * Rejects with CONFIGURATION when a landed step was changed afterwards, and when the database holds steps
 * that this version does not know (it was migrated by a newer one).
 */
export async function migrate(
  options: ConnectionOptions,
  sets: readonly MigrationSet[],
  foreign: ForeignSchema,
  failPoints: FailPoints,
): Promise<void> {
  for (const set of sets) checkNumbers(set);
  // Waiting for the lock and building an index may take long; nothing else runs on this connection.
  const client = makeClient(options, { statement_timeout: 0, query_timeout: 0 });
  await translated(async () => {
    await client.connect();
    try {
      if ((await isLanded(client, sets)) && (await foreign.isCurrent(client))) return;
      await client.query('select pg_advisory_lock($1)', [LOCK]);
      await failPoints.pass('migrate.locked');
      await client.query(CREATE_TABLE);
      for (const set of sets) await land(client, set, failPoints);
      await failPoints.pass('migrate.landed');
      if (!(await foreign.isCurrent(client))) await foreign.install(client);
    } finally {
      // Ending the session frees the lock.
      await client.end();
    }
  });
}

function checkNumbers(set: MigrationSet): void {
  set.migrations.forEach(({ number }, index) => {
    if (number !== index + 1)
      throw new Error(`Migration ${index + 1} of ${set.owner} has the number ${number}`);
  });
}

async function isLanded(client: pg.ClientBase, sets: readonly MigrationSet[]): Promise<boolean> {
  const { rows } = await client.query<{ found: boolean }>(
    `select to_regclass('tandem_migration') is not null as found`,
  );
  if (rows[0]?.found !== true) return false;
  for (const set of sets) {
    if ((await landed(client, set)) < set.migrations.length) return false;
  }
  return true;
}

/** How many steps of the set are in the database, after checking that they are the ones that we know. */
async function landed(client: pg.ClientBase, set: MigrationSet): Promise<number> {
  const { rows } = await client.query<{ number: number; checksum: string }>(
    'select number, checksum from tandem_migration where owner = $1 order by number',
    [set.owner],
  );
  for (const { number, checksum: found } of rows) {
    const known = set.migrations[number - 1];
    if (known === undefined) {
      throw new PlatformError(
        'CONFIGURATION',
        `The database was migrated by a newer version: ${set.owner} has step ${number}, this version knows ` +
          `${set.migrations.length}. Update this process.`,
        { details: { owner: set.owner, found: number, known: set.migrations.length } },
      );
    }
    if (checksum(known) !== found) {
      throw new PlatformError(
        'CONFIGURATION',
        `Migration ${number} (${known.name}) of ${set.owner} differs from the one that this database has. ` +
          'A step that has landed must stay as it is: add a new one.',
        { details: { owner: set.owner, number } },
      );
    }
  }
  return rows.length;
}

async function land(client: pg.ClientBase, set: MigrationSet, failPoints: FailPoints): Promise<void> {
  const done = await landed(client, set);
  for (const migration of set.migrations.slice(done)) {
    await client.query('begin');
    try {
      await client.query(migration.sql);
      await failPoints.pass('migrate.changed');
      await client.query(
        'insert into tandem_migration (owner, number, name, checksum) values ($1, $2, $3, $4)',
        [set.owner, migration.number, migration.name, checksum(migration)],
      );
      await client.query('commit');
    } catch (error) {
      await client.query('rollback').catch(() => undefined);
      throw error;
    }
  }
}

function checksum(migration: Migration): string {
  return createHash('sha256').update(migration.sql.replaceAll('\r\n', '\n')).digest('hex');
}
