import {
  type Instance,
  type Instances,
  INSTANCES_SIGNAL,
  type MigrationSet,
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
  ],
};

/** Instances whose lease ended this long ago are forgotten. */
const FORGOTTEN_AFTER = '1 hour';

interface AnnouncedRow extends Record<string, unknown> {
  readonly isNew: boolean;
}

/** The port `Instances` on PostgreSQL. */
export function postgresInstances(tables: Tables, signals: Signals): Instances {
  return {
    async announce(instances, leaseMs) {
      const rows = await tables.query<AnnouncedRow>(
        `insert into tandem_instance (service, id, url, lease_until)
         select service, id, url, now() + $4::float8 * interval '1 ms'
         from unnest($1::text[], $2::text[], $3::text[]) announced (service, id, url)
         on conflict (service, id) do update set url = excluded.url, lease_until = excluded.lease_until
         returning xmax = 0 as "isNew"`,
        [
          instances.map(({ service }) => service),
          instances.map(({ id }) => id),
          instances.map(({ url }) => url),
          leaseMs,
        ],
      );
      if (!rows.some(({ isNew }) => isNew)) return;
      await tables.query(
        `delete from tandem_instance where lease_until < now() - interval '${FORGOTTEN_AFTER}'`,
      );
      await signals.notify(INSTANCES_SIGNAL);
    },
    async withdraw(id) {
      await tables.query('delete from tandem_instance where id = $1', [id]);
      await signals.notify(INSTANCES_SIGNAL);
    },
    live: () =>
      tables.query<Instance & Record<string, unknown>>(
        'select service, id, url from tandem_instance where lease_until > now() order by service, id',
      ),
  };
}
