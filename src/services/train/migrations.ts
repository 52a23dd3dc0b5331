import type { MigrationSet } from '../../runtime/index.ts';

const TABLES = `
create table train_run (
  id text collate "C" primary key,
  model text not null,
  state text not null,
  -- counts the attempts; who writes must hold the newest
  epoch integer not null default 0,
  asked_as_of bigint,
  as_of bigint,
  created_at bigint not null,
  finished_at bigint,
  steps json not null,
  metrics json not null,
  gates json not null,
  version integer,
  error text,
  idempotency_key text,
  unique (model, idempotency_key)
);
create index train_run_model on train_run (model, id);
create index train_run_open on train_run (id) where state in ('queued', 'running');

create table train_step (
  key text primary key,
  step text not null,
  run text not null,
  output json not null,
  -- digests of the objects that the output speaks of
  artefacts text[] not null,
  seconds double precision not null,
  finished_at bigint not null
);

-- the run that a bundle is registered for; later runs with the same bundle get the same version
create table train_bundle (
  key text primary key,
  run text not null
);
`;

const ATTEMPTS = `
-- steps that were done when the run last got another attempt
alter table train_run add column steps_granted integer not null default 0;
create index train_step_run on train_step (run);
`;

const SCHEDULES = `
alter table train_run
  add column reason text not null default 'asked',
  -- its place in the order of waiting runs, which is fair between models
  add column turn integer not null default 0;
create index train_run_turn on train_run (model, turn);
create index train_run_begun on train_run (turn) where epoch > 0;
create index train_run_scheduled on train_run (model, id) where reason <> 'asked';

-- what the rules of a model have asked for
create table train_schedule_rule (
  model text not null,
  rule text not null,
  -- the newest due instant for which nothing is left to do
  settled_at bigint,
  -- outcomes that there were when it last asked for a run
  labels_seen bigint,
  primary key (model, rule)
);

-- whoever decides about runs of a model holds its row
create table train_schedule (
  model text primary key,
  paused_at bigint
);

-- whoever begins a run holds it, so that no more run at a time than may
create table train_limit (
  single boolean primary key default true check (single)
);
insert into train_limit default values;
`;

const SEARCHES = `
-- how the search of a tuned trainer stands; null of other runs
alter table train_run add column search json;

-- what the search of a run has found so far
create table train_search (
  run text primary key,
  started_at bigint not null,
  outcome json
);

-- trials of a run that failed for another reason than what they are made of: elsewhere or later they may not fail
create table train_trial_failure (
  run text not null,
  key text not null,
  error text not null,
  primary key (run, key)
);
`;

/** The tables of the service. */
export const trainMigrations: MigrationSet = {
  owner: 'train',
  migrations: [
    { number: 1, name: 'runs and steps', sql: TABLES },
    { number: 2, name: 'attempts by progress', sql: ATTEMPTS },
    { number: 3, name: 'schedules and limits', sql: SCHEDULES, additive: true },
    { number: 4, name: 'searches', sql: SEARCHES, additive: true },
  ],
};
