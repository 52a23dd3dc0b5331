import type { MigrationSet } from '../../runtime/index.ts';

/** Tables of the features service. */
export const migrations: MigrationSet = {
  owner: 'features',
  migrations: [
    {
      number: 1,
      name: 'snapshots, archive, datasets',
      sql: `
create table features_snapshot (
  name text primary key,
  digest text not null,
  bytes bigint not null,
  positions jsonb not null,
  saved_at timestamptz not null default now()
);
create table features_archive_file (
  digest text not null,
  source text not null,
  bytes bigint not null,
  rows bigint not null,
  written_at timestamptz not null default now(),
  retired_at timestamptz,
  primary key (source, digest)
);
create table features_dataset (
  id text primary key,
  manifest jsonb not null,
  built_at timestamptz not null default now()
);`,
    },
  ],
};
