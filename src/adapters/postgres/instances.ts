import {
  type Instance,
  type Instances,
  INSTANCES_SIGNAL,
  type MigrationSet,
  type Need,
  NEED_MS,
  NEEDS_SIGNAL,
  type Signals,
  type Tables,
} from '../../runtime/index.ts';

export const instanceMigrations: MigrationSet = {
  owner: 'postgres.instances',
  migrations: [
    {
      number: 1,
      name: 'instances with leases',
      sql: `
        create table tandem_instance (
          service text not null,
          id text not null,
          url text not null,
          lease_until timestamptz not null,
          primary key (service, id)
        ) with (fillfactor = 50);`,
    },
    {
      number: 2,
      name: 'readiness of instances, and services that are needed',
      additive: true,
      sql: `
        alter table tandem_instance add column ready boolean not null default true;
        create table tandem_need (
          service text primary key,
          needed_since timestamptz not null,
          needed_at timestamptz not null
        );`,
    },
    {
      number: 3,
      name: 'builds of instances',
      additive: true,
      sql: `
        alter table tandem_instance add column build text;
        alter table tandem_instance add column contract text;`,
    },
    {
      number: 4,
      name: 'public keys of instances',
      additive: true,
      sql: `alter table tandem_instance add column key text;`,
    },
  ],
};

/** Instances whose lease ended this long ago are forgotten. */
const FORGOTTEN_AFTER = '1 hour';
/** So long after the end of its lease an instance can still be found: its last calls are under way. */
const FOUND_FOR = '10 minutes';

interface AnnouncedRow extends Record<string, unknown> {
  readonly isNew: boolean;
  readonly isChanged: boolean;
}

interface InstanceRow extends Record<string, unknown>, Pick<Instance, 'service' | 'id' | 'url' | 'ready'> {
  readonly build: string | null;
  readonly key: string | null;
}

const COLUMNS = 'service, id, url, ready, build, key';

/** The port `Instances` on PostgreSQL. */
export function postgresInstances(tables: Tables, signals: Signals): Instances {
  return {
    async announce(instances, leaseMs) {
      const rows = await tables.query<AnnouncedRow>(
        `with before as (select service, id, ready from tandem_instance where id = any($2) and lease_until > now())
         insert into tandem_instance as mine (service, id, url, lease_until, ready, build, key)
         select service, id, url, now() + $4::float8 * interval '1 ms', ready, build, key
         from unnest($1::text[], $2::text[], $3::text[], $5::boolean[], $6::text[], $7::text[])
           announced (service, id, url, ready, build, key)
         on conflict (service, id) do update
           set url = excluded.url, lease_until = excluded.lease_until, ready = excluded.ready,
             build = excluded.build, key = excluded.key
         returning not exists (
           select from before where before.service = mine.service and before.id = mine.id
         ) as "isNew", exists (
           select from before
           where before.service = mine.service and before.id = mine.id and before.ready <> mine.ready
         ) as "isChanged"`,
        [
          instances.map(({ service }) => service),
          instances.map(({ id }) => id),
          instances.map(({ url }) => url),
          leaseMs,
          instances.map(({ ready }) => ready ?? true),
          instances.map(({ build }) => build ?? null),
          instances.map(({ key }) => key ?? null),
        ],
      );
      const hasNew = rows.some(({ isNew }) => isNew);
      if (!hasNew && !rows.some(({ isChanged }) => isChanged)) return;
      if (hasNew) {
        await tables.query(
          `delete from tandem_instance where lease_until < now() - interval '${FORGOTTEN_AFTER}'`,
        );
      }
      await signals.notify(INSTANCES_SIGNAL);
    },
    async introduce(instances) {
      await tables.query(
        `insert into tandem_instance (service, id, url, lease_until, key)
         select service, id, url, now(), key
         from unnest($1::text[], $2::text[], $3::text[], $4::text[]) introduced (service, id, url, key)
         on conflict do nothing`,
        [
          instances.map(({ service }) => service),
          instances.map(({ id }) => id),
          instances.map(({ url }) => url),
          instances.map(({ key }) => key ?? null),
        ],
      );
    },
    async withdraw(id) {
      // The row stays for a while: what is under way is still signed with its key.
      await tables.query('update tandem_instance set lease_until = least(lease_until, now()) where id = $1', [
        id,
      ]);
      await signals.notify(INSTANCES_SIGNAL);
    },
    async live() {
      const rows = await tables.query<InstanceRow>(
        `select ${COLUMNS} from tandem_instance where lease_until > now() order by service, id`,
      );
      return rows.map(toInstance);
    },
    async find(id) {
      const rows = await tables.query<InstanceRow>(
        `select ${COLUMNS} from tandem_instance
         where id = $1 and lease_until > now() - interval '${FOUND_FOR}' order by service`,
        [id],
      );
      return rows.map(toInstance);
    },
    async need(service) {
      await tables.query(
        `insert into tandem_need as known (service, needed_since, needed_at) values ($1, now(), now())
         on conflict (service) do update set
           needed_since = case
             when known.needed_at < now() - $2::float8 * interval '1 ms' then now()
             else known.needed_since
           end,
           needed_at = now()`,
        [service, NEED_MS],
      );
      await signals.notify(NEEDS_SIGNAL);
    },
    needs: () =>
      tables.query<Need & Record<string, unknown>>(
        `select service, extract(epoch from needed_since)::float8 * 1000 as "sinceMs",
           extract(epoch from now() - needed_at)::float8 * 1000 as "agoMs"
         from tandem_need where needed_at > now() - $1::float8 * interval '1 ms' order by service`,
        [NEED_MS],
      ),
  };
}

function toInstance({ service, id, url, ready, build, key }: InstanceRow): Instance {
  return {
    service,
    id,
    url,
    ...(ready === undefined ? {} : { ready }),
    ...(build === null ? {} : { build }),
    ...(key === null ? {} : { key }),
  };
}
