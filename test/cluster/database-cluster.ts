import { closeSync, openSync } from 'node:fs';
import { chown, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Need } from './command.ts';
import { type LabHost, Network, NETWORK_NEEDS } from './network.ts';

/** Where Debian keeps the server's programs. */
const POSTGRES_BIN = '/usr/lib/postgresql/15/bin';
const PORTS = { etcd: 2379, etcdPeers: 2380, patroni: 8008, postgres: 5432 } as const;
const USER = 'postgres';
/** The lab's own subnet is trusted, the address still carries a password as a real one does. */
const PASSWORD = 'lab';
const DATABASE = 'tandem';
/** How long the cluster may take to be up, in milliseconds. */
const START_MS_MAX = 60_000;
const LOOK_MS = 200;
/** How long a host may take to say what it is, in milliseconds. */
const ANSWER_MS_MAX = 1_000;

/** How much of a host's log is told when the cluster does not come up. */
const LOG_CHARACTERS = 1_500;

/** What the cluster needs of the machine. */
export const CLUSTER_NEEDS: readonly Need[] = [
  ...NETWORK_NEEDS,
  { program: `${POSTGRES_BIN}/postgres`, package: 'postgresql-15' },
  { program: 'etcd', package: 'etcd-server' },
  { program: 'patroni', package: 'patroni' },
  { program: '/usr/lib/python3/dist-packages/psycopg2/__init__.py', package: 'python3-psycopg2' },
];

/** Times of Patroni, in seconds. Versions from 3.1 on take no shorter `ttl` than 20 and go on with that. */
export const PATRONI = { ttl: 15, loopWait: 2, retryTimeout: 3 } as const;

/** What Patroni says a host is. */
export type Role = 'primary' | 'synchronous standby' | 'standby' | 'silent';

/** A host with etcd, Patroni and PostgreSQL. */
export class DatabaseHost {
  readonly host: LabHost;
  readonly #start: (host: LabHost) => Promise<void>;

  constructor(host: LabHost, start: (host: LabHost) => Promise<void>) {
    this.host = host;
    this.#start = start;
  }

  get name(): string {
    return this.host.name;
  }

  /** As it stands in DATABASE_URL. */
  get address(): string {
    return `${this.host.address}:${PORTS.postgres}`;
  }

  /** SIGKILL to Patroni and every process of PostgreSQL; etcd goes on. */
  async kill(): Promise<void> {
    for (let round = 0; round < 50; round += 1) {
      const pids = await this.#databasePids();
      if (pids.length === 0) return;
      for (const pid of pids) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // It has just ended.
        }
      }
      await sleep(20);
    }
    throw new Error(`PostgreSQL of ${this.name} does not end`);
  }

  /** Starts Patroni, which starts PostgreSQL as whatever the cluster needs now. */
  start(): Promise<void> {
    return this.#start(this.host);
  }

  cut(): Promise<void> {
    return this.host.cut();
  }

  heal(): Promise<void> {
    return this.host.heal();
  }

  async role(): Promise<Role> {
    try {
      const answer = await fetch(`http://${this.host.address}:${PORTS.patroni}/`, {
        signal: AbortSignal.timeout(ANSWER_MS_MAX),
      });
      const { role, state, sync_standby: isSynchronous } = (await answer.json()) as Record<string, unknown>;
      if (state !== 'running') return 'silent';
      if (role === 'master' || role === 'primary') return answer.ok ? 'primary' : 'silent';
      return isSynchronous === true ? 'synchronous standby' : 'standby';
    } catch {
      return 'silent';
    }
  }

  /** Runs SQL on this very server, from within its host: also when it is cut off. Values come as text. */
  async sql(statement: string): Promise<string> {
    const program = ['psql', '-h', this.host.address, '-U', USER, '-d', DATABASE, '-XAtqc', statement];
    return (await this.host.run(...program)).trim();
  }

  async #databasePids(): Promise<number[]> {
    const found: number[] = [];
    for (const pid of await this.host.pids()) {
      const line = await readFile(`/proc/${String(pid)}/cmdline`, 'utf8').catch(() => '');
      if (line !== '' && !line.startsWith('etcd')) found.push(pid);
    }
    return found;
  }
}

/** Three hosts that share one PostgreSQL: etcd, Patroni and PostgreSQL 15 of Debian, with a synchronous standby. */
export class DatabaseCluster implements AsyncDisposable {
  readonly network: Network;
  readonly hosts: readonly DatabaseHost[];

  private constructor(network: Network, hosts: readonly DatabaseHost[]) {
    this.network = network;
    this.hosts = hosts;
  }

  /** Starts everything and waits until there are a primary and a synchronous standby. */
  static async start(note: (text: string) => void): Promise<DatabaseCluster> {
    const network = await Network.make(['h1', 'h2', 'h3']);
    try {
      const lab = new Lab(network);
      for (const host of network.hosts) await lab.prepare(host);
      for (const host of network.hosts) lab.startEtcd(host);
      for (const host of network.hosts) await untilEtcd(host);
      for (const host of network.hosts) lab.startPatroni(host);
      const hosts = network.hosts.map(
        (host) => new DatabaseHost(host, (one) => Promise.resolve(lab.startPatroni(one))),
      );
      const cluster = new DatabaseCluster(network, hosts);
      const tookMs = await cluster.untilWhole(START_MS_MAX);
      await createDatabase(await cluster.primary());
      note(`three hosts on ${network.subnet}.0/24 are up after ${(tookMs / 1_000).toFixed(1)} s`);
      return cluster;
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** DATABASE_URL with all three hosts. */
  get url(): string {
    const hosts = this.hosts.map(({ address }) => address).join(',');
    return `postgres://${USER}:${PASSWORD}@${hosts}/${DATABASE}?target_session_attrs=read-write`;
  }

  /** The host that Patroni calls the primary; waits until there is one. */
  async primary(withinMs: number = START_MS_MAX): Promise<DatabaseHost> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      for (const host of this.hosts) if ((await host.role()) === 'primary') return host;
      if (performance.now() > deadline) throw new Error(`No primary within ${String(withinMs)} ms`);
      await sleep(LOOK_MS);
    }
  }

  /** Waits until one host is the primary and both others follow it. Resolves with how long that took, in milliseconds. */
  async untilWhole(withinMs: number): Promise<number> {
    const begun = performance.now();
    for (;;) {
      const roles = (await Promise.all(this.hosts.map((host) => host.role()))).sort();
      const isWhole = ['primary', 'standby', 'synchronous standby'].every((role, at) => roles[at] === role);
      if (isWhole) return performance.now() - begun;
      if (performance.now() - begun > withinMs) {
        throw new Error(`The cluster is not whole: ${roles.join(', ')}\n${await this.#logs()}`);
      }
      await sleep(LOOK_MS);
    }
  }

  /** The ends of the logs of all hosts. */
  async #logs(): Promise<string> {
    const ends = this.network.hosts.map(async ({ name }) => {
      const log = await readFile(join(this.network.folder, name, 'patroni.log'), 'utf8').catch(
        () => 'no log',
      );
      return `${name}: ${log.slice(-LOG_CHARACTERS)}`;
    });
    return (await Promise.all(ends)).join('\n');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.network[Symbol.asyncDispose]();
  }
}

/** Patroni ends when it comes before the members of etcd have agreed on a version. */
async function untilEtcd({ name, address }: LabHost): Promise<void> {
  for (const begun = performance.now(); ; await sleep(LOOK_MS)) {
    const version = await fetch(`http://${address}:${String(PORTS.etcd)}/version`, {
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    }).then(
      (answer) => answer.json() as Promise<{ readonly etcdcluster?: string }>,
      () => undefined,
    );
    if (/^\d/.test(version?.etcdcluster ?? '')) return;
    if (performance.now() - begun > START_MS_MAX) throw new Error(`etcd of ${name} does not come up`);
  }
}

async function createDatabase(primary: DatabaseHost): Promise<void> {
  const client = new pg.Client({
    connectionString: `postgres://${USER}:${PASSWORD}@${primary.address}/postgres`,
  });
  client.on('error', () => undefined);
  await client.connect();
  await client.query(`create database ${DATABASE}`);
  await client.end();
}

/** Starts the programs of the hosts. */
class Lab {
  readonly #network: Network;

  constructor(network: Network) {
    this.#network = network;
  }

  /** Makes the folders and the configuration of a host. */
  async prepare(host: LabHost): Promise<void> {
    const { uid, gid } = await stat('/var/lib/postgresql');
    for (const name of ['', 'etcd', 'socket']) {
      const folder = this.#path(host, name);
      await mkdir(folder, { recursive: true, mode: 0o755 });
      await chown(folder, uid, gid);
    }
    // JSON is YAML too.
    await writeFile(
      this.#path(host, 'patroni.yml'),
      JSON.stringify(patroniConfiguration(this.#network, host)),
    );
  }

  startEtcd(host: LabHost): void {
    const url = (port: number): string => `http://${host.address}:${String(port)}`;
    const peers = this.#network.hosts.map(
      ({ name, address }) => `${name}=http://${address}:${String(PORTS.etcdPeers)}`,
    );
    const options = {
      name: host.name,
      'data-dir': this.#path(host, 'etcd'),
      'initial-cluster': peers.join(','),
      'initial-advertise-peer-urls': url(PORTS.etcdPeers),
      'listen-peer-urls': url(PORTS.etcdPeers),
      'listen-client-urls': url(PORTS.etcd),
      'advertise-client-urls': url(PORTS.etcd),
      // A shared machine may be slow to write; that must not depose anybody.
      'heartbeat-interval': '200',
      'election-timeout': '2000',
    };
    const parameters = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
    this.#spawn(host, 'etcd', ['etcd', ...parameters]);
  }

  startPatroni(host: LabHost): void {
    this.#spawn(host, 'patroni', ['patroni', this.#path(host, 'patroni.yml')]);
  }

  #spawn(host: LabHost, name: string, program: readonly string[]): void {
    const log = openSync(this.#path(host, `${name}.log`), 'a');
    host.spawn(program, { user: USER, log }).unref();
    closeSync(log);
  }

  #path(host: LabHost, name: string): string {
    return join(this.#network.folder, host.name, name);
  }
}

function patroniConfiguration(network: Network, { name, address }: LabHost): object {
  const folder = join(network.folder, name);
  const trusted = `${network.subnet}.0/24`;
  return {
    scope: 'lab',
    name,
    restapi: {
      listen: `${address}:${String(PORTS.patroni)}`,
      connect_address: `${address}:${String(PORTS.patroni)}`,
    },
    // Only its own etcd: one that sits behind a cut cable would cost it a timeout in the very moment of a fail-over.
    etcd3: { host: `${address}:${String(PORTS.etcd)}`, use_proxies: true },
    bootstrap: {
      dcs: {
        ttl: PATRONI.ttl,
        loop_wait: PATRONI.loopWait,
        retry_timeout: PATRONI.retryTimeout,
        maximum_lag_on_failover: 1_048_576,
        synchronous_mode: true,
        postgresql: { use_pg_rewind: true, parameters: { max_connections: 200, wal_keep_size: '256MB' } },
      },
      initdb: [{ encoding: 'UTF8' }, 'data-checksums'],
      pg_hba: [
        `host all all ${trusted} trust`,
        `host replication all ${trusted} trust`,
        'local all all trust',
      ],
    },
    postgresql: {
      listen: `${address}:${String(PORTS.postgres)}`,
      connect_address: `${address}:${String(PORTS.postgres)}`,
      data_dir: join(folder, 'data'),
      bin_dir: POSTGRES_BIN,
      pgpass: join(folder, 'pgpass'),
      authentication: {
        replication: { username: 'replicator', password: PASSWORD },
        superuser: { username: USER, password: PASSWORD },
        rewind: { username: 'rewind', password: PASSWORD },
      },
      // What a deposed primary wrote alone must go; where that cannot be undone, the host begins with a new copy.
      remove_data_directory_on_rewind_failure: true,
      remove_data_directory_on_diverged_timelines: true,
      // The sockets of all hosts lie in the one file system of the machine.
      parameters: { unix_socket_directories: join(folder, 'socket'), shared_buffers: '64MB' },
    },
  };
}
