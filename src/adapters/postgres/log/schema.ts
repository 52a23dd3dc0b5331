import type { MigrationSet } from '../../../runtime/ports/index.ts';

/**
 * One row per partition says where it ends; appending updates it, which puts the appends of a partition into
 * one order. `day` is the day of the newest segment written. It does not go back when the clock does, but for
 * a clock that was more than a day ahead.
 */
export const logMigrations: MigrationSet = {
  owner: 'postgres.log',
  migrations: [
    {
      number: 1,
      name: 'topics, heads and consumer groups',
      sql: `
        create table tandem_log_topic (
          id integer generated always as identity primary key,
          name text not null unique,
          partitions integer not null check (partitions between 1 and 1024),
          created_at timestamptz not null default now()
        );
        create table tandem_log_head (
          topic integer not null references tandem_log_topic,
          part integer not null,
          first bigint not null default 0,
          next bigint not null default 0,
          day date not null,
          primary key (topic, part)
        ) with (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
        create table tandem_log_group (
          topic integer not null references tandem_log_topic,
          name text not null,
          part integer not null,
          committed bigint not null default 0,
          owner text,
          epoch bigint not null default 0,
          lease_until timestamptz not null default '-infinity',
          primary key (topic, name, part)
        ) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);`,
    },
    {
      number: 2,
      name: 'the traces of a batch',
      sql: `
        do $$
        declare topic integer;
        begin
          for topic in select id from tandem_log_topic order by id loop
            execute format('alter table %I add column if not exists trace text', 'tandem_log_' || topic);
          end loop;
        end $$;`,
    },
  ],
};

/** Name of the table with a topic's record batches. */
export function batchTable(topic: number): string {
  return `tandem_log_${topic}`;
}

/**
 * The table of one topic, cut by day of append so that retention drops whole tables. One row is one record
 * batch. Data comes compressed, so the server need not try. `trace` names traces of its records, as `traceparent`
 * headers with spaces between them; it is null but for the few that are exported.
 */
export function createBatchTable(topic: number): string {
  const table = batchTable(topic);
  return `
    create table ${table} (
      part integer not null,
      day date not null,
      base bigint not null,
      count integer not null,
      bytes integer not null,
      appended_at timestamptz not null default clock_timestamp(),
      data bytea not null,
      trace text,
      primary key (part, base, day)
    ) partition by range (day);
    alter table ${table} alter column data set storage external;`;
}

/** A day as the number of days since 1970-01-01, as the SQL of the log passes it. */
export function dayText(day: number): string {
  return new Date(day * 86_400_000).toISOString().slice(0, 10);
}

/** Name of the segment of one day. */
export function segmentTable(topic: number, day: number): string {
  return `${batchTable(topic)}_${dayText(day).replaceAll('-', '')}`;
}

/**
 * Makes the segment of one day. Attaching a finished table takes a weaker lock than making it as a partition:
 * appends and reads go on meanwhile.
 */
export function createSegment(topic: number, day: number): string {
  const table = segmentTable(topic, day);
  return `
    create table ${table} (like ${batchTable(topic)} including defaults including storage);
    alter table ${batchTable(topic)} attach partition ${table}
      for values from ('${dayText(day)}') to ('${dayText(day + 1)}');`;
}
