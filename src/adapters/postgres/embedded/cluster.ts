import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PlatformError } from '../../../contract/errors.ts';
import type { Place } from './place.ts';

const run = promisify(execFile);

/** The role that owns everything in an embedded server. */
export const SUPERUSER = 'tandem';

/**
 * The password of the server's role, made at the first call: 256 bits of chance in a file that only this
 * system user can read.
 */
export async function clusterPassword(home: string): Promise<string> {
  const path = join(home, 'password');
  const known = await readFile(path, 'utf8').catch(() => undefined);
  if (known !== undefined && known.trim() !== '') return known.trim();
  const password = randomBytes(32).toString('hex');
  const temporary = `${path}.${randomBytes(4).toString('hex')}`;
  await writeDurably(temporary, `${password}\n`);
  await rename(temporary, path);
  return password;
}

/**
 * Makes the data directory when there is none. It is made under another name and renamed when complete, so a
 * crash in the middle leaves nothing that looks like data.
 */
export async function ensureCluster(
  place: Place,
  password: string,
  log: (line: string) => void,
): Promise<void> {
  await removeHalfMade(place.home);
  const version = await readFile(join(place.data, 'PG_VERSION'), 'utf8').catch(() => undefined);
  if (version !== undefined) return checkVersion(place, version.trim());
  if (await stat(place.data).catch(() => undefined)) {
    throw new PlatformError('CONFIGURATION', `${place.data} exists but is no PostgreSQL data directory`);
  }
  log(`creating the database in ${place.data}`);
  const temporary = join(place.home, `data.new.${randomBytes(4).toString('hex')}`);
  const passwordFile = join(place.home, `password.new.${randomBytes(4).toString('hex')}`);
  try {
    await mkdir(temporary, { mode: 0o700 });
    await writeFile(passwordFile, password, { mode: 0o600 });
    for (const path of place.account === undefined ? [] : [temporary, passwordFile]) {
      await chown(path, place.account?.uid ?? 0, place.account?.gid ?? 0);
    }
    await initialise(place, temporary, passwordFile);
    await rename(temporary, place.data);
    await synchronise(place.home);
  } finally {
    await rm(passwordFile, { force: true });
    await rm(temporary, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function initialise(place: Place, folder: string, passwordFile: string): Promise<void> {
  const { account, binaries } = place;
  const parameters = [
    '-D',
    folder,
    '-U',
    SUPERUSER,
    `--pwfile=${passwordFile}`,
    '--data-checksums',
    '--encoding=UTF8',
    // Bytewise order whatever the machine's locales are, and Unicode rules for upper and lower case.
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--auth-host=scram-sha-256',
    '--auth-local=scram-sha-256',
    '--no-instructions',
  ];
  const identity = account === undefined ? {} : { uid: account.uid, gid: account.gid };
  try {
    await run(join(binaries.native, 'bin', 'initdb'), parameters, {
      ...identity,
      cwd: '/',
      env: serverEnvironment(),
    });
  } catch (cause) {
    const { stderr } = cause as { stderr?: string };
    throw new PlatformError('UNAVAILABLE', `initdb failed: ${(stderr ?? String(cause)).trim()}`, { cause });
  }
}

/** The server inherits nothing of our environment: a stray PGDATA or locale must not change it. */
export function serverEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };
}

async function removeHalfMade(home: string): Promise<void> {
  for (const name of await readdir(home)) {
    if (!/^(data|password)\.new\./.test(name)) continue;
    // An initdb whose parent was killed may still be writing there for a moment; what is left goes the next
    // time.
    await rm(join(home, name), { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
  }
}

function checkVersion(place: Place, version: string): void {
  const major = place.binaries.version.split('.')[0];
  if (version === major) return;
  throw new PlatformError(
    'CONFIGURATION',
    `${place.data} was made by PostgreSQL ${version} but the installed binaries are ${major}. ` +
      `Use the version of Tandem that made it, dump the data and load it into a new folder.`,
  );
}

async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function synchronise(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
