import { createHash } from 'node:crypto';
import type pg from 'pg';
import { breakingWords, PlatformError, type StepContract } from '../../contract/index.ts';
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

/** Databases of the first version lack the column. */
const ADD_ADDITIVE = `alter table tandem_migration add column if not exists additive boolean not null default false`;

/** Reads the column whether it is there or not. */
const LANDED = `
select number, name, checksum, coalesce((to_jsonb(m) ->> 'additive')::boolean, false) as additive
from tandem_migration m where owner = $1 order by number`;

/** A step of the schema that is not ours: it says whether anything is to do, and does it. */
export interface ForeignSchema {
  isCurrent(client: pg.ClientBase): Promise<boolean>;
  install(client: pg.ClientBase): Promise<void>;
}

/**
 * Brings the schema to the state of `sets`: each step once, in its own transaction, in the order of the sets.
 * One advisory lock covers everything, so any number of processes may call it at the same time.
 *
 * A newer version may have been here: its steps that are additive are no hindrance, so that versions run side
 * by side and the older one can start again. Rejects with CONFIGURATION when the database holds other steps that
 * this version does not know, and when a landed step was changed afterwards.
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
      if (!(await hasAdditive(client))) await client.query(ADD_ADDITIVE);
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

/** Asked first: altering a table, even to no effect, waits for everybody who reads it. */
async function hasAdditive(client: pg.ClientBase): Promise<boolean> {
  const { rowCount } = await client.query(
    `select from pg_attribute where attrelid = 'tandem_migration'::regclass and attname = 'additive'`,
  );
  return rowCount === 1;
}

interface LandedStep {
  readonly number: number;
  readonly name: string;
  readonly checksum: string;
  readonly additive: boolean;
}

/** How many steps of the set are in the database, after checking that they are the ones that we know. */
async function landed(client: pg.ClientBase, set: MigrationSet): Promise<number> {
  const { rows } = await client.query<LandedStep>(LANDED, [set.owner]);
  for (const { number, name, checksum: found, additive } of rows) {
    const known = set.migrations[number - 1];
    if (known === undefined && additive) continue;
    if (known === undefined) {
      throw new PlatformError(
        'CONFIGURATION',
        `The database was migrated by a newer version: ${set.owner} has step ${number} (${name}), which is not ` +
          `additive, and this version knows ${set.migrations.length}. Update this process.`,
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
        'insert into tandem_migration (owner, number, name, checksum, additive) values ($1, $2, $3, $4, $5)',
        [set.owner, migration.number, migration.name, checksum(migration), isAdditive(migration)],
      );
      await client.query('commit');
    } catch (error) {
      await client.query('rollback').catch(() => undefined);
      throw error;
    }
  }
}

/** The steps of sets as a build's contract has them, by owner. */
export function describeMigrations(sets: readonly MigrationSet[]): Record<string, StepContract[]> {
  return Object.fromEntries(
    sets.map(({ owner, migrations }) => [
      owner,
      migrations.map((migration) => ({
        number: migration.number,
        name: migration.name,
        checksum: checksum(migration),
        additive: isAdditive(migration),
      })),
    ]),
  );
}

/** A step that says so and whose words do not speak against it. */
function isAdditive({ additive, sql }: Migration): boolean {
  return additive === true && breakingWords(sql) === undefined;
}

function checksum(migration: Migration): string {
  return createHash('sha256').update(migration.sql.replaceAll('\r\n', '\n')).digest('hex');
}
