import { PlatformError } from '../../contract/errors.ts';
import {
  type Keys,
  KEYS_MAX,
  KEYS_SIGNAL,
  type MigrationSet,
  type Signals,
  type StoredKey,
  type Tables,
} from '../../runtime/index.ts';

export const keyMigrations: MigrationSet = {
  owner: 'postgres.keys',
  migrations: [
    {
      number: 1,
      name: 'API keys by their hashes',
      sql: `
        create table tandem_key (
          id text primary key,
          name text not null,
          role text not null,
          hash text not null,
          created_at bigint not null,
          created_by text not null,
          expires_at bigint,
          revoked_at bigint
        );
        create table tandem_key_state (
          single boolean primary key default true check (single),
          revision bigint not null
        );
        insert into tandem_key_state (revision) values (0);`,
    },
  ],
};

/** Keys that have been invalid for this long are forgotten, in milliseconds: 90 days. */
const FORGOTTEN_AFTER_MS = 90 * 86_400_000;

const COLUMNS = `id, name, role, hash, created_at as "createdAt", created_by as "createdBy",
  expires_at as "expiresAt", revoked_at as "revokedAt"`;

type KeyRow = StoredKey & Record<string, unknown>;

/** The port `Keys` on PostgreSQL. The row of the revision is locked by every change, so that they come one by one. */
export function postgresKeys(tables: Tables, signals: Signals): Keys {
  const changed = async (tx: Tables): Promise<void> => {
    await tx.query('update tandem_key_state set revision = revision + 1');
    await signals.notify(KEYS_SIGNAL, tx);
  };
  return {
    add: (key) =>
      tables.transaction(async (tx) => {
        await changed(tx);
        await tx.query('delete from tandem_key where coalesce(revoked_at, expires_at) < $1', [
          key.createdAt - FORGOTTEN_AFTER_MS,
        ]);
        await refuseTooMany(tx, key.createdAt);
        const { id, name, role, hash, createdAt, createdBy, expiresAt, revokedAt } = key;
        const added = await tx.query(
          `insert into tandem_key (id, name, role, hash, created_at, created_by, expires_at, revoked_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing returning id`,
          [id, name, role, hash, createdAt, createdBy, expiresAt, revokedAt],
        );
        if (added.length === 0) throw new PlatformError('CONFLICT', `There is a key ${id} already`);
      }),
    revoke: (id, at) =>
      tables.transaction(async (tx) => {
        const [row] = await tx.query<KeyRow>(
          `update tandem_key set revoked_at = coalesce(revoked_at, $2) where id = $1 returning ${COLUMNS}`,
          [id, at],
        );
        if (row !== undefined) await changed(tx);
        return row;
      }),
    all: () => tables.query<KeyRow>(`select ${COLUMNS} from tandem_key order by created_at desc, id`),
    async revision() {
      const [row] = await tables.query<{ revision: number }>('select revision from tandem_key_state');
      return row?.revision ?? 0;
    },
  };
}

async function refuseTooMany(tx: Tables, now: number): Promise<void> {
  const [row] = await tx.query<{ count: number }>(
    'select count(*) as count from tandem_key where revoked_at is null and (expires_at is null or expires_at > $1)',
    [now],
  );
  if (Number(row?.count ?? 0) < KEYS_MAX) return;
  throw new PlatformError('UNPROCESSABLE', `${String(KEYS_MAX)} keys are valid already: revoke some first`, {
    details: { keysMax: KEYS_MAX },
  });
}
