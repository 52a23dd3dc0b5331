import type { MigrationSet } from '../../runtime/index.ts';

const QUARANTINE = `
create table ingest_quarantine (
  id uuid primary key,
  source text not null,
  at bigint not null,
  code text not null,
  field text,
  reason text not null,
  contract text not null,
  bytes bytea not null
);
create index ingest_quarantine_source on ingest_quarantine (source, id);
`;

export const ingestMigrations: MigrationSet = {
  owner: 'ingest',
  migrations: [{ number: 1, name: 'quarantine', sql: QUARANTINE }],
};
