import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFile,
  chmod,
  chown,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { packageName, repairLinks } from '../../src/adapters/postgres/embedded/binaries.ts';
import { type EmbeddedServer, startEmbedded } from '../../src/adapters/postgres/embedded/index.ts';
import { openPostgres } from '../../src/adapters/postgres/index.ts';
import { choosePlace } from '../../src/adapters/postgres/embedded/place.ts';
import { clusterName } from '../../src/adapters/postgres/embedded/postmaster.ts';
import { isRunning, processesWith } from '../../src/adapters/postgres/embedded/processes.ts';
import { withStartLock } from '../../src/adapters/postgres/embedded/start-lock.ts';
import { PlatformError } from '../../src/contract/errors.ts';
import { administrate, copyCluster } from './embedded-server.ts';
import { rejectionCode, until } from './expectations.ts';

const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn('skipped: tests of other system users; only root can become them');
const script = fileURLToPath(new URL('fixtures/start-embedded.ts', import.meta.url));

interface Folder extends AsyncDisposable {
  readonly path: string;
}

/** A folder that the server's system user can reach, with or without a finished cluster. */
async function folder(filled: boolean): Promise<Folder> {
  const outer = await mkdtemp(join(tmpdir(), 'tandem-embedded-'));
  await chmod(outer, 0o755);
  const path = join(outer, 'postgres');
  if (filled) await copyCluster(path);
  else await mkdir(path);
  return {
    path,
    async [Symbol.asyncDispose]() {
      for (const { pid } of await processesWith(clusterName(join(path, 'data'))))
        process.kill(pid, 'SIGKILL');
      await rm(outer, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

interface Started {
  readonly child: ChildProcess;
  readonly server: Omit<EmbeddedServer, 'stop'>;
}

async function startInProcess(
  directory: string,
  then: string,
  identity: { uid?: number; gid?: number } = {},
): Promise<Started> {
  const child = spawn(process.execPath, [script, directory, then], {
    stdio: ['ignore', 'pipe', 'inherit'],
    ...identity,
  });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return { child, server: JSON.parse(line) as Started['server'] };
}

async function killAll(data: string): Promise<void> {
  for (const { pid } of await processesWith(clusterName(data))) process.kill(pid, 'SIGKILL');
}

describe('embedded PostgreSQL', () => {
  it('creates the database once, keeps data and address over a restart, and leaves nothing open', async () => {
    await using place = await folder(false);
    const said: string[] = [];
    const first = await startEmbedded({ directory: place.path, log: (line) => said.push(line) });
    expect(first).toMatchObject({ adopted: false, home: place.path });
    await administrate(first.url, 'create table kept (a int); insert into kept values (1)');
    const settings = await administrate(
      first.url,
      `select (select setting from pg_settings where name = 'data_checksums') as checksums, pg_encoding_to_char(encoding) as encoding,
         current_setting('listen_addresses') as addresses, current_setting('unix_socket_directories') as sockets
       from pg_database where datname = current_database()`,
    );
    expect(settings).toEqual([{ checksums: 'on', encoding: 'UTF8', addresses: '127.0.0.1', sockets: '' }]);
    const wrong = new URL(first.url);
    wrong.password = 'guess';
    await expect(administrate(wrong.href, 'select 1')).rejects.toThrow('password');
    await first.stop();
    await first.stop();
    expect(await isRunning(first.pid)).toBe(false);
    const second = await startEmbedded({ directory: place.path, log: (line) => said.push(line) });
    expect(second.url).toBe(first.url);
    expect(await administrate(second.url, 'select a from kept')).toEqual([{ a: 1 }]);
    await second.stop();
    expect(said.length).toBe(1);
    expect((await stat(join(place.path, 'password'))).mode & 0o777).toBe(0o600);
    expect((await readdir(place.path)).filter((name) => name.includes('.new.'))).toEqual([]);
  });

  it('adopts the server of a parent that was killed, in which it survives', async () => {
    await using place = await folder(true);
    const { child, server } = await startInProcess(place.path, 'stay');
    expect(server.adopted).toBe(false);
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    child.kill('SIGKILL');
    await once(child, 'exit');
    await client.query('select 1');
    await client.end();
    const adopted = await startEmbedded({ directory: place.path });
    expect(adopted).toMatchObject({ adopted: true, pid: server.pid, url: server.url });
    await adopted.stop();
    expect(await isRunning(server.pid)).toBe(false);
  });

  it('starts again after the postmaster and all backends were killed, with everything acknowledged', async () => {
    await using place = await folder(true);
    const first = await startEmbedded({ directory: place.path });
    await administrate(
      first.url,
      'create table kept (a int); insert into kept select generate_series(1, 1000)',
    );
    await killAll(join(place.path, 'data'));
    const second = await startEmbedded({ directory: place.path });
    expect(second).toMatchObject({ adopted: false, url: first.url });
    expect(await administrate(second.url, 'select count(*)::int as count from kept')).toEqual([
      { count: 1000 },
    ]);
    // Now only the postmaster dies, while a backend is busy.
    const client = new pg.Client({ connectionString: second.url });
    client.on('error', () => undefined);
    await client.connect();
    const query = client.query(`select count(*) from generate_series(1, 1000000000)`).catch(() => undefined);
    await until(async () =>
      (await administrate(second.url, `select 1 from pg_stat_activity where query like '%1000000000)'`))
        .length > 0
        ? true
        : undefined,
    );
    process.kill(second.pid, 'SIGKILL');
    const third = await startEmbedded({ directory: place.path });
    expect(third.adopted).toBe(false);
    expect(await administrate(third.url, 'select count(*)::int as count from kept')).toEqual([
      { count: 1000 },
    ]);
    await query;
    await third.stop();
  });

  it('loses no acknowledged event and leaves no gap when it is killed under load', async () => {
    await using place = await folder(true);
    const server = await startEmbedded({ directory: place.path });
    await using postgres = await openPostgres(server.url, {
      applicationName: 'conformance',
      connectionsMax: 5,
    });
    await postgres.migrate([]);
    const { log } = postgres;
    await log.createTopic('t', { partitions: 1 });
    const acknowledged = new Map<number, string>();
    let running = true;
    const appenders = Promise.all(
      Array.from({ length: 16 }, async (_, id) => {
        for (let step = 0; running; step += 1) {
          const value = `${id}-${step}`;
          await log.append('t', 0, [Buffer.from(value)]).then(
            (offset) => acknowledged.set(offset, value),
            (error: unknown) => {
              if (!PlatformError.is(error) || error.code !== 'UNAVAILABLE') throw error;
              return sleep(5);
            },
          );
        }
      }),
    );
    await until(() => (acknowledged.size > 500 ? true : undefined));
    await killAll(join(place.path, 'data'));
    const restarted = await startEmbedded({ directory: place.path });
    expect(restarted.url).toBe(server.url);
    const before = acknowledged.size;
    await until(() => (acknowledged.size > before + 100 ? true : undefined));
    running = false;
    await appenders;
    const { next } = (await log.ranges('t'))[0] ?? { next: 0 };
    for (let offset = 0; offset < next;) {
      for (const batch of await log.read('t', 0, offset)) {
        expect(batch.base).toBe(offset);
        for (let index = 0; index < batch.count; index += 1) {
          const value = acknowledged.get(offset + index);
          if (value !== undefined) expect(Buffer.from(batch.record(index)).toString()).toBe(value);
        }
        offset += batch.count;
      }
    }
    expect(Math.max(...acknowledged.keys())).toBeLessThan(next);
    await restarted.stop();
  });

  it('gives two processes that start together the same server', async () => {
    await using place = await folder(false);
    const started = await Promise.all([1, 2, 3].map(() => startInProcess(place.path, 'leave')));
    for (const { child } of started) if (child.exitCode === null) await once(child, 'exit');
    expect(new Set(started.map(({ server }) => server.url)).size).toBe(1);
    expect(started.filter(({ server }) => !server.adopted).length).toBe(1);
    await (await startEmbedded({ directory: place.path })).stop();
  });

  it('begins anew after a crash in the middle of creating the database', async () => {
    await using place = await folder(false);
    const child = spawn(process.execPath, [script, place.path, 'leave'], { stdio: 'ignore' });
    await until(async () =>
      (await readdir(place.path)).some((name) => name.startsWith('data.new.')) ? true : undefined,
    );
    child.kill('SIGKILL');
    await once(child, 'exit');
    const server = await startEmbedded({ directory: place.path });
    expect(await administrate(server.url, 'select 1 as one')).toEqual([{ one: 1 }]);
    await server.stop();
  });

  it('takes another port when the last one is taken, whatever the configuration says', async () => {
    await using place = await folder(true);
    await appendFile(join(place.path, 'data', 'postgresql.auto.conf'), 'port = 1\n');
    const blocker = createServer().listen({ port: 0, host: '127.0.0.1' });
    await once(blocker, 'listening');
    const { port } = blocker.address() as { port: number };
    await writeFile(join(place.path, 'port'), String(port));
    const server = await startEmbedded({ directory: place.path });
    expect(Number(new URL(server.url).port)).not.toBe(port);
    expect(Number(new URL(server.url).port)).toBeGreaterThan(1023);
    await server.stop();
    blocker.close();
  });

  it('refuses a configuration that would lose acknowledged writes, and leaves no server', async () => {
    await using place = await folder(true);
    await appendFile(join(place.path, 'data', 'postgresql.auto.conf'), 'fsync = off\n');
    expect(await rejectionCode(startEmbedded({ directory: place.path }))).toBe('UNSAFE_DATABASE');
    expect(await processesWith(clusterName(join(place.path, 'data')))).toEqual([]);
  });

  it('does not mistake the server of a copied folder for its own', async () => {
    await using place = await folder(true);
    await using copy = await folder(false);
    const first = await startEmbedded({ directory: place.path });
    await cp(join(place.path, 'password'), join(copy.path, 'password'));
    await copyCluster(copy.path);
    await cp(join(place.path, 'data', 'postmaster.pid'), join(copy.path, 'data', 'postmaster.pid'));
    const second = await startEmbedded({ directory: copy.path });
    expect(second.adopted).toBe(false);
    expect(second.pid).not.toBe(first.pid);
    expect(await administrate(first.url, 'select 1 as one')).toEqual([{ one: 1 }]);
    await Promise.all([first.stop(), second.stop()]);
  });

  it('says what to do when there are no binaries, or the folder holds something else', async () => {
    await using place = await folder(false);
    await mkdir(join(place.path, 'data'));
    expect(await rejectionCode(startEmbedded({ directory: place.path }))).toBe('CONFIGURATION');
    const { arch } = process;
    Object.defineProperty(process, 'arch', { value: 'abacus' });
    try {
      expect(packageName()).toContain('abacus');
      const attempt = startEmbedded({ directory: place.path });
      await expect(attempt).rejects.toThrow(/abacus.*DATABASE_URL/s);
    } finally {
      Object.defineProperty(process, 'arch', { value: arch });
    }
  });
});

describe('embedded PostgreSQL and system users', () => {
  it.skipIf(!isRoot)(
    'as root in a private folder: data and binaries move to where the server can reach them',
    async () => {
      const directory = await mkdtemp(join(tmpdir(), 'tandem-private-'));
      const server = await startEmbedded({ directory });
      try {
        expect(server.home).toMatch(/^\/var\/lib\/tandem\/tandem-private-.*-[0-9a-f]{8}$/);
        expect(await readFile(join(directory, 'LOCATION'), 'utf8')).toContain(server.home);
        const owner = await stat(join(server.home, 'data'));
        expect(owner.uid).not.toBe(0);
        expect((await stat(`/proc/${server.pid}`)).uid).toBe(owner.uid);
        const again = await startEmbedded({ directory });
        expect(again).toMatchObject({ adopted: true, pid: server.pid });
      } finally {
        await server.stop();
        await rm(directory, { recursive: true, force: true });
        await rm(server.home, { recursive: true, force: true });
      }
    },
  );

  it.skipIf(!isRoot)('as root with private binaries: they are copied, once and readable', async () => {
    await using place = await folder(false);
    const hidden = await mkdtemp(join(tmpdir(), 'tandem-hidden-'));
    const version = `0.0.0-test.${process.pid}`;
    const binaries = { version, native: join(hidden, 'native') };
    const copy = `/var/lib/tandem/postgresql-${version}`;
    try {
      for (const name of ['bin', 'lib', 'share'])
        await mkdir(join(binaries.native, name), { recursive: true });
      await writeFile(join(binaries.native, 'bin', 'postgres'), '#!/bin/sh\n', { mode: 0o700 });
      await writeFile(join(binaries.native, 'share', 'data'), 'x', { mode: 0o600 });
      const places = await Promise.all([1, 2].map(() => choosePlace(place.path, binaries)));
      for (const { binaries: used } of places)
        expect(used).toEqual({ version, native: join(copy, 'native') });
      expect((await stat(join(copy, 'native', 'bin', 'postgres'))).mode & 0o777).toBe(0o755);
      expect((await stat(join(copy, 'native', 'share', 'data'))).mode & 0o777).toBe(0o644);
      expect(
        (await readdir('/var/lib/tandem')).filter((name) => name.startsWith(`postgresql-${version}.`)),
      ).toEqual([]);
    } finally {
      await rm(hidden, { recursive: true, force: true });
      await rm(copy, { recursive: true, force: true });
    }
  });

  it.skipIf(!isRoot)('as an ordinary user', async () => {
    await using place = await folder(false);
    const users = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
    const [, , uid, gid] = users.find(([name]) => name === 'nobody') ?? [];
    const identity = { uid: Number(uid), gid: Number(gid) };
    await chown(place.path, identity.uid, identity.gid);
    const { child, server } = await startInProcess(place.path, 'stop', identity);
    if (child.exitCode === null) await once(child, 'exit');
    expect(server).toMatchObject({ adopted: false, home: place.path });
    expect((await stat(join(place.path, 'data'))).uid).toBe(identity.uid);
    expect(await isRunning(server.pid)).toBe(false);
  });
});

describe('embedded PostgreSQL: parts', () => {
  it('makes missing links and leaves those that exist', async () => {
    await using place = await folder(false);
    const native = join(place.path, 'native');
    await mkdir(join(native, 'lib'), { recursive: true });
    await writeFile(join(native, 'lib', 'libx.so.1.2'), '');
    const links = ['libx.so', 'libx.so.1'].map((name) => ({
      source: 'native/lib/libx.so.1.2',
      target: `native/lib/${name}`,
    }));
    await writeFile(join(native, 'pg-symlinks.json'), JSON.stringify(links));
    await repairLinks({ version: '0', native });
    await repairLinks({ version: '0', native });
    expect(await readlink(join(native, 'lib', 'libx.so'))).toBe('libx.so.1.2');
    await rm(join(native, 'lib', 'libx.so.1'));
    await repairLinks({ version: '0', native });
    expect((await stat(join(native, 'lib', 'libx.so.1'))).isFile()).toBe(true);
  });

  it('lets one at a time through the lock, also past holders that died', async () => {
    await using place = await folder(false);
    await writeFile(join(place.path, 'start.lock.7'), '999999999 1 gone');
    let inside = 0;
    let most = 0;
    const order: number[] = [];
    await Promise.all(
      Array.from({ length: 6 }, (_, index) =>
        withStartLock(place.path, async () => {
          inside += 1;
          most = Math.max(most, inside);
          await readdir(place.path);
          order.push(index);
          inside -= 1;
        }),
      ),
    );
    expect([most, order.length]).toEqual([1, 6]);
    expect((await readdir(place.path)).length).toBe(1);
    await expect(withStartLock(place.path, () => Promise.reject(new Error('on purpose')))).rejects.toThrow(
      'on purpose',
    );
    expect(await withStartLock(place.path, async () => 'again')).toBe('again');
  });
});
