import { execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { locateBinaries } from '../../src/adapters/postgres/embedded/binaries.ts';
import { type EmbeddedServer, startEmbedded } from '../../src/adapters/postgres/embedded/index.ts';
import { startedAt } from '../../src/adapters/postgres/embedded/processes.ts';
import { withStartLock } from '../../src/adapters/postgres/embedded/start-lock.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
const cache = join(root, 'node_modules', '.cache', 'tandem');

/** A database of its own on a server that all tests share; it is dropped at the end of the scope. */
export interface FreshDatabase extends AsyncDisposable {
  readonly url: string;
}

/** A server for tests: the address of a database from which others can be made. */
export interface SharedServer {
  readonly url: string;
}

let server: Promise<SharedServer> | undefined;

/**
 * The one PostgreSQL server of all test files: `TEST_DATABASE_URL` if it is set, else an embedded one in the
 * temporary folder. That one is started by whoever comes first and stopped by a small process of its own a
 * few seconds after the last process that used it has ended, however it ended. The data is a copy of a
 * cluster kept in node_modules/.cache.
 */
export function sharedServer(): Promise<SharedServer> {
  server ??= start();
  return server;
}

/**
 * Makes an empty database for one test or one test file.
 *
 * @example
 * await using database = await freshDatabase();
 * await using postgres = await openPostgres(database.url, { applicationName: 'test', connectionsMax: 5 });
 */
export async function freshDatabase(): Promise<FreshDatabase> {
  const { url } = await sharedServer();
  const name = `test_${randomBytes(8).toString('hex')}`;
  await administrate(url, `create database ${name}`);
  const own = new URL(url);
  own.pathname = `/${name}`;
  return {
    url: own.href,
    async [Symbol.asyncDispose]() {
      await administrate(url, `drop database if exists ${name} with (force)`);
    },
  };
}

/** Runs one statement on a connection of its own. */
export async function administrate(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url, application_name: 'test administration' });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

async function start(): Promise<SharedServer> {
  const given = process.env['TEST_DATABASE_URL'];
  if (given !== undefined && given !== '') return { url: given };
  await mkdir(cache, { recursive: true });
  return withStartLock(cache, async () => {
    const folder = sharedFolder();
    await mkdir(join(folder, 'users'), { recursive: true });
    // Whoever runs the server must get through, whatever this process's umask is.
    await chmod(folder, 0o755);
    await writeFile(join(folder, 'users', String(process.pid)), (await startedAt(process.pid)) ?? '');
    const directory = join(folder, 'server');
    if (!(await exists(join(directory, 'data')))) await copyTemplate(directory);
    const { url } = await startEmbedded({ directory });
    await ensureKeeper(folder);
    return { url };
  });
}

/** Where the shared server of this working copy lives. */
function sharedFolder(): string {
  const hash = createHash('sha256').update(root).digest('hex').slice(0, 8);
  return join(tmpdir(), `tandem-test-${process.getuid?.() ?? 0}-${hash}`);
}

/** Puts a finished, stopped cluster into `directory`: faster than making one. */
export async function copyCluster(directory: string): Promise<void> {
  await mkdir(cache, { recursive: true });
  await exclusively(() => copyTemplate(directory));
}

async function copyTemplate(directory: string): Promise<void> {
  const { version } = await locateBinaries();
  const template = join(cache, `cluster-${version}-${process.getuid?.() ?? 0}`);
  if (!(await exists(template))) await makeTemplate(template);
  await rm(directory, { recursive: true, force: true });
  // The owner of the files must stay, which node:fs cannot do.
  await run('cp', ['-Rp', template, directory]);
  await chmod(directory, 0o755);
}

async function makeTemplate(template: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'tandem-template-'));
  try {
    await chmod(folder, 0o755);
    const directory = join(folder, 'server');
    const made: EmbeddedServer = await startEmbedded({ directory });
    await made.stop();
    for (const name of await readdir(directory)) {
      if (name !== 'data' && name !== 'password') await rm(join(directory, name), { force: true });
    }
    const temporary = `${template}.${randomBytes(4).toString('hex')}`;
    await run('cp', ['-Rp', directory, temporary]);
    await rename(temporary, template);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function ensureKeeper(folder: string): Promise<void> {
  const path = join(folder, 'keeper');
  const [pid, started] = (await readFile(path, 'utf8').catch(() => '')).split(' ');
  if (pid !== undefined && pid !== '' && (await startedAt(Number(pid))) === started) return;
  const script = fileURLToPath(new URL('embedded-server-keeper.ts', import.meta.url));
  const child = spawn(process.execPath, ['--max-old-space-size=64', script, folder], {
    detached: true,
    stdio: 'ignore',
    cwd: root,
    env: { PATH: process.env['PATH'] ?? '', TMPDIR: tmpdir() },
  });
  child.unref();
  await writeFile(path, `${child.pid} ${await startedAt(child.pid ?? 0)}`);
}

/** Whether a process that uses the shared server still lives. */
export async function isUsed(folder: string): Promise<boolean> {
  for (const name of await readdir(join(folder, 'users')).catch(() => [])) {
    const path = join(folder, 'users', name);
    if ((await startedAt(Number(name))) === (await readFile(path, 'utf8').catch(() => ''))) return true;
    await rm(path, { force: true });
  }
  return false;
}

/** Runs `work` while nobody starts or stops the shared server. */
export function exclusively<TResult>(work: () => Promise<TResult>): Promise<TResult> {
  return withStartLock(cache, work);
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
