import type { MigrationSet } from '../../runtime/index.ts';

/**
 * The ledger is cut by day, and the day is taken from the decision's id: ids are UUIDs of version 7, which begin
 * with their time. So one index, the primary key, answers look-ups by id (in one day's table) and by time, every
 * insert lands at its right edge, and old days go by DROP. At ten million rows a mass DELETE with its vacuum would be
 * what breaks, and a second index by time would nearly double the writes. The names of a vector's values stand once
 * in `serve_vector`, not in every row. `entry` is json, not jsonb: it is never searched, and is stored as it comes.
 */
const TABLES = `
create table serve_vector (
  id integer generated always as identity primary key,
  hash text not null unique,
  vector text not null,
  names json not null
);

create table serve_ledger (
  decision_id uuid primary key,
  at bigint not null,
  decision text not null,
  subject text not null,
  release text not null,
  vector_id integer not null,
  as_of bigint not null,
  score double precision not null,
  outcome text not null,
  entry json not null
) partition by range (decision_id);

create table serve_ledger_rest partition of serve_ledger default;
`;

/**
 * Decisions that a person must look at, written with their records. What is decided on stands in the ledger, found by the same
 * id. The indexes are as large as what waits: to be answered, or to be sent on as an outcome.
 */
const REVIEWS = `
create table serve_review (
  decision_id uuid primary key,
  decision text not null,
  at bigint not null,
  answered_at bigint,
  answer json,
  outcome json,
  sent_at bigint
);

create index serve_review_waiting on serve_review (decision_id) include (decision, at) where answered_at is null;
create index serve_review_unsent on serve_review (decision_id) where outcome is not null and sent_at is null;
`;

/** The tables of serve. */
export const serveMigrations: MigrationSet = {
  owner: 'serve',
  migrations: [
    { number: 1, name: 'the ledger', sql: TABLES },
    {
      number: 2,
      name: 'the trace of a decision',
      additive: true,
      sql: 'alter table serve_ledger add column trace_id text;',
    },
    { number: 3, name: 'the queue of reviews', additive: true, sql: REVIEWS },
  ],
};
