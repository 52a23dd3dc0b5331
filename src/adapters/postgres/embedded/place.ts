import { createHash, randomBytes } from 'node:crypto';
import { chmod, cp, mkdir, readdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { PlatformError } from '../../../contract/errors.ts';
import type { Binaries } from './binaries.ts';

/** The system user that owns the data and runs the server. */
interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Where one embedded server lives. */
export interface Place {
  /** Folder with the data, the password, the log and the lock. */
  readonly home: string;
  readonly data: string;
  /** Set when this process is root, which PostgreSQL refuses to run as. */
  readonly account: Account | undefined;
  readonly binaries: Binaries;
  /** Whether the data, which lie elsewhere, are those of a folder that somebody removed and made anew. */
  readonly isLeft: boolean;
}

/** Where data and binaries go when the server's system user cannot reach the wanted folder. */
const SHARED_FOLDER = '/var/lib/tandem';
/** Which system users may run the server when this process is root, in order of preference. */
const ACCOUNTS = ['postgres', 'nobody'];

/**
 * Decides where data and binaries lie so that the server's system user reaches both, and makes those folders.
 */
export async function choosePlace(directory: string, binaries: Binaries): Promise<Place> {
  await mkdir(directory, { recursive: true });
  const wanted = await realpath(directory);
  const account = process.getuid?.() === 0 ? await serverAccount() : undefined;
  if (account === undefined)
    return { home: wanted, data: join(wanted, 'data'), account, binaries, isLeft: false };
  const { home, isLeft } = (await canReach(wanted, account))
    ? { home: wanted, isLeft: false }
    : await elsewhere(wanted);
  const owner = await stat(join(home, 'data')).catch(() => undefined);
  // Data that exists decides who runs the server: a user `postgres` may have been added since.
  const runner =
    owner !== undefined && owner.uid !== 0
      ? { name: `uid ${owner.uid}`, uid: owner.uid, gid: owner.gid }
      : account;
  const usable = await readableBinaries(binaries, runner);
  return { home, data: join(home, 'data'), account: runner, binaries: usable, isLeft };
}

async function serverAccount(): Promise<Account> {
  const users = (await readFile('/etc/passwd', 'utf8').catch(() => ''))
    .split('\n')
    .map((line) => line.split(':'));
  for (const name of ACCOUNTS) {
    const fields = users.find((user) => user[0] === name);
    const uid = Number(fields?.[2]);
    const gid = Number(fields?.[3]);
    if (uid > 0 && gid >= 0) return { name, uid, gid };
  }
  throw new PlatformError(
    'UNAVAILABLE',
    `PostgreSQL does not run as root and there is no system user ${ACCOUNTS.join(' or ')} to run it as. ` +
      'Start as an ordinary user, add a user postgres, or set DATABASE_URL.',
  );
}

/** Whether `account` may enter every folder on the way to `path` and `path` itself. */
async function canReach(path: string, account: Account): Promise<boolean> {
  for (let folder = path; ; folder = dirname(folder)) {
    const { mode, uid, gid } = await stat(folder);
    const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

async function elsewhere(wanted: string): Promise<Pick<Place, 'home' | 'isLeft'>> {
  const hash = createHash('sha256').update(wanted).digest('hex').slice(0, 8);
  const home = join(SHARED_FOLDER, `${basename(wanted)}-${hash}`);
  await makeReachable(SHARED_FOLDER);
  await makeReachable(home);
  const note = join(wanted, 'LOCATION');
  const isLeft = !(await isThere(note)) && (await isThere(join(home, 'data')));
  if (!isLeft) {
    await writeFile(
      note,
      `The data of this folder is in ${home}: the system user that runs PostgreSQL cannot reach this folder.\n`,
    );
  }
  return { home, isLeft };
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

async function readableBinaries(binaries: Binaries, account: Account): Promise<Binaries> {
  const { native } = binaries;
  const { mode } = await stat(join(native, 'bin', 'postgres'));
  const folders = ['bin', 'lib', 'share'].map((name) => canReach(join(native, name), account));
  if ((mode & 0o005) === 0o005 && (await Promise.all(folders)).every(Boolean)) return binaries;
  const folder = join(SHARED_FOLDER, `postgresql-${binaries.version}`);
  const copy = { ...binaries, native: join(folder, 'native') };
  if (await stat(folder).catch(() => undefined)) return copy;
  await makeReachable(SHARED_FOLDER);
  const temporary = `${folder}.${randomBytes(6).toString('hex')}`;
  try {
    await cp(native, join(temporary, 'native'), { recursive: true, verbatimSymlinks: true });
    await openForAll(temporary);
    await rename(temporary, folder);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    // Another process was faster: its copy is complete, since it came by a rename as well.
    if (!(await stat(folder).catch(() => undefined))) throw error;
  }
  return copy;
}

/** Makes a folder that everybody may enter, whatever this process's umask is. */
async function makeReachable(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const { mode } = await stat(folder);
  if ((mode & 0o055) !== 0o055) await chmod(folder, mode | 0o055);
}

async function openForAll(path: string): Promise<void> {
  await chmod(path, 0o755);
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const inner = join(path, entry.name);
    if (entry.isDirectory()) await openForAll(inner);
    else if (entry.isFile())
      await chmod(inner, (await stat(inner)).mode | 0o444 | (path.endsWith('bin') ? 0o111 : 0));
  }
}
