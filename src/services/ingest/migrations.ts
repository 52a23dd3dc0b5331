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

// A record waits once however often it is sent: the digest of its bytes says that it is the same. Those whose bytes were cut
// have none, because what differs may be what was cut.
const OUTCOMES = `
alter table ingest_quarantine add column state text not null default 'waiting';
alter table ingest_quarantine add column digest bytea;
alter table ingest_quarantine add column correction bytea;
alter table ingest_quarantine add column corrected_by text;
alter table ingest_quarantine add column corrected_at bigint;
alter table ingest_quarantine add column dismissed_by text;
alter table ingest_quarantine add column dismissed_at bigint;
alter table ingest_quarantine add column dismissal text;
create unique index ingest_quarantine_digest on ingest_quarantine (source, digest) where state = 'waiting';
create index ingest_quarantine_at on ingest_quarantine (source, at);
`;

// The epoch is that of the claim that wrote last: a process whose claim was taken over changes nothing.
const POLLS = `
create table ingest_poll (
  source text primary key,
  table_name text not null,
  epoch bigint not null,
  cursor_us bigint,
  cursor_id text,
  accepted bigint not null default 0,
  quarantined bigint not null default 0,
  caught_up_at bigint,
  read_at bigint,
  behind_ms bigint,
  error_code text,
  error_reason text,
  error_at bigint
);
`;

export const ingestMigrations: MigrationSet = {
  owner: 'ingest',
  migrations: [
    { number: 1, name: 'quarantine', sql: QUARANTINE },
    { number: 2, name: 'quarantine outcomes', sql: OUTCOMES, additive: true },
    { number: 3, name: 'polls', sql: POLLS, additive: true },
  ],
};
