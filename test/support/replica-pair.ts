import { spawn } from 'node:child_process';
import { chmod, chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { choosePlace, type Place } from '../../src/adapters/postgres/embedded/place.ts';
import { locateBinaries, repairLinks } from '../../src/adapters/postgres/embedded/binaries.ts';
import { processesWith } from '../../src/adapters/postgres/embedded/processes.ts';
import { administrate, copyCluster } from '../conformance/embedded-server.ts';
import { serverPort } from './server-port.ts';

/** How long a server may take to start, in milliseconds. */
const START_MS_MAX = 60_000;

/** A PostgreSQL server of a pair. */
export interface PairServer {
  /** Address of this server alone. */
  readonly url: string;
  readonly host: string;
  start(): Promise<void>;
  /** SIGKILL to all of its processes. */
  kill(): Promise<void>;
  /** Silent from now on, as behind a cut cable: it takes connections and answers nothing. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Makes a standby the primary. */
  promote(): Promise<void>;
}

/** A primary and its synchronous standby, real servers on the loopback. */
export interface ReplicaPair extends AsyncDisposable {
  readonly primary: PairServer;
  readonly standby: PairServer;
  /** Address that names both, the standby first: whoever takes the first one for the primary is wrong. */
  readonly url: string;
}

export async function replicaPair(): Promise<ReplicaPair> {
  const folder = await mkdtemp(join(tmpdir(), 'tandem-pair-'));
  await chmod(folder, 0o755);
  const directories = { primary: join(folder, 'primary'), standby: join(folder, 'standby') };
  await copyCluster(directories.primary);
  await copyCluster(directories.standby);
  const password = (await readFile(join(directories.primary, 'password'), 'utf8')).trim();
  const primary = await pairServer(directories.primary, password);
  const standby = await pairServer(directories.standby, password);
  const { place } = standby;
  const source = new URL(primary.server.url);
  const conninfo = `host=127.0.0.1 port=${source.port} user=${source.username} password=${password} application_name=standby`;
  await writeAs(place, 'standby.signal', '');
  await writeAs(place, 'postgresql.auto.conf', `primary_conninfo = '${conninfo}'\n`);
  await primary.server.start();
  await standby.server.start();
  await administrate(primary.server.url, `alter system set synchronous_standby_names = '*'`);
  await administrate(primary.server.url, 'select pg_reload_conf()');
  await until(async () => {
    const [row] = await administrate(primary.server.url, 'select sync_state from pg_stat_replication');
    return row?.['sync_state'] === 'sync';
  });
  const { username } = source;
  return {
    primary: primary.server,
    standby: standby.server,
    url: `postgres://${username}:${password}@${standby.server.host},${primary.server.host}/tandem?target_session_attrs=read-write`,
    async [Symbol.asyncDispose]() {
      await Promise.all([primary.server.kill(), standby.server.kill()]);
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

interface Made {
  readonly place: Place;
  readonly server: PairServer;
}

async function pairServer(directory: string, password: string): Promise<Made> {
  const binaries = await locateBinaries();
  await repairLinks(binaries);
  const place = await choosePlace(directory, binaries);
  const port = await serverPort();
  const url = `postgres://tandem:${password}@127.0.0.1:${port}/tandem`;
  const signal = async (name: NodeJS.Signals): Promise<void> => {
    for (const { pid } of await processesWith(`pair-${port}`)) {
      try {
        process.kill(pid, name);
      } catch {
        // It has just ended.
      }
    }
  };
  const server: PairServer = {
    url,
    host: `127.0.0.1:${port}`,
    async start() {
      launch(place, port);
      await until(() =>
        administrate(url, 'select 1').then(
          () => true,
          () => false,
        ),
      );
    },
    async kill() {
      await until(async () => {
        await signal('SIGKILL');
        return (await processesWith(`pair-${port}`)).length === 0;
      });
      await rm(join(place.data, 'postmaster.pid'), { force: true });
    },
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
    async promote() {
      await administrate(url, 'select pg_promote(true, 60)');
      await administrate(url, `alter system set synchronous_standby_names = ''`);
      await administrate(url, 'select pg_reload_conf()');
    },
  };
  return { place, server };
}

function launch(place: Place, port: number): void {
  const settings = {
    port,
    cluster_name: `pair-${port}`,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    shared_buffers: '32MB',
  };
  const parameters = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const { account } = place;
  spawn(join(place.binaries.native, 'bin', 'postgres'), ['-D', place.data, ...parameters], {
    detached: true,
    stdio: 'ignore',
    cwd: '/',
    env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C' },
    ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
  }).unref();
}

async function writeAs({ data, account }: Place, name: string, text: string): Promise<void> {
  const path = join(data, name);
  await writeFile(path, text, { mode: 0o600 });
  if (account !== undefined) await chown(path, account.uid, account.gid);
}

async function until(ask: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + START_MS_MAX;
  while (!(await ask())) {
    if (performance.now() > deadline) throw new Error('A server of the pair did not get there in time');
    await sleep(50);
  }
}
