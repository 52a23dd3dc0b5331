import type { MigrationSet } from '../../runtime/index.ts';

const TABLES = `
create table registry_state (
  single boolean primary key default true check (single),
  revision bigint not null,
  audit_number bigint not null,
  audit_hash text not null
);
insert into registry_state (revision, audit_number, audit_hash) values (0, 0, '');

create table registry_model (
  name text primary key,
  newest bigint not null
);

create table registry_version (
  model text not null references registry_model (name),
  version bigint not null,
  created_at bigint not null,
  passed boolean not null,
  vector_hash text not null,
  onnx_digest text not null,
  onnx_bytes bigint not null,
  bundle json not null,
  idempotency_key text not null,
  request_hash text not null,
  primary key (model, version),
  unique (model, idempotency_key)
);

create table registry_decision (
  name text primary key,
  newest bigint not null,
  current bigint
);

create table registry_release (
  decision text not null references registry_decision (name),
  number bigint not null,
  revision bigint not null unique,
  model text not null,
  version bigint not null,
  vector text not null,
  threshold double precision not null,
  outcomes json not null,
  created_at bigint not null,
  reason text,
  idempotency_key text unique,
  request_hash text not null,
  primary key (decision, number),
  foreign key (model, version) references registry_version (model, version)
);

alter table registry_decision add foreign key (name, current) references registry_release (decision, number);

create table registry_audit (
  number bigint primary key,
  at bigint not null,
  action text not null,
  subject text not null,
  details json not null,
  previous text not null,
  hash text not null
);
`;

/** Rows that nothing may change, whatever a later version of the code does: the database refuses. */
const IMMUTABLE = `
create function registry_refuse() returns trigger language plpgsql as $$
begin
  raise exception 'rows of % are never changed or removed', tg_table_name using errcode = 'restrict_violation';
end $$;
create trigger registry_version_immutable before update or delete or truncate on registry_version
  for each statement execute function registry_refuse();
create trigger registry_release_immutable before update or delete or truncate on registry_release
  for each statement execute function registry_refuse();
create trigger registry_audit_immutable before update or delete or truncate on registry_audit
  for each statement execute function registry_refuse();
`;

/** The registry's tables. */
export const registryMigrations: MigrationSet = {
  owner: 'registry',
  migrations: [
    { number: 1, name: 'versions, releases and their audit', sql: TABLES },
    { number: 2, name: 'what is written stays', sql: IMMUTABLE },
    {
      number: 3,
      name: 'releases of recommendations',
      additive: true,
      // Hash of the history vector, and the ranker; null for a decision.
      sql: 'alter table registry_release add column recommendation json;',
    },
    {
      number: 4,
      name: 'releases that abstain',
      additive: true,
      // Range and outcome; null for a release that answers every score.
      sql: 'alter table registry_release add column abstain json;',
    },
  ],
};
