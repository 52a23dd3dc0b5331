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
    {
      number: 2,
      name: 'state partitions',
      sql: `
create table features_replica (
  instance text primary key,
  definitions text not null,
  replica text not null,
  facts jsonb not null,
  lease_until timestamptz not null
);
create table features_partition (
  definitions text not null,
  partition integer not null,
  epoch bigint not null default 0,
  replica text,
  instance text,
  lease_until timestamptz not null default '-infinity',
  primary key (definitions, partition)
);
create table features_taker (
  definitions text not null,
  partition integer not null,
  instance text not null,
  ready boolean not null default false,
  lease_until timestamptz not null,
  primary key (definitions, partition)
);
alter table features_snapshot add column definitions text not null default '';
alter table features_snapshot drop constraint features_snapshot_pkey;
alter table features_snapshot add primary key (definitions, name);`,
    },
    {
      number: 3,
      name: 'verifications',
      additive: true,
      sql: `
create table features_verification (
  id text primary key,
  state text not null,
  epoch bigint not null default 0,
  created_at bigint not null,
  ended_at bigint,
  since bigint not null,
  until bigint not null,
  sample bigint not null,
  seed bigint not null,
  idempotency_key text unique,
  request_hash text not null,
  findings json,
  compared bigint,
  error text
);`,
    },
  ],
};
